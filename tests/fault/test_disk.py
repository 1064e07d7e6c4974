"""A full disk costs time, never a job or a database."""
import os
import pathlib
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, System, wait_until


class FullDiskTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        library = self.system.directory / "full_disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE / "tests/fault/full_disk.c"), "-ldl"], check=True)
        self.switch = self.system.directory / "disk-is-full"
        # A sanitizer's runtime insists on being first; it does not mind ours behind it.
        self.env = {"LD_PRELOAD": str(library), "FULL_DISK_SWITCH": str(self.switch), "FULL_DISK_ROOT": str(self.system.exports),
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}
        self.system.extra = "[export]\nretry_base_ms = 500\n"
        self.system.start_shim()
        self.system.start_daemon(self.env)
        self.system.import_generated(2000)

    def test_an_export_waits_for_space(self):
        self.switch.touch()
        job = self.system.ctl_json("export", "submit", "--organization", "acme")["job_id"]
        first = wait_until("the first attempt to fail", lambda: (j := self.system.ctl_json("job", "show", job))["error_message"] and j)
        self.assertEqual(first["status"], "pending")
        self.assertIn("No space left on device", first["error_message"])
        self.assertEqual([p for p in self.system.exports.rglob("*") if p.is_file()], [])
        self.switch.unlink()
        done = wait_until("the retry", lambda: (j := self.system.ctl_json("job", "show", job))["status"] == "completed" and j)
        self.assertIsNone(done["error_message"])

    def test_attempts_end_and_the_job_says_why(self):
        self.switch.touch()
        job = self.system.ctl_json("export", "submit", "--organization", "acme", "--max-attempts", "3")["job_id"]
        done = wait_until("the job to fail", lambda: (j := self.system.ctl_json("job", "show", job))["status"] == "failed" and j)
        self.assertIn("No space left on device", done["error_message"])
        self.switch.unlink()
        self.system.ctl("job", "retry", job)
        wait_until("the retry", lambda: self.system.ctl_json("job", "show", job)["status"] == "completed")

    def test_a_database_on_a_full_disk_refuses_and_recovers(self):
        self.system.daemon.stop()
        # SQLite writes with pwrite: take the space away with a quota on file size instead.
        import resource
        # Enough for the daemon's own copies of the plugin, too little for what follows.
        limit = (BUILD / "plugins" / "download_url.so").stat().st_size + 2_000_000
        def small_files():
            import signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        popen = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **k: popen(*a, **k, preexec_fn=small_files)
            self.system.start_daemon()
        finally:
            subprocess.Popen = popen
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


if __name__ == "__main__":
    unittest.main()
