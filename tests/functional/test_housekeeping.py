"""What time does to jobs: deadlines, silence and retention without workers, wrong clocks, why a job waits, prune."""
import pathlib
import time
import unittest

from functional.harness import ClockJump, System, wait_until


class HousekeepingTest(unittest.TestCase):
    def start(self, extra, store_keys=""):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.store_keys = store_keys
        self.system.extra = extra
        self.system.start()
        self.system.import_generated(20)

    def restart(self, extra, env=None):
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.extra = extra
        self.system.start_daemon(env)

    def test_a_daemon_without_workers_keeps_time(self):
        self.start("", "link_lifetime_s = 1\n")
        old = self.system.export()
        ended = time.monotonic()
        path = pathlib.Path(old["metadata"]["file_url"].removeprefix("file://"))
        self.system.ctl("organization", "set", "acme", "--hold")
        waiting = self.system.ctl_json("export", "submit", "--organization", "acme")["job_id"]
        wait_until("the file to be old", lambda: time.monotonic() > ended + 1)
        self.restart("[export]\nworkers = 0\nfile_retention_s = 1\n")
        wire, key = self.system.wire(), self.system.make_key()
        late = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "deadline_s": 1}, key)["result"]["job_id"]
        silent = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "silence_limit_s": 1}, key)["result"]["job_id"]
        self.assertEqual(wire.call("jobs.get", {"job_id": silent}, key)["result"]["silence_limit_s"], 1)
        self.assertTrue(wire.call("jobs.report_progress", {"job_id": silent, "mark_started": True}, key)["ok"])
        wire.close()
        for job, why in ((late, "deadline"), (silent, "has not reported")):
            self.assertIn(why, wait_until(why, lambda j=job: self.system.job_when(j, "failed"))["error_message"])
        self.assertEqual(self.system.ctl_json("job", "show", waiting)["waiting_because"], "no_workers")
        wait_until("the file to go", lambda: not path.exists())
        self.assertEqual(self.system.mint(old["job_id"], key).status, 410)
        self.assertRegex(self.system.daemon.text(), r"retention: 1 files have expired, 0 jobs and 0 notices are forgotten")
        self.assertIn("1 expired or withdrawn files are deleted", self.system.daemon.text())

    def test_people_see_why_a_job_waits(self):
        self.start("")
        key = self.system.make_key()
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        job = self.system.submit(key, format="csv", start_at=start, deadline_s=60)
        shown = self.system.api("GET", f"/api/jobs/{job}", key).json
        self.assertEqual((shown["start_at"], shown["waiting_because"], shown["silence_limit_s"]), (start, "not_yet_due", None))
        self.assertGreater(shown["deadline_at"], start)
        self.assertIn("not_yet_due", self.system.ctl("job", "show", job).stdout)
        self.system.ctl("job", "hold", job)
        shown = self.system.api("GET", f"/api/jobs/{job}", key).json
        self.assertEqual((shown["waiting_because"], shown["deadline_at"]), ("held", None))
        self.system.ctl("organization", "set", "acme", "--hold")
        next_job = self.system.submit(key, format="csv")
        listed = {j["job_id"]: j["waiting_because"] for j in self.system.api("GET", "/api/jobs/", key).json["items"]}
        self.assertEqual(listed, {job: "held", next_job: "organization_held"})

    def test_a_wrong_clock_in_an_earlier_life_delays_and_fails_nothing(self):
        self.start("")
        clock = ClockJump(self.system.directory)
        for hours in (1, -48):
            clock.jump(hours * 3600)
            self.restart("", clock.env)
            self.system.ctl("organization", "set", "acme", "--hold")
            job = self.system.ctl_json("export", "submit", "--organization", "acme", "--deadline-s", "86400")["job_id"]
            clock.jump(0)
            self.restart("", clock.env)
            self.system.ctl("organization", "set", "acme", "--release")
            wait_until(f"the export of a clock {hours} hours off", lambda j=job: self.system.job_when(j, "completed"))

    def test_prune(self):
        self.start("[export]\njob_retention_s = 1\nfile_retention_s = 0\n")
        self.system.ctl("organization", "set", "acme", "--hold")
        job = self.system.ctl_json("export", "submit", "--organization", "acme")["job_id"]
        self.system.ctl("job", "cancel", job)
        def pruned():
            return self.system.ctl_json("prune")["jobs"] or self.system.ctl("job", "show", job, check=False).returncode
        wait_until("the job to be forgotten", pruned)
        self.assertIn("0 jobs and", self.system.ctl("prune").stdout)
        self.assertIn('export_worker_retention_backlog{kind="jobs"} 0', self.system.ctl("metrics").stdout)


if __name__ == "__main__":
    unittest.main()
