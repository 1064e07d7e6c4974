"""A disk that is full, breaks or may not be written to costs time, never a job or a database."""
import hashlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import unittest

from functional.harness import BUILD, FailingDisk, Process, System, side_by_side, wait_until


class Site(System):
    """A system whose exports are tried again soon."""

    def __init__(self, test):
        super().__init__()
        test.addCleanup(self.close)
        self.test = test
        self.extra = "[export]\nretry_base_ms = 500\nretry_max_s = 1\n"
        self.disk = FailingDisk(self.directory)
        self.start_shim()

    def start_failing(self, faults=None, products=2000):
        """A daemon on the disk that fails when told to."""
        self.start_daemon(self.disk.env, faults=faults)
        wait_until("the shim sees the daemon", lambda: self.http("GET", "/readyz").status == 200)
        self.import_generated(products)
        return self

    def submit_export(self, *flags):
        return self.ctl_json("export", "submit", "--organization", "acme", *flags)["job_id"]

    def failed_once(self, job):
        """The job after a failed attempt, while the next one does not run."""
        def between_attempts():
            shown = self.ctl_json("job", "show", job)
            return shown if shown["error_message"] and shown["status"] != "in_progress" else None
        return wait_until("an attempt to fail", between_attempts)

    def completed(self, job):
        """The job completes, and its one file is what its manifest says."""
        done = wait_until("the retry", lambda: self.job_when(job, "completed", "failed"))
        self.test.assertEqual((done["status"], done["error_message"]), ("completed", None))
        path = pathlib.Path(done["metadata"]["file_url"].removeprefix("file://"))
        self.test.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), done["metadata"]["sha256"])
        wait_until("what failed attempts wrote to be gone", lambda: self.files() == [path])
        return done


class FailingDiskTest(unittest.TestCase):
    def test_an_export_waits_for_space(self):
        site = Site(self).start_failing()
        site.disk.breaks(f"write ENOSPC {site.exports}/*")
        job = site.submit_export("--max-attempts", "100")
        first = site.failed_once(job)
        self.assertEqual(first["status"], "pending")
        self.assertIn("No space left on device", first["error_message"])
        wait_until("nothing to be left lying about", lambda: site.files() == [])
        site.disk.works()
        site.completed(job)

    def test_attempts_end_and_the_job_says_why(self):
        site = Site(self).start_failing()
        site.disk.breaks(f"write ENOSPC {site.exports}/*")
        job = site.submit_export("--max-attempts", "3")
        done = wait_until("the job to fail", lambda: site.job_when(job, "failed"))
        self.assertIn("No space left on device", done["error_message"])
        self.assertEqual(done["attempt"], 3)
        site.disk.works()
        site.ctl("job", "retry", job)
        site.completed(job)

    def test_every_step_of_a_publication_may_break(self):
        side_by_side(self, self.publication_breaks, ("write EIO *.csv.part", "fsync EIO *.csv.part", "renameat2 EIO *.csv", "fsync EIO {root}/acme"))

    def publication_breaks(self, broken):
        site = Site(self).start_failing()
        site.disk.breaks(broken.format(root=site.exports))
        job = site.submit_export("--max-attempts", "100")
        failed = site.failed_once(job)
        self.assertEqual(failed["status"], "pending")
        self.assertIn("Input/output error", failed["error_message"])
        self.assertEqual(site.mint(job, site.make_key()).status, 409)
        site.disk.works()
        done = site.completed(job)
        self.assertGreater(done["attempt"], 1)

    def test_a_catalog_that_cannot_be_read_fails_the_attempt(self):
        site = Site(self).start_failing(faults="run.batch:pause")
        job = site.submit_export("--max-attempts", "100")
        site.paused_at("run.batch")
        site.disk.breaks("pread64 EIO *catalog.db*")
        site.let_go("run.batch")
        failed = site.failed_once(job)
        self.assertEqual(failed["status"], "pending")
        site.disk.works()
        self.assertEqual(site.completed(job)["processed_items"], 2000)

    def test_a_registry_that_cannot_be_written_loses_no_job(self):
        """Neither the completion nor its failure can be recorded: the worker goes on trying to say how it ended."""
        site = Site(self).start_failing(faults="run.before_completion:pause")
        job = site.submit_export("--max-attempts", "100")
        site.paused_at("run.before_completion")
        site.disk.breaks("pwrite64 EIO *jobs.db-wal", "fdatasync EIO *jobs.db-wal")
        site.let_go("run.before_completion")
        site.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        self.assertEqual(site.ctl_json("job", "show", job)["status"], "in_progress")
        refused = site.ctl("export", "submit", "--organization", "acme", check=False)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        site.disk.works()
        site.completed(job)
        self.assertEqual([j["job_id"] for j in site.ctl_json("job", "list")["items"]], [job])

    def test_a_completion_in_doubt_never_names_a_file_that_is_gone(self):
        """The commit has reached the log and its sync fails; then the daemon dies. Whichever way the log is read, the file is there."""
        site = Site(self).start_failing(faults="run.before_completion:pause")
        job = site.submit_export("--max-attempts", "100")
        site.paused_at("run.before_completion")
        site.disk.breaks("fdatasync EIO *jobs.db-wal")
        site.let_go("run.before_completion")
        site.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        site.daemon.stop(signal.SIGKILL)
        site.disk.works()
        site.start_daemon()
        site.completed(job)

    def test_access_is_taken_away_even_when_that_cannot_be_written(self):
        """The answer is an error that says what holds and for how long; repeated with space, it holds for good."""
        site = Site(self).start_failing()
        job = site.export()["job_id"]
        leaked = site.ctl_json("key", "create", "--organization", "acme", "--permission", "product:read,job:read")
        site.ctl("member", "set", "ann", "--organization", "acme", "--role", "Viewer")
        session = site.ctl_json("session", "create", "ann", "--expires-in", "1h")
        self.assertEqual(site.mint(job, leaked["key"]).status, 200)
        commands = (("key", "revoke", leaked["id"]), ("session", "revoke", session["id"]), ("member", "deactivate", "ann", "--organization", "acme"),
                    ("organization", "set", "acme", "--hold"))
        site.disk.breaks("pwrite64 ENOSPC *auth.db*", "pwrite64 ENOSPC *jobs.db*")
        for command in commands:
            refused = site.ctl(*command, check=False)
            self.assertEqual(refused.returncode, 1, refused.stdout)
            self.assertIn("at once, but only until the daemon restarts", refused.stderr)
            self.assertIn("free space in state_dir, or see to the database, and run the command again", refused.stderr)
        site.daemon.wait_for_log("until_restart")
        self.assertEqual(site.mint(job, leaked["key"]).status, 401)
        self.assertEqual(site.ctl_json("session", "list")["items"], [])
        self.assertFalse(site.ctl_json("member", "list")["items"][0]["active"])
        site.disk.works()
        held = site.submit_export()
        self.assertTrue(site.ctl_json("organization", "show", "acme")["held"])
        for command in commands:
            site.ctl(*command)
        self.assertEqual(site.daemon.stop(), 0)
        site.start_daemon()
        wait_until("the shim sees the daemon", lambda: site.http("GET", "/readyz").status == 200)
        self.assertEqual(site.mint(job, leaked["key"]).status, 401)
        self.assertFalse(site.ctl_json("member", "list")["items"][0]["active"])
        self.assertEqual(site.ctl_json("job", "show", held)["status"], "pending")

    def test_a_failed_backup_leaves_the_older_one_whole(self):
        site = Site(self).start_failing()
        older, newer = site.directory / "backup", site.directory / "newer"
        site.ctl("backup", older)
        before = {path.name: path.read_bytes() for path in older.iterdir() if path.is_file()}
        site.export()
        site.disk.breaks("pwrite64 ENOSPC */backup/*/auth.db*")
        for target in (older, newer):
            refused = site.ctl("backup", target, check=False)
            self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertFalse(newer.exists())
        self.assertEqual({path.name: path.read_bytes() for path in older.iterdir() if path.is_file()}, before)
        site.disk.works()
        site.ctl("backup", newer)
        self.assertEqual(sorted(path.name for path in newer.iterdir()), sorted(path.name for path in older.iterdir()))
        self.assertNotEqual((newer / "jobs.db").read_bytes(), before["jobs.db"])

    def test_a_stopping_daemon_does_not_wait_for_a_broken_registry(self):
        site = Site(self).start_failing(faults="run.before_completion:pause")
        job = site.submit_export()
        site.paused_at("run.before_completion")
        site.disk.breaks("pwrite64 EIO *jobs.db-wal", "fdatasync EIO *jobs.db-wal")
        site.let_go("run.before_completion")
        site.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        self.assertEqual(site.daemon.stop(), 0)
        site.disk.works()
        site.start_daemon()
        site.completed(job)


class FullDiskTest(unittest.TestCase):
    """Without preloading: what the kernel refuses, through whatever library writes."""

    def setUp(self):
        self.site = Site(self)
        # Enough for the daemon's own copies of the plugin, too little for what follows.
        self.limit = (BUILD / "plugins" / "download_url.so").stat().st_size + 2_000_000

    def start_limited(self):
        """The kernel refuses to write files beyond a size that limit() sets."""
        popen = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **k: popen(*a, **k, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
            self.site.start_daemon()
        finally:
            subprocess.Popen = popen

    def limit_files(self, size):
        resource.prlimit(self.site.daemon.popen.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_a_database_on_a_full_disk_refuses_and_recovers(self):
        self.start_limited()
        self.limit_files(self.limit)
        # Fills the catalog's log until it may not grow; the daemon says so and lives on.
        catalog = self.site.directory / "catalog-60000-9.jsonl"
        self.site.ctl("catalog", "generate", "--products", "60000", "--seed", "9", "--output", catalog)
        refused = self.site.ctl("catalog", "import", "--organization", "other", catalog, check=False)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertEqual(self.site.ctl_json("status")["jobs"]["failed"], 0)
        self.assertEqual(self.site.daemon.stop(), 0)
        self.site.start_daemon()
        self.site.ctl("catalog", "import", "--organization", "other", catalog)
        self.assertEqual(self.site.export("other")["processed_items"], 60000)

    def test_a_workbook_whose_temporary_files_do_not_fit_is_not_published(self):
        self.start_limited()
        self.site.import_generated(8000)
        # Less than the sheet needs (over 8 MB), more than the registry's log takes for many attempts (0.15 MB each).
        self.limit_files(2_000_000)
        job = self.site.submit_export("--format", "xlsx", "--max-attempts", "100")
        failed = self.site.failed_once(job)
        self.assertEqual(failed["status"], "pending")
        wait_until("nothing to be left lying about", lambda: self.site.files() == [])
        self.limit_files(resource.RLIM_INFINITY)
        done = wait_until("the retry", lambda: self.site.job_when(job, "completed", "failed"))
        self.assertEqual((done["status"], done["processed_items"]), ("completed", 8000))
        wait_until("no temporary file to be left", lambda: list((self.site.state / "tmp").iterdir()) == [])


class ReadOnlyTest(unittest.TestCase):
    """Directories that the daemon may not write to."""

    def setUp(self):
        self.site = Site(self)
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
        log = self.site.directory / f"daemon-{len(self.folders)}.log"
        command = [BUILD / "bin" / "export-workerd", "--config", self.site.config]
        if os.geteuid() == 0:
            self.assertTrue(shutil.which("setpriv"), "expected setpriv of util-linux")
            command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
        self.site.daemon = Process(command, log)
        if must_start:
            self.site.daemon.wait_for_log("ready: data on")

    def test_an_export_waits_until_it_may_write(self):
        self.start_daemon()
        self.site.import_generated(100)
        self.site.export()
        self.make_read_only(self.site.exports / "acme")
        job = self.site.submit_export("--max-attempts", "100")
        failed = self.site.failed_once(job)
        self.assertIn("Permission denied", failed["error_message"])
        self.assertEqual(failed["status"], "pending")
        self.make_writable()
        wait_until("the retry", lambda: self.site.job_when(job, "completed"))

    def test_fsck_judges_every_file_and_says_what_it_did(self):
        self.site.store_keys = "link_lifetime_s = 1\n"
        self.start_daemon()
        self.site.import_generated(100)
        paths = [pathlib.Path(self.site.export()["metadata"]["file_url"].removeprefix("file://")) for _ in range(4)]
        paths[0].chmod(0)
        paths[1].unlink()
        paths[1].symlink_to(paths[3])
        paths[2].write_bytes(b"changed")
        plan = self.site.ctl("fsck", check=False)
        self.assertEqual(plan.returncode, 65, plan.stderr)
        self.assertIn("unreadable", plan.stdout)
        self.assertIn("Permission denied", plan.stdout)
        self.assertIn("found a symbolic link", plan.stdout)
        self.assertIn("4 files checked", plan.stdout)
        applied = self.site.ctl("fsck", "--apply", check=False)
        self.assertEqual(applied.returncode, 65, applied.stderr)
        self.assertIn("3 problems, 1 repaired", applied.stdout)
        wait_until("the withdrawn file to go", lambda: not os.path.lexists(paths[2]))
        self.assertEqual([os.path.lexists(path) for path in paths], [True, True, False, True])

    def test_fsck_withdraws_nothing_of_a_store_that_is_away_and_prints_how_far_it_came(self):
        self.start_daemon()
        self.site.import_generated(100)
        job = self.site.export()
        self.site.exports.rename(self.site.directory / "away")
        ended = self.site.ctl("fsck", "--apply", check=False)
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertIn("1 files checked, 0 bytes read, 0 problems, 0 repaired", ended.stdout)
        self.assertIn("No such file or directory; mount it", ended.stderr)
        (self.site.directory / "away").rename(self.site.exports)
        self.assertEqual(self.site.ctl_json("job", "show", job["job_id"])["metadata"]["file_url"], job["metadata"]["file_url"])
        self.assertIn("0 problems", self.site.ctl("fsck").stdout)

    def test_a_read_only_export_directory_is_seen_at_the_start(self):
        self.site.exports.mkdir()
        self.make_read_only(self.site.exports)
        self.start_daemon(must_start=False)
        code = self.site.wait_for_death()
        self.assertEqual(code, 78, self.site.daemon.text())
        self.assertIn(str(self.site.exports), self.site.daemon.text())
        self.assertIn("Permission denied", self.site.daemon.text())


if __name__ == "__main__":
    unittest.main()
