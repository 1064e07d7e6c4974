"""A disk that is full, breaks or may not be written to costs time, never a job or a database."""
import hashlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import unittest

from functional.harness import BUILD, FailingDisk, Process, System, wait_until


class DiskTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.extra = "[export]\nretry_base_ms = 500\nretry_max_s = 1\n"
        self.system.start_shim()

    def submit(self, *flags):
        return self.system.ctl_json("export", "submit", "--organization", "acme", *flags)["job_id"]

    def failed_once(self, job):
        """The job after a failed attempt, while the next one does not run."""
        def between_attempts():
            shown = self.system.ctl_json("job", "show", job)
            return shown if shown["error_message"] and shown["status"] != "in_progress" else None
        return wait_until("an attempt to fail", between_attempts)


class FailingDiskTest(DiskTest):
    def setUp(self):
        super().setUp()
        self.disk = FailingDisk(self.system.directory)

    def start(self, faults=None, products=2000):
        self.system.start_daemon(self.disk.env, faults=faults)
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.system.import_generated(products)

    def completed(self, job):
        """The job completes, and its one file is what its manifest says."""
        done = wait_until("the retry", lambda: self.system.job_when(job, "completed", "failed"))
        self.assertEqual((done["status"], done["error_message"]), ("completed", None))
        path = pathlib.Path(done["metadata"]["file_url"].removeprefix("file://"))
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), done["metadata"]["sha256"])
        wait_until("what failed attempts wrote to be gone", lambda: self.system.files() == [path])
        return done

    def test_an_export_waits_for_space(self):
        self.start()
        self.disk.breaks(f"write ENOSPC {self.system.exports}/*")
        job = self.submit("--max-attempts", "100")
        first = self.failed_once(job)
        self.assertEqual(first["status"], "pending")
        self.assertIn("No space left on device", first["error_message"])
        wait_until("nothing to be left lying about", lambda: self.system.files() == [])
        self.disk.works()
        self.completed(job)

    def test_attempts_end_and_the_job_says_why(self):
        self.start()
        self.disk.breaks(f"write ENOSPC {self.system.exports}/*")
        job = self.submit("--max-attempts", "3")
        done = wait_until("the job to fail", lambda: self.system.job_when(job, "failed"))
        self.assertIn("No space left on device", done["error_message"])
        self.assertEqual(done["attempt"], 3)
        self.disk.works()
        self.system.ctl("job", "retry", job)
        self.completed(job)

    def test_every_step_of_a_publication_may_break(self):
        self.start()
        root = self.system.exports
        for broken in ("write EIO *.csv.part", "fsync EIO *.csv.part", "renameat2 EIO *.csv", f"fsync EIO {root}/acme"):
            with self.subTest(broken):
                self.disk.breaks(broken)
                job = self.submit("--max-attempts", "100")
                failed = self.failed_once(job)
                self.assertEqual(failed["status"], "pending")
                self.assertIn("Input/output error", failed["error_message"])
                self.assertEqual(self.system.mint(job, self.system.make_key()).status, 409)
                self.disk.works()
                done = self.completed(job)
                self.assertGreater(done["attempt"], 1)
                pathlib.Path(done["metadata"]["file_url"].removeprefix("file://")).unlink()

    def test_a_catalog_that_cannot_be_read_fails_the_attempt(self):
        self.start(faults="run.batch:pause")
        job = self.submit("--max-attempts", "100")
        self.system.paused_at("run.batch")
        self.disk.breaks("pread64 EIO *catalog.db*")
        self.system.let_go("run.batch")
        failed = self.failed_once(job)
        self.assertEqual(failed["status"], "pending")
        self.disk.works()
        self.assertEqual(self.completed(job)["processed_items"], 2000)

    def test_a_registry_that_cannot_be_written_loses_no_job(self):
        """Neither the completion nor its failure can be recorded: the worker goes on trying to say how it ended."""
        self.start(faults="run.before_completion:pause")
        job = self.submit("--max-attempts", "100")
        self.system.paused_at("run.before_completion")
        self.disk.breaks("pwrite64 EIO *jobs.db-wal", "fdatasync EIO *jobs.db-wal")
        self.system.let_go("run.before_completion")
        self.system.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        self.assertEqual(self.system.ctl_json("job", "show", job)["status"], "in_progress")
        refused = self.system.ctl("export", "submit", "--organization", "acme", check=False)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.disk.works()
        self.completed(job)
        self.assertEqual([j["job_id"] for j in self.system.ctl_json("job", "list")["items"]], [job])

    def test_a_completion_in_doubt_never_names_a_file_that_is_gone(self):
        """The commit has reached the log and its sync fails; then the daemon dies. Whichever way the log is read, the file is there."""
        self.start(faults="run.before_completion:pause")
        job = self.submit("--max-attempts", "100")
        self.system.paused_at("run.before_completion")
        self.disk.breaks("fdatasync EIO *jobs.db-wal")
        self.system.let_go("run.before_completion")
        self.system.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        self.system.daemon.stop(signal.SIGKILL)
        self.disk.works()
        self.system.start_daemon()
        self.completed(job)

    def test_a_stopping_daemon_does_not_wait_for_a_broken_registry(self):
        self.start(faults="run.before_completion:pause")
        job = self.submit()
        self.system.paused_at("run.before_completion")
        self.disk.breaks("pwrite64 EIO *jobs.db-wal", "fdatasync EIO *jobs.db-wal")
        self.system.let_go("run.before_completion")
        self.system.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.disk.works()
        self.system.start_daemon()
        self.completed(job)


class FullDiskTest(DiskTest):
    """Without preloading: what the kernel refuses, through whatever library writes."""

    def setUp(self):
        super().setUp()
        # Enough for the daemon's own copies of the plugin, too little for what follows.
        self.limit = (BUILD / "plugins" / "download_url.so").stat().st_size + 2_000_000

    def start_limited(self):
        """The kernel refuses to write files beyond a size that limit() sets."""
        popen = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **k: popen(*a, **k, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
            self.system.start_daemon()
        finally:
            subprocess.Popen = popen

    def limit_files(self, size):
        resource.prlimit(self.system.daemon.popen.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_a_database_on_a_full_disk_refuses_and_recovers(self):
        self.start_limited()
        self.limit_files(self.limit)
        # Fills the catalog's log until it may not grow; the daemon says so and lives on.
        catalog = self.system.directory / "catalog-60000-9.jsonl"
        self.system.ctl("catalog", "generate", "--products", "60000", "--seed", "9", "--output", catalog)
        refused = self.system.ctl("catalog", "import", "--organization", "other", catalog, check=False)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertEqual(self.system.ctl_json("status")["jobs"]["failed"], 0)
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.start_daemon()
        self.system.ctl("catalog", "import", "--organization", "other", catalog)
        self.assertEqual(self.system.export("other")["processed_items"], 60000)

    def test_a_workbook_whose_temporary_files_do_not_fit_is_not_published(self):
        self.start_limited()
        self.system.import_generated(8000)
        self.limit_files(400_000)
        job = self.submit("--format", "xlsx", "--max-attempts", "100")
        failed = self.failed_once(job)
        self.assertEqual(failed["status"], "pending")
        wait_until("nothing to be left lying about", lambda: self.system.files() == [])
        self.limit_files(resource.RLIM_INFINITY)
        done = wait_until("the retry", lambda: self.system.job_when(job, "completed", "failed"))
        self.assertEqual((done["status"], done["processed_items"]), ("completed", 8000))
        wait_until("no temporary file to be left", lambda: list((self.system.state / "tmp").iterdir()) == [])


class ReadOnlyTest(DiskTest):
    """Directories that the daemon may not write to."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.make_writable)
        self.folders = []

    def make_writable(self):
        for folder in self.folders:
            folder.chmod(0o750)

    def make_read_only(self, folder):
        folder.chmod(0o550)
        self.folders.append(folder)

    def start_daemon(self, must_start=True):
        """Root may write anywhere; the daemon here is a root that may not."""
        log = self.system.directory / f"daemon-{len(self.folders)}.log"
        command = [BUILD / "bin" / "export-workerd", "--config", self.system.config]
        if os.geteuid() == 0:
            self.assertTrue(shutil.which("setpriv"), "expected setpriv of util-linux")
            command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
        self.system.daemon = Process(command, log)
        if must_start:
            self.system.daemon.wait_for_log("ready: data on")

    def test_an_export_waits_until_it_may_write(self):
        self.start_daemon()
        self.system.import_generated(100)
        self.system.export()
        self.make_read_only(self.system.exports / "acme")
        job = self.submit("--max-attempts", "100")
        failed = self.failed_once(job)
        self.assertIn("Permission denied", failed["error_message"])
        self.assertEqual(failed["status"], "pending")
        self.make_writable()
        wait_until("the retry", lambda: self.system.job_when(job, "completed"))

    def test_a_read_only_export_directory_is_seen_at_the_start(self):
        self.system.exports.mkdir()
        self.make_read_only(self.system.exports)
        self.start_daemon(must_start=False)
        code = self.system.wait_for_death()
        self.assertEqual(code, 78, self.system.daemon.text())
        self.assertIn(str(self.system.exports), self.system.daemon.text())
        self.assertIn("Permission denied", self.system.daemon.text())


if __name__ == "__main__":
    unittest.main()
