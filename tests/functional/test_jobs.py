"""What callers and operators can do with jobs, end to end: idempotency, holds, organizations, events, retention, fsck, backup, a foreign worker."""
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

from functional.harness import SOURCE, ClockJump, System, SystemTest, freeze, wait_until
from functional.skips import sqlite_only


class JobTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(50)
        cls.key = system.make_key()

    def test_an_idempotency_key_over_http(self):
        first = self.system.api("POST", "/api/products/export-async", self.key, {"format": "csv"}, Idempotency_Key="k-1")
        again = self.system.api("POST", "/api/products/export-async", self.key, {"format": "csv"}, Idempotency_Key="k-1")
        other = self.system.api("POST", "/api/products/export-async", self.key, {"format": "jsonl"}, Idempotency_Key="k-1")
        self.assertEqual((first.status, again.status, other.status), (202, 202, 409))
        self.assertEqual(first.json["job_id"], again.json["job_id"])
        self.assertIn("idempotency_key", other.json["detail"])

    def test_hold_release_and_the_organization(self):
        self.system.ctl("organization", "set", "acme", "--hold")
        job = self.system.ctl_json("export", "submit", "--organization", "acme")["job_id"]
        self.assertTrue(self.system.ctl_json("job", "hold", job)["held"])
        self.assertIn("held", self.system.ctl("organization", "list").stdout)
        self.system.ctl("organization", "set", "acme", "--release", "--running-max", "1", "--weight", "3")
        self.assertEqual(self.system.ctl_json("job", "show", job)["status"], "pending")
        self.assertEqual(self.system.api("POST", f"/api/jobs/{job}/release", self.key).status, 200)
        wait_until("the export", lambda: self.system.job_when(job, "completed"))
        for verb, word in (("hold", "held"), ("release", "released")):
            refused = self.system.api("POST", f"/api/jobs/{job}/{verb}", self.key)
            self.assertEqual(refused.status, 409)
            self.assertEqual(refused.json["detail"], f"Only a pending export can be {word}; this job is completed")
        events = self.system.api("GET", f"/api/jobs/{job}/events", self.key).json["items"]
        self.assertEqual([e["kind"] for e in events], ["submitted", "held", "released", "claimed", "published"])
        later = self.system.api("GET", f"/api/jobs/{job}/events?after=4", self.key).json["items"]
        self.assertEqual([e["kind"] for e in later], ["published"])
        self.system.ctl("organization", "set", "acme", "--running-max", "default")
        self.assertEqual(self.system.ctl("organization", "set", "acme", "--weight", "0", check=False).returncode, 1)

    def test_quotas_of_an_organization(self):
        key = self.system.make_key("small")
        self.system.ctl("organization", "set", "small", "--hold", "--unfinished-max", "2", "--requests-per-second-max", "1000")
        jobs = [self.system.submit(key, format="csv") for _ in range(2)]
        refused = self.system.api("POST", "/api/products/export-async", key, {"format": "csv"})
        self.assertEqual(refused.status, 429)
        self.assertEqual(refused.json["detail"], "quota: organization small may have 2 unfinished jobs, and has them; wait until some end, or cancel some")
        self.assertTrue(refused.headers["Retry-After"])
        shown = self.system.ctl_json("organization", "show", "small")
        self.assertEqual((shown["unfinished"], shown["unfinished_max"], shown["requests_per_second_max"]), (2, 2, 1000))
        self.assertIn("2, at most 2", self.system.ctl("organization", "show", "small").stdout)
        self.assertEqual(self.system.api("POST", f"/api/jobs/{jobs[0]}/cancel", key).status, 200)
        self.system.submit(key, format="csv")
        self.system.ctl("organization", "set", "small", "--unfinished-max", "none", "--release")
        wait_until("the exports", lambda: self.system.ctl_json("organization", "show", "small")["unfinished"] == 0)
        self.system.ctl("organization", "set", "small", "--stored-bytes-max", "1")
        refused = self.system.api("POST", "/api/products/export-async", key, {"format": "csv"})
        self.assertEqual(refused.status, 429)
        self.assertIn("bytes of exports", refused.json["detail"])
        self.system.ctl("organization", "set", "small", "--stored-bytes-max", "none", "--requests-per-second-max", "1")
        statuses = {self.system.api("GET", "/api/jobs/", key).status for _ in range(20)}
        self.assertEqual(statuses, {200, 429})
        link = {self.system.mint(jobs[1], key).status for _ in range(20)}
        self.assertIn(429, link, "plugins' methods count, too")

    def test_pages_of_a_list_neither_repeat_nor_miss_a_job(self):
        key = self.system.make_key("pages")
        jobs = [self.system.submit(key, format="csv") for _ in range(5)]
        seen, after = [], ""
        while after is not None:
            page = self.system.api("GET", "/api/jobs/?limit=2" + after, key).json
            seen += [job["job_id"] for job in page["items"]]
            self.system.submit(key, format="csv")
            after = page["next"] and "&after=" + page["next"]
        self.assertEqual(seen, jobs[::-1])
        listed = self.system.ctl("job", "list", "--organization", "pages", "--limit", "2", "--after", seen[2]).stdout
        self.assertIn(seen[4], listed)
        self.assertIn("--after " + seen[1], self.system.ctl("job", "list", "--organization", "pages", "--limit", "1", "--after", seen[0]).stdout)
        both = self.system.api("GET", f"/api/jobs/?offset=1&after={seen[0]}", key)
        self.assertEqual((both.status, both.json["detail"][0]["loc"]), (422, ["query", "offset"]))
        self.assertEqual(self.system.api("GET", "/api/jobs/?offset=10001", key).status, 422)

    def test_links_and_downloads_are_remembered(self):
        job = self.system.export()["job_id"]
        for _ in range(3):
            link = self.system.mint(job, self.key).json
        self.assertEqual(self.system.fetch(link["download_url"]).status, 200)
        def events():
            return {e["kind"]: e for e in self.system.ctl_json("job", "events", job)["items"]}
        self.assertEqual(wait_until("the link", lambda: events().get("link_minted"))["count"], 3)
        downloaded = wait_until("the download", lambda: events().get("downloaded"))
        self.assertEqual((downloaded["count"], downloaded["actor"]), (1, "link of key k1"))
        wire = self.system.wire()
        forged = wire.call("downloads.report", {"target": "/exports/acme/x.csv?expires=9&filename=x&key=k1&sig=AAAA"})
        self.assertEqual(forged["error"]["code"], "permission_denied")
        wire.close()

    def test_a_worker_in_python_uses_the_registry(self):
        source = self.system.directory / "in.jsonl"
        source.write_text("".join(json.dumps({"key": f"k{n}", "properties": {"name": f"n{n}"}}) + "\n" for n in range(250)) + "not json\n")
        target = self.system.exports / "acme"
        target.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "EXPORT_WORKER_ENDPOINT": f"ipc://{self.system.state}/run/data.sock", "EXPORT_WORKER_KEY": self.key}
        command = [sys.executable, str(SOURCE / "examples/worker/worker.py"), str(source), str(target), "request-1"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        job = self.system.ctl_json("job", "show", done.stdout.strip())
        self.assertEqual((job["status"], job["processed_items"], job["failed_items"]), ("partial_success", 250, 1))
        link = self.system.mint(job["job_id"], self.key)
        self.assertEqual(link.status, 200, link.body)
        self.assertTrue(self.system.fetch(link.json["download_url"]).body.startswith(b"key,name\r\nk0,n0\r\n"))
        # The same request again finds the job it made, which has its file.
        again = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual((again.returncode, again.stdout, again.stderr), (0, done.stdout, "partial_success\n"))

    def test_a_worker_that_is_started_again_or_gets_no_answer_counts_each_error_once(self):
        spec = importlib.util.spec_from_file_location("worker", SOURCE / "examples/worker/worker.py")
        worker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(worker)
        source = self.system.directory / "bad.jsonl"
        source.write_text("".join(f"no JSON {n}\n" if n % 50 == 0 else json.dumps({"key": f"k{n}"}) + "\n" for n in range(1, 251)))
        target = self.system.exports / "acme"
        target.mkdir(parents=True, exist_ok=True)
        test = self

        class Killed(Exception):
            pass

        class Unlucky(worker.Daemon):
            """Sends every report twice, as after a lost answer, and ends the worker after some."""
            reports_left = 6

            def call(self, method, **params):
                if method == "jobs.report_progress":
                    test.assertTrue(super().call(method, **params))
                    self.reports_left -= 1
                    if self.reports_left == 0:
                        raise Killed()
                return super().call(method, **params)

        daemon = Unlucky(f"ipc://{self.system.state}/run/data.sock", self.key)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            with self.assertRaises(Killed):
                worker.run(daemon, source, target, "request-2")
            daemon.reports_left = 100
            self.assertEqual(worker.run(daemon, source, target, "request-2"), "partial_success")
            self.assertEqual(worker.run(daemon, source, target, "request-2"), "partial_success")
        daemon.socket.close()
        job_id, = set(printed.getvalue().split())
        job = self.system.ctl_json("job", "show", job_id)
        self.assertEqual((job["processed_items"], job["failed_items"]), (245, 5))
        self.assertEqual([entry["entity_key"] for entry in job["errors"]], [f"line {n}" for n in range(50, 251, 50)])


class FreezeTest(SystemTest):
    def test_a_freeze_is_not_held_against_workers(self):
        key = self.system.make_key()
        wire = self.system.wire()
        job = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "silence_limit_s": 3}, key)["result"]["job_id"]
        self.assertTrue(wire.call("jobs.report_progress", {"job_id": job, "mark_started": True}, key)["ok"])
        freeze(self.system.daemon.popen)
        time.sleep(6)  # sleep: the length of the freeze is the subject
        self.system.daemon.popen.send_signal(signal.SIGCONT)
        self.system.daemon.wait_for_log("the process was frozen for")
        self.assertTrue(wire.call("jobs.report_progress", {"job_id": job, "processed_items": 1}, key)["ok"])
        wire.close()
        failed = wait_until("its silence to end it", lambda: self.system.job_when(job, "failed"))
        self.assertIn("has not reported", failed["error_message"])


class WithoutExportsTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.extra = "[export]\nworkers = 0\n"

    def test_an_export_that_nobody_would_run_is_refused(self):
        refused = self.system.api("POST", "/api/products/export-async", self.system.make_key(), {"format": "csv"})
        self.assertEqual((refused.status, "this daemon runs no exports" in refused.json["detail"]), (409, True), refused.body)
        done = self.system.ctl("export", "submit", "--organization", "acme", check=False)
        self.assertEqual((done.returncode, "[export] workers = 0" in done.stderr), (1, True), done.stderr)


class CareTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.extra = "[export]\nsweep_interval_s = 3600\norphan_grace_s = 1\n"
        self.system.store_keys = "link_lifetime_s = 1\n"
        self.system.start()
        self.system.import_generated(50)

    def test_fsck_plans_and_repairs(self):
        jobs = [self.system.export() for _ in range(4)]
        paths = [pathlib.Path(j["metadata"]["file_url"].removeprefix("file://")) for j in jobs]
        self.assertEqual(self.system.ctl_json("fsck")["problems"], 0)
        paths[0].unlink()
        paths[1].write_bytes(paths[1].read_bytes()[:-1])
        data = bytearray(paths[2].read_bytes())
        data[100] ^= 1
        paths[2].write_bytes(data)
        orphan = paths[3].with_name(jobs[3]["job_id"] + ".9.csv")
        shutil.copyfile(paths[3], orphan)
        os.utime(orphan, (1, 1))
        (paths[3].parent / "notes.txt").write_text("of somebody else")
        # Whoever speaks to the socket without exportctl may send anything: it means no more than "no".
        wire = self.system.control()
        self.assertTrue(wire.call("control.fsck", {"apply": "yes", "no_hashes": 1})["ok"])
        wait_until("that one to end", lambda: not wire.call("control.task")["result"]["running"])
        wire.close()
        plan = self.system.ctl("--json", "fsck", check=False)
        self.assertEqual(plan.returncode, 65)
        report = json.loads(plan.stdout)
        self.assertEqual(sorted(f["problem"] for f in report["listed"]), ["damaged", "damaged", "missing", "orphan"])
        self.assertEqual((report["repaired"], report["foreign"]), (0, 1))
        self.assertTrue(orphan.exists())
        shown = self.system.ctl("fsck", check=False).stdout
        self.assertIn("expected SHA-256", shown)
        self.assertIn("fsck --apply repairs", shown)
        key = self.system.make_key()
        link = self.system.mint(jobs[2]["job_id"], key).json
        end = time.monotonic() + link["expires_in_seconds"]
        repaired = self.system.ctl_json("fsck", "--apply")
        self.assertEqual((repaired["problems"], repaired["repaired"]), (4, 4))
        self.assertEqual(self.system.ctl_json("fsck")["problems"], 0)
        # The last link to a withdrawn file runs out before the file goes.
        self.assertIn(paths[2].name, [p.name for p in self.system.files()])
        wait_until("the withdrawn files to go", lambda: len(self.system.files()) == 2)
        self.assertGreater(time.monotonic(), end)
        self.assertEqual(sorted(p.name for p in self.system.files()), sorted([paths[3].name, "notes.txt"]))
        self.assertEqual([self.system.mint(j["job_id"], key).status for j in jobs], [410, 410, 410, 200])

    def test_fsck_withdraws_no_more_than_it_may(self):
        for _ in range(11):
            self.system.export()
        for path in self.system.files():
            path.unlink()
        plan = self.system.ctl("fsck", check=False)
        self.assertEqual((plan.returncode, "withdraws 11 files" in plan.stdout), (65, True), plan.stdout)
        refused = self.system.ctl("fsck", "--apply", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, "expected at most 10 of 11 files to be missing or damaged, found 11; nothing was changed.*--max-withdrawn 11")
        self.assertIn("11 problems, 0 repaired", refused.stdout)
        self.assertEqual(self.system.ctl("fsck", "--max-withdrawn", "11", check=False).returncode, 64)
        applied = self.system.ctl("fsck", "--apply", "--max-withdrawn", "11")
        self.assertIn("11 problems, 11 repaired", applied.stdout)
        self.assertNotIn("fsck --apply", applied.stdout)

    def test_fsck_apply_does_not_advise_what_it_has_done(self):
        for _ in range(3):
            self.system.export()
        lost, blocked, _ = self.system.files()
        lost.unlink()
        blocked.unlink()
        blocked.mkdir()
        plan = self.system.ctl("fsck", check=False)
        self.assertIn("nothing was changed; exportctl fsck --apply repairs what has a repair, and withdraws 1 files", plan.stdout)
        applied = self.system.ctl("fsck", "--apply", check=False)
        self.assertEqual(applied.returncode, 65, applied.stderr)
        self.assertIn("2 problems, 1 repaired", applied.stdout)
        self.assertIn("the rest is as it was: the table says why and what to do; then run exportctl fsck --apply again", applied.stdout)
        self.assertNotIn("withdraws", applied.stdout)

    @sqlite_only
    def test_a_clock_that_is_set_right_after_the_first_start_pauses_retention_until_it_is_right(self):
        self.assertEqual(self.system.daemon.stop(), 0)
        for database in self.system.state.glob("*.db*"):
            database.unlink()
        shutil.rmtree(self.system.exports)
        clock = ClockJump(self.system.directory)
        clock.jump(0)
        self.system.start_daemon(clock.env)
        clock.jump(30 * 86_400)
        wait_until("the alarm", lambda: any("exportctl retention resume" in text for text in self.system.alarms()))
        clock.jump(0)
        wait_until("its end", lambda: not any("exportctl retention resume" in text for text in self.system.alarms()))

    def restart_with_clock(self, clock, seconds):
        self.assertEqual(self.system.daemon.stop(), 0)
        clock.jump(seconds)
        self.system.start_daemon(clock.env)

    @sqlite_only
    def test_a_clock_far_ahead_deletes_nothing(self):
        job = self.system.export()
        self.assertEqual(self.system.daemon.stop(), 0)
        with contextlib.closing(sqlite3.connect(self.system.state / "jobs.db")) as database, database:
            database.execute("INSERT OR REPLACE INTO setting VALUES ('last_run_us', ?)", (int(time.time() * 1e6),))
        clock = ClockJump(self.system.directory)
        clock.jump(40 * 86_400)
        self.system.start_daemon(clock.env)
        def alarms():
            return [text for text in self.system.alarms() if "exportctl retention resume" in text]
        wait_until("the alarm", alarms)
        self.assertIn("\nexport_worker_alarms 1", self.system.ctl("metrics").stdout)
        self.assertEqual(len(self.system.files()), 1)
        self.restart_with_clock(clock, 0)
        wait_until("a start with the right clock", lambda: not alarms())
        self.assertEqual(self.system.ctl_json("job", "show", job["job_id"])["status"], "completed")
        self.assertIn("was not paused", self.system.ctl("retention", "resume").stdout)
        self.restart_with_clock(clock, -2 * 86_400)
        wait_until("the alarm", alarms)
        self.assertIn("goes on", self.system.ctl("retention", "resume").stdout)
        self.assertEqual(alarms(), [])

    @sqlite_only
    def test_no_backup_and_no_output_goes_over_the_live_databases(self):
        done = self.system.export()
        before = {path.name: path.stat().st_ino for path in self.system.state.glob("*.db")}
        link = self.system.directory / "link"
        link.symlink_to(self.system.state)
        for target in (self.system.state, link, f"{self.system.state}/run/.."):
            refused = self.system.ctl("backup", target, check=False)
            self.assertEqual((refused.returncode, "outside of a daemon's state_dir" in refused.stderr), (1, True), refused.stderr)
        for name in before:
            refused = self.system.ctl("catalog", "generate", "--products", "1", "--output", self.system.state / name, check=False)
            self.assertEqual((refused.returncode, "SQLite" in refused.stderr), (1, True), refused.stderr)
        self.assertEqual({path.name: path.stat().st_ino for path in self.system.state.glob("*.db")}, before)
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.start_daemon()
        self.assertIn(done["job_id"], [job["job_id"] for job in self.system.ctl_json("job", "list")["items"]])


if __name__ == "__main__":
    unittest.main()
