"""What time does to jobs: deadlines, silence and retention without workers, wrong clocks, why a job waits, prune."""
import contextlib
import pathlib
import sqlite3
import time
import unittest

from functional.harness import SANITIZED, ClockJump, System, alarm_texts, wait_until
from functional.skips import sqlite_only
from functional.registry_size import Registry, copy_rows


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
        self.system.daemon.wait_for_log(r"retention: 1 files have expired, 0 jobs and 0 notices are forgotten")
        self.system.daemon.wait_for_log("1 expired or withdrawn files are deleted")

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

    @sqlite_only
    def test_a_clock_that_is_set_while_it_runs_is_an_alarm_at_once(self):
        self.start("")
        clock = ClockJump(self.system.directory)
        self.restart("", clock.env)
        marked = "SELECT value FROM setting WHERE name = 'last_run_us' AND value > ? * 1000000"
        started = int(time.time()) - 1
        with contextlib.closing(sqlite3.connect(f"file:{self.system.state}/jobs.db?mode=ro", uri=True)) as database:
            wait_until("the first look at the clock", lambda: database.execute(marked, (started,)).fetchall())

        def paused():
            return any("retention is paused" in text for text in alarm_texts(self.system.ctl_json("status")))
        self.assertFalse(paused())
        for days, expected in ((40, True), (0, False)):
            clock.jump(days * 86_400)
            wait_until(f"the alarm at {days} days", lambda e=expected: paused() == e)

    def overdue(self, jobs):
        """A registry with so many jobs of workers that are past their deadline, so many that are silent, and no daemon."""
        self.start("")
        wire, key = self.system.wire(), self.system.make_key()
        late = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "deadline_s": 86_400}, key)["result"]["job_id"]
        silent = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "silence_limit_s": 86_400}, key)["result"]["job_id"]
        for job in (late, silent):
            self.assertTrue(wire.call("jobs.report_progress", {"job_id": job, "mark_started": True}, key)["ok"])
        wire.close()
        self.assertEqual(self.system.daemon.stop(), 0)
        ago = "- 200000000000"  # More than two days.
        with contextlib.closing(sqlite3.connect(self.system.state / "jobs.db")) as database, database:
            for template, column in ((late, "deadline_us"), (silent, "seen_us")):
                own = {"job_id": f"printf('{column}-%08d', n)"}
                copy_rows(database, "job", template, jobs, {**own, column: column + ago})
                copy_rows(database, "job_event", template, jobs, own)
            Registry.recount(database)
        return key

    @sqlite_only
    def test_overdue_jobs_of_workers_delay_neither_a_start_nor_submissions(self):
        """Of so many of each: the late ones fail, the silent ones count anew."""
        jobs = 3_000 if SANITIZED else 15_000
        key = self.overdue(jobs)
        began = time.monotonic()
        self.system.start_daemon()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        took, failed = [], 0
        while failed < jobs:
            self.assertLess(time.monotonic() - began, 240 if SANITIZED else 60, f"{failed} jobs have failed")
            asked = time.monotonic()
            reply = wire.call("jobs.create", {"job_type": "import", "total_items": 1}, key)
            took.append(time.monotonic() - asked)
            self.assertTrue(reply["ok"], reply)
            if len(took) == 1:
                first = time.monotonic() - began
            failed = wire.call("jobs.list", {"status": "failed", "limit": 1}, key)["result"]["total"]
        seconds = time.monotonic() - began
        print(f"\nfirst submission {first:.2f} s after the start; {jobs} late jobs ended after {seconds:.1f} s; "
              f"{len(took)} submissions meanwhile, the slowest {max(took) * 1e3:.0f} ms")
        self.assertLess(first, 20 if SANITIZED else 5, "a start that waits for what is overdue took 35 s")
        self.assertLess(max(took), 8 if SANITIZED else 2, "a submission that waits for more than a batch or two")
        self.assertEqual(failed, jobs)
        self.assertNotIn("has not reported", str(wire.call("jobs.list", {"status": "failed", "limit": 50}, key)["result"]["items"]))

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
