"""kill -9 at every named step of an export, and at moments nobody chose: no job is lost, one file is visible for each, nothing is left."""
import contextlib
import hashlib
import pathlib
import random
import re
import signal
import sqlite3
import threading
import time
import unittest

from functional.harness import FULL, PATIENCE_S, SANITIZED, SOURCE, System, preloaded, side_by_side, wait_until

PRODUCTS = 2500
SUBMIT = {"format": "csv"}
# Where the daemon dies while it runs one export: (fault, what it is).
EXPORT_POINTS = [
    ("submit.created", "C1 after the job is durable, before the reply"),
    ("run.claimed", "C2 after the claim, before the first row"),
    ("run.intended", "C2 after the key is recorded"),
    ("file.block_written", "C3 between two blocks, mid-row"),
    ("run.batch:kill:2", "C3 between two batches"),
    ("file.before_sync", "C5 after the last byte, before the sync"),
    ("file.before_rename", "C6 after the sync, before the rename"),
    ("file.before_directory_sync", "C7 after the rename, before the directory's sync"),
    ("run.before_completion", "C8 before the final commit"),
    ("run.completed", "C9 after the final commit"),
]
# The Nth commit of any database since the start: those of the start itself, of the request, of the run.
COMMITS = [f"{point}:kill:{n}" for point in ("database.before_commit", "database.after_commit") for n in range(1, 13)]
# The same, counted from the submission of an export on: its creation, its claim, its file, its end.
COMMITS_OF_AN_EXPORT = [f"{point}:kill:{n}" for point in ("database.before_commit", "database.after_commit") for n in range(1, 9)]
# What removes rows: what it is, and where the daemon dies.
REMOVALS = [("prune", "retention.pruned:kill"), ("compact", "compact.written_anew:kill"), ("compact", "compact.some_freed:kill")]
COMMITS_OF_REMOVALS = [(what, f"{point}:kill:{n}") for what in ("prune", "expire") for point in ("database.before_commit", "database.after_commit") for n in range(1, 5)]
RETENTION = {"prune": "job_retention_s = 1\nfile_retention_s = 0\n", "expire": "job_retention_s = 0\nfile_retention_s = 1\n", "compact": ""}
# Numbers that the registry keeps, and how they are counted.
KEPT = {"SELECT organization_id, status, job_type, jobs FROM job_count": "SELECT organization_id, status, job_type, count(*) FROM job GROUP BY 1, 2, 3",
        "SELECT status, job_type, jobs FROM job_count_of_all": "SELECT status, job_type, count(*) FROM job GROUP BY 1, 2",
        "SELECT sum(pending), sum(running) FROM organization":
            "SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'in_progress') FROM job WHERE runner = 'daemon'",
        "SELECT sum(stored_bytes) FROM organization": "SELECT coalesce(sum(bytes), 0) FROM file WHERE state = 'live'",
        "SELECT value FROM setting WHERE name = 'notices_pending'": "SELECT count(*) FROM notice WHERE delivery = 'pending'",
        "SELECT 0": "SELECT count(*) FROM job_event WHERE job_id NOT IN (SELECT job_id FROM job)"}
TORN_WRITES = [("jobs.db-wal", n) for n in (1, 2, 4, 6, 9)] + [(".csv.part", n) for n in (1, 2)]
MIGRATIONS = ["database.before_migration", "database.in_migration", "database.after_migration"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Ledger:
    """The table at the end."""
    rows = {}
    dead_links = 0  # Links whose file went before they ended.
    lock = threading.Lock()

    @classmethod
    def add(cls, point, lost, duplicates, orphans):
        with cls.lock:
            runs, *sums = cls.rows.get(point, (0, 0, 0, 0))
            cls.rows[point] = (runs + 1, *(a + b for a, b in zip(sums, (lost, duplicates, orphans))))

    @classmethod
    def show(cls):
        print(f"\n{'FAULT POINT':52} {'RUNS':>5} {'JOBS LOST':>10} {'DUPLICATES VISIBLE':>19} {'ORPHANS AFTER SWEEP':>20}")
        for point, row in cls.rows.items():
            print(f"{point:52} {row[0]:5} {row[1]:10} {row[2]:19} {row[3]:20}")
        print(f"links of a deleted file: {cls.dead_links}")


class Site(System):
    """A daemon that dies, and what must hold afterwards. No shim: the operator alone asks here."""

    def __init__(self, test, extra=""):
        super().__init__()
        test.addCleanup(self.close)
        self.test = test
        self.port = 1
        self.extra = f"\n[export]\nsweep_interval_s = 1\norphan_grace_s = 1\nretry_base_ms = 50\n{extra}"
        self.submitted = 0
        self.armed = self.directory / "armed"  # For EXPORT_WORKER_FAULTS_ARMED.

    def jobs(self):
        return self.ctl_json("job", "list", "--limit", "500")["items"]

    def check(self, point, expected_jobs, allowed=("completed",), patience_s=PATIENCE_S):
        """The invariants, once everything has settled; and a second restart changes nothing."""
        test = self.test
        jobs = wait_until("every job to end", lambda: (j := self.jobs()) and all(e["status"] in ("completed", "failed", "cancelled") for e in j) and j,
                          patience_s)
        lost = expected_jobs - len(jobs)
        test.assertEqual({j["status"] for j in jobs} - set(allowed), set(), point)
        live = [j for j in jobs if j["status"] == "completed" and j["expired_at"] is None]
        named = {pathlib.Path(j["metadata"]["file_url"].removeprefix("file://")): j for j in live}
        test.assertEqual(len(named), len(live), point)
        wait_until(f"the sweep after {point}", lambda: set(self.files()) == set(named))
        for path, job in named.items():
            test.assertEqual(digest(path), job["metadata"]["sha256"], point)
        per_job = [p.name.split(".")[0] for p in self.files()]
        duplicates = len(per_job) - len(set(per_job))
        orphans = len(set(self.files()) - set(named))
        test.assertEqual(list((self.state / "tmp").iterdir()), [])
        Ledger.add(point, lost, duplicates, orphans)
        test.assertEqual((lost, duplicates, orphans), (0, 0, 0), point)
        before = [(j["job_id"], j["status"], j["metadata"]) for j in jobs]
        test.assertEqual(self.daemon.stop(), 0)
        for name in ("jobs.db", "catalog.db"):
            with contextlib.closing(sqlite3.connect(self.state / name)) as database:
                test.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)], point)
                for kept, counted in KEPT.items() if name == "jobs.db" else ():
                    test.assertEqual(sorted(database.execute(kept)), sorted(database.execute(counted)), (point, kept))
        self.start_daemon()
        test.assertEqual([(j["job_id"], j["status"], j["metadata"]) for j in self.jobs()], before, point)
        test.assertEqual(set(self.files()), set(named), point)

    def lose_answers(self):
        """The daemon's commits are answered by errors until this file is deleted."""
        file = self.directory / "database.commit_answer.lose"
        file.touch()
        return file

    def submit_export(self, key=None):
        """The job's id, or None when the daemon dies instead of answering."""
        wire = self.control()
        try:
            params = dict(SUBMIT, **({"idempotency_key": key} if key else {}))
            request = wire.send("exports.submit", params, auth={"organization_id": "acme"})
            wait_until("an answer or a death", lambda: wire.socket.poll(20) or self.daemon.popen.poll() is not None)
            # An answer may still be on its way from a daemon that has died.
            return wire.receive(request)["result"]["job_id"] if wire.socket.poll(100) else None
        finally:
            wire.close()

    def die_and_recover(self, key, point, env=None, faults=None):
        """A restart with a fault, one export that meets it, a restart without; then the client asks again with the same key."""
        self.armed.unlink(missing_ok=True)
        self.test.assertEqual(self.daemon.stop(), 0)
        # The start itself may be what dies.
        self.start_daemon(env, faults=faults, must_start=False)
        wait_until("ready or dead", lambda: "ready: data on" in self.daemon.text() or self.daemon.popen.poll() is not None)
        self.armed.touch()
        answered = self.submit_export(key) if self.daemon.popen.poll() is None else None
        self.test.assertEqual(self.wait_for_death(), -signal.SIGKILL, point)
        self.start_daemon()
        # A client without an answer asks again with the same key: one job, whether the first request was accepted or not.
        again = self.submit_export(key)
        self.test.assertIsNotNone(again)
        if answered is not None:
            self.test.assertEqual(again, answered)
        self.submitted += 1
        self.check(point, self.submitted)


def lanes(cases, count):
    """The cases in so many lists, each for a daemon of its own."""
    return [cases[index::count] for index in range(count)]


class KillCase(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        Ledger.show()

    def site(self, products=PRODUCTS, extra="", store_keys="", **start):
        site = Site(self, extra)
        site.store_keys = store_keys
        site.start_daemon(**start)
        site.import_generated(products)
        return site


class NamedPoints(KillCase):
    def test_every_step_of_an_export(self):
        side_by_side(self, self.die_at_steps, lanes([fault if ":" in fault else f"{fault}:kill" for fault, _ in EXPORT_POINTS], 5))

    def die_at_steps(self, faults):
        site = self.site()
        for fault in faults:
            site.die_and_recover(f"request-{fault}", re.sub(r":kill:\d+$|:kill$", "", fault), faults=fault)

    def test_every_commit(self):
        # In the short form each commit dies once: the odd ones before it, the even ones after it.
        commits = COMMITS if FULL else [fault for fault in COMMITS if ("before" in fault) == (int(fault.rsplit(":", 1)[1]) % 2 == 1)]
        side_by_side(self, self.die_at_commits, lanes(commits, 6))

    def die_at_commits(self, faults):
        site = self.site()
        for fault in faults:
            site.die_and_recover(f"request-{fault}", re.sub(r":kill:\d+$", " (C9)", fault), faults=fault)

    def test_every_commit_of_an_export(self):
        side_by_side(self, self.die_at_commits_of_an_export, lanes(COMMITS_OF_AN_EXPORT if FULL else COMMITS_OF_AN_EXPORT[1::8], 6 if FULL else 2))

    def die_at_commits_of_an_export(self, faults):
        site = self.site()
        for fault in faults:
            site.die_and_recover(f"request-{fault}", re.sub(r":kill:\d+$", " (of an export)", fault),
                                 env={"EXPORT_WORKER_FAULTS_ARMED": str(site.armed)}, faults=fault)

    def test_what_removes_rows(self):
        """Of forgotten jobs all is gone or nothing, what is kept stays, and the file of the registry is whole."""
        side_by_side(self, self.die_while_rows_are_removed, REMOVALS + (COMMITS_OF_REMOVALS if FULL else COMMITS_OF_REMOVALS[3:8:4]))

    def die_while_rows_are_removed(self, case):
        what, fault = case
        verb = "compact" if what == "compact" else "prune"
        site = self.site(products=10, store_keys="link_lifetime_s = 1\n")
        wait_until("the export", lambda job=site.submit_export(): site.job_when(job, "completed"))
        site.ctl("organization", "set", "acme", "--hold")
        for _ in range(5):
            site.ctl("job", "cancel", site.submit_export())
        ended = time.monotonic()
        self.assertEqual(site.daemon.stop(), 0)
        with contextlib.closing(sqlite3.connect(site.state / "jobs.db")) as database:
            # With pages to give back.
            database.execute("CREATE TABLE filler AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT zeroblob(4000) FROM n")
            database.execute("DROP TABLE filler")
            database.commit()
            if fault.startswith("compact.written_anew"):  # As version 0.1 made it.
                database.execute("PRAGMA auto_vacuum = NONE")
                database.execute("VACUUM")
        wait_until("the jobs to be old", lambda: time.monotonic() > ended + 1)
        site.extra += RETENTION[what]
        site.start_daemon({"EXPORT_WORKER_FAULTS_ARMED": str(site.armed)}, faults=fault)
        site.armed.touch()
        site.ctl(verb, check=False)
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        site.start_daemon()
        if what == "prune":
            wait_until("the cancelled jobs to be forgotten", lambda: site.ctl("prune") and len(site.jobs()) == 1)
        if what == "expire":
            wait_until("the file to expire", lambda: site.ctl("prune") and [j for j in site.jobs() if j["expired_at"]])
        site.ctl("compact")
        site.check(f"{re.sub(r':kill.*', '', fault)} ({what})", 1 if what == "prune" else 6, allowed=("completed", "cancelled"))

    def test_answers_of_commits_that_are_lost(self):
        """The commit happens and is answered by an error. Then answers come again, the daemon dies, or it is stopped."""
        side_by_side(self, self.lose_the_answer_of_a_completion, ("back", "kill", "stop", "kill at once"))

    def lose_the_answer_of_a_completion(self, then):
        faults = "run.before_completion:pause,database.commit_answer:lose"
        site = self.site(faults=faults + (",run.outcome_unknown:kill" if then == "kill at once" else ""))
        job = site.submit_export()
        site.paused_at("run.before_completion")
        answers = site.lose_answers()
        site.let_go("run.before_completion")
        if then != "kill at once":
            site.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        if then == "stop":
            self.assertEqual(site.daemon.stop(), 0)
        elif then == "kill":
            site.daemon.stop(signal.SIGKILL)
        elif then == "kill at once":
            self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        answers.unlink()
        if then != "back":
            site.start_daemon()
        site.check(f"run.outcome_unknown (C9, then: {then})", 1)
        self.assertEqual([e["kind"] for e in site.ctl_json("job", "events", job)["items"]], ["submitted", "claimed", "published"])

    def test_answers_that_are_lost_from_request_to_end(self):
        """The job is created, claimed and given up by commits without an answer: it exists once and runs once."""
        site = self.site(faults="run.batch:pause,workers.stopping:pause,database.commit_answer:lose")
        answers = site.lose_answers()
        wire = site.control()
        self.addCleanup(wire.close)
        params = dict(SUBMIT, idempotency_key="once")
        error = wire.call("exports.submit", params, auth={"organization_id": "acme"})["error"]
        self.assertEqual((error["code"], error["executed"], error["retryable"]), ("unavailable", "unknown", False))
        site.daemon.wait_for_log("claim: ")
        answers.unlink()
        job = site.submit_export("once")
        site.paused_at("run.batch")
        answers = site.lose_answers()
        site.daemon.popen.send_signal(signal.SIGTERM)
        site.paused_at("workers.stopping")  # The worker is told to stop before it goes on.
        site.let_go("run.batch")
        site.daemon.wait_for_log(f"job {job}: its end could not be recorded")
        site.let_go("workers.stopping")
        self.assertEqual(site.daemon.stop(), 0)
        answers.unlink()
        site.start_daemon()
        site.check("answers lost from request to end", 1)
        kinds = [e["kind"] for e in site.ctl_json("job", "events", job)["items"]]
        self.assertEqual(kinds, ["submitted", "claimed", "interrupted", "claimed", "published"])

    def test_a_backup_that_dies_leaves_nothing(self):
        site = self.site(faults="backup.before_rename:kill:2")
        site.submit_export()
        target = site.directory / "backup"
        site.ctl("backup", target, check=False)
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        self.assertFalse(target.exists())
        site.start_daemon()
        site.ctl("backup", target)
        self.assertEqual(sorted(p.name for p in target.iterdir()), ["auth.db", "catalog.db", "jobs.db", "manifest.json", "plugins", "plugins.db"])
        for path in target.glob("*.db"):
            with contextlib.closing(sqlite3.connect(path)) as database:
                self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        site.check("backup.before_rename (C13)", 1)

    def test_writes_torn_in_half(self):
        side_by_side(self, self.tear_writes, lanes(TORN_WRITES, 4))

    def tear_writes(self, writes):
        site = self.site()
        preload = preloaded("kill_in_write")
        for suffix, count in writes:
            env = {**preload, "KILL_IN_WRITE_SUFFIX": suffix, "KILL_IN_WRITE_COUNT": str(count)}
            site.die_and_recover(f"torn-{suffix}-{count}", f"write cut in half: {suffix}", env=env)

    def test_cancel_at_its_clean_up(self):
        site = self.site(faults="run.batch:pause,run.before_cleanup:kill")
        job = site.submit_export()
        site.paused_at("run.batch")
        self.assertTrue(site.ctl_json("job", "cancel", job)["cancel_requested"])
        site.let_go("run.batch")
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        site.start_daemon()
        site.check("run.before_cleanup (C12, cancel)", 1, allowed=("cancelled",))

    def test_clean_up_between_its_steps(self):
        site = self.site(faults="run.batch:pause,drop.removed:kill")
        job = site.submit_export()
        site.paused_at("run.batch")
        site.ctl("job", "cancel", job)
        site.let_go("run.batch")
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        site.start_daemon()
        site.check("drop.removed (C12, cancel)", 1, allowed=("cancelled",))

    def test_expiry_between_its_steps(self):
        side_by_side(self, self.die_in_expiry, ("expiry.marked", "withdrawn.removed"))

    def die_in_expiry(self, fault):
        # The first look of a daemon at what is too old comes a second after its start.
        site = self.site(extra="file_retention_s = 1\n", store_keys="link_lifetime_s = 8\n")
        job = site.submit_export()
        wait_until("the export", lambda: site.job_when(job, "completed"))
        end = time.monotonic() + site.ctl_json("link", job)["expires_in_seconds"]
        self.assertEqual(site.daemon.stop(), 0)
        site.start_daemon(faults=f"{fault}:kill")
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        Ledger.dead_links += time.monotonic() < end and not site.files()
        site.start_daemon()
        wait_until("the expiry", lambda: site.jobs()[0]["expired_at"])
        self.assertIn("no longer available", site.ctl("link", job, check=False).stderr)
        wait_until("the file to be gone", lambda: not site.files())
        Ledger.dead_links += time.monotonic() < end
        self.assertEqual(Ledger.dead_links, 0)
        site.check(f"{fault} (C12, expiry)", 1)

    def test_migrations(self):
        """Every step of every database. In the short form each step dies at one of its three points, in turn."""
        whole = Site(self)
        whole.start_daemon()
        steps = len(re.findall(r"\.db: schema version \d+", whole.daemon.text()))
        self.assertGreaterEqual(steps, 9)
        side_by_side(self, self.die_in_migration, [(fault, step) for step in range(1, steps + 1) for index, fault in enumerate(MIGRATIONS)
                                                   if FULL or step % len(MIGRATIONS) == index])

    def die_in_migration(self, case):
        fault, step = case
        site = Site(self)
        site.start_daemon(faults=f"{fault}:kill:{step}", must_start=False)
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        site.start_daemon()
        site.import_generated(10)
        site.submit_export()
        site.check(f"{fault} (C13)", 1)

    def test_while_it_drains(self):
        site = self.site(faults="run.batch:pause,workers.stopping:kill")
        site.submit_export()
        site.paused_at("run.batch")
        site.daemon.popen.send_signal(signal.SIGTERM)
        self.assertEqual(site.wait_for_death(), -signal.SIGKILL)
        site.start_daemon()
        site.check("workers.stopping (C14)", 1)

    def test_no_point_is_forgotten(self):
        """Every fault point in the source is in one of these tests."""
        found = set()
        for folder in ("daemon", "base"):
            for path in (SOURCE / folder).rglob("*.cpp"):
                found |= set(re.findall(r'fault_point\("([^"]+)"\)', path.read_text()))
        driven = "".join(p.read_text() for p in (SOURCE / "tests").rglob("*.py"))
        self.assertEqual([name for name in found if f'"{name}' not in driven and f"{name}:" not in driven], [])
        self.assertGreater(len(found), 15)


class UnchosenMoments(KillCase):
    def long_export(self):
        """A daemon whose catalog takes this machine at least a second to export, what was exported, and the seconds."""
        for doublings in range(8):
            site = self.site((4000 if SANITIZED else 60000) << doublings)
            begun = time.monotonic()
            reference = site.export()
            seconds = time.monotonic() - begun
            if seconds >= 1:
                return site, reference, seconds
            site.daemon.stop()
        self.fail(f"even 128 times the catalog is exported in {seconds:.2f} s: expected one that takes a second")

    def test_kill_9_in_the_middle_of_an_export(self):
        hits_wanted = 12 if FULL and not SANITIZED else 4
        site, reference, seconds = self.long_export()
        pick = random.Random(4711)  # The same moments in every run, as far as a clock can promise that.
        hits = submitted = 0
        while hits < hits_wanted:
            self.assertLess(submitted, 8 * hits_wanted, f"{hits} kills hit a running export, expected {hits_wanted}")
            self.assertIsNotNone(site.submit_export())
            submitted += 1
            time.sleep(pick.uniform(0, seconds))  # sleep: the moment is the subject; a condition would choose it
            site.daemon.stop(signal.SIGKILL)
            # What a reader of the directory sees: only finished files.
            for path in site.exports.rglob("*.csv"):
                self.assertEqual(digest(path), reference["metadata"]["sha256"], path)
            site.start_daemon()
            hits += "pending again" in site.daemon.text()
        site.check("any moment", submitted + 1, patience_s=PATIENCE_S + 5 * seconds * submitted)

    def test_kill_9_right_after_accepting(self):
        site = self.site()
        for _ in range(3):
            self.assertIsNotNone(site.submit_export())
        site.daemon.stop(signal.SIGKILL)
        site.start_daemon()
        site.check("right after the reply", 3)

    def test_sigterm_puts_the_job_back_with_its_attempt(self):
        site = self.site(faults="run.batch:pause,workers.stopping:pause")
        job = site.submit_export()
        site.paused_at("run.batch")
        site.daemon.popen.send_signal(signal.SIGTERM)
        site.paused_at("workers.stopping")  # The worker is told to stop before it goes on.
        site.let_go("run.batch")
        site.let_go("workers.stopping")
        self.assertEqual(site.daemon.stop(), 0)
        site.start_daemon()
        done = wait_until("the job", lambda: site.job_when(job, "completed"))
        self.assertEqual(done["attempt"], 1)
        self.assertEqual([e["kind"] for e in site.ctl_json("job", "events", job)["items"]].count("claimed"), 2)
        site.check("SIGTERM", 1)


del KillCase  # Not a test of its own.

if __name__ == "__main__":
    unittest.main()
