"""kill -9 at every named step of an export, and at moments nobody chose: no job is lost, one file is visible for each, nothing is left."""
import hashlib
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

import msgpack
import zmq

from functional.harness import SANITIZED, SOURCE, System, Wire, wait_until

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
TORN_WRITES = [("jobs.db-wal", n) for n in (1, 2, 4, 6, 9)] + [(".csv.part", n) for n in (1, 2)]
MIGRATIONS = ["database.before_migration", "database.in_migration", "database.after_migration"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Ledger:
    """The table at the end."""
    rows = {}

    @classmethod
    def add(cls, point, lost, duplicates, orphans):
        runs, *sums = cls.rows.get(point, (0, 0, 0, 0))
        cls.rows[point] = (runs + 1, *(a + b for a, b in zip(sums, (lost, duplicates, orphans))))

    @classmethod
    def show(cls):
        print(f"\n{'FAULT POINT':52} {'RUNS':>5} {'JOBS LOST':>10} {'DUPLICATES VISIBLE':>19} {'ORPHANS AFTER SWEEP':>20}")
        for point, row in cls.rows.items():
            print(f"{point:52} {row[0]:5} {row[1]:10} {row[2]:19} {row[3]:20}")


class KillCase(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.extra = """
[export]
sweep_interval_s = 1
orphan_grace_s = 1
retry_base_ms = 50
"""
        self.system.start_shim()

    @classmethod
    def tearDownClass(cls):
        Ledger.show()

    def jobs(self):
        return self.system.ctl_json("job", "list", "--limit", "500")["items"]

    def check(self, point, expected_jobs, allowed=("completed",)):
        """The invariants, once everything has settled; and a second restart changes nothing."""
        jobs = wait_until("every job to end", lambda: (j := self.jobs()) and all(e["status"] in ("completed", "failed", "cancelled") for e in j) and j)
        lost = expected_jobs - len(jobs)
        self.assertEqual({j["status"] for j in jobs} - set(allowed), set(), point)
        live = [j for j in jobs if j["status"] == "completed" and j["expired_at"] is None]
        named = {pathlib.Path(j["metadata"]["file_url"].removeprefix("file://")): j for j in live}
        self.assertEqual(len(named), len(live), point)
        wait_until(f"the sweep after {point}", lambda: set(self.system.files()) == set(named))
        for path, job in named.items():
            self.assertEqual(digest(path), job["metadata"]["sha256"], point)
        per_job = [p.name.split(".")[0] for p in self.system.files()]
        duplicates = len(per_job) - len(set(per_job))
        orphans = len(set(self.system.files()) - set(named))
        self.assertEqual(list((self.system.state / "tmp").iterdir()), [])
        Ledger.add(point, lost, duplicates, orphans)
        self.assertEqual((lost, duplicates, orphans), (0, 0, 0), point)
        before = [(j["job_id"], j["status"], j["metadata"]) for j in jobs]
        self.assertEqual(self.system.daemon.stop(), 0)
        for name in ("jobs.db", "catalog.db"):
            with sqlite3.connect(self.system.state / name) as database:
                self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)], point)
        self.system.start_daemon()
        self.assertEqual([(j["job_id"], j["status"], j["metadata"]) for j in self.jobs()], before, point)
        self.assertEqual(set(self.system.files()), set(named), point)

    def submit(self, key=None):
        """Sends a request without waiting for the answer longer than it may take to die."""
        wire = Wire(f"ipc://{self.system.state}/run/control.sock")
        wire.socket.setsockopt(zmq.RCVTIMEO, 1500)
        try:
            params = dict(SUBMIT, **({"idempotency_key": key} if key else {}))
            reply = wire.call("exports.submit", params, auth={"organization_id": "acme"})
            return reply["result"]["job_id"]
        except zmq.Again:
            return None
        finally:
            wire.close()


class NamedPoints(KillCase):
    def test_every_step_of_an_export(self):
        self.system.start_daemon()
        self.system.import_generated(PRODUCTS)
        for number, (fault, what) in enumerate(EXPORT_POINTS):
            name = fault if ":" in fault else f"{fault}:kill"
            with self.subTest(fault):
                self.assertEqual(self.system.daemon.stop(), 0)
                self.system.start_daemon(faults=name)
                key = f"request-{number}"
                answered = self.submit(key)
                self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL, fault)
                self.system.start_daemon()
                # Whoever got no answer asks again with the same key: one job, whether the first request was accepted or not.
                again = self.submit(key)
                self.assertIsNotNone(again)
                if answered is not None:
                    self.assertEqual(again, answered)
                self.check(re.sub(r":kill:\d+$|:kill$", "", name), number + 1)

    def start_and_submit(self, key, env=None, faults=None):
        """The start itself may be what dies."""
        self.system.start_daemon(env, faults=faults, must_start=False)
        wait_until("ready or dead", lambda: "ready: data on" in self.system.daemon.text() or self.system.daemon.popen.poll() is not None)
        if self.system.daemon.popen.poll() is None:
            self.submit(key)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)

    def test_every_commit(self):
        self.system.start_daemon()
        self.system.import_generated(PRODUCTS)
        for number, fault in enumerate(COMMITS):
            with self.subTest(fault):
                self.assertEqual(self.system.daemon.stop(), 0)
                self.start_and_submit(f"commit-{number}", faults=fault)
                self.system.start_daemon()
                self.assertIsNotNone(self.submit(f"commit-{number}"))
                self.check(re.sub(r":kill:\d+$", " (C9)", fault), number + 1)

    def test_a_backup_that_dies_leaves_the_old_one(self):
        self.system.start_daemon(faults="backup.before_rename:kill:2")
        self.system.import_generated(PRODUCTS)
        self.submit()
        target = self.system.directory / "backup"
        self.system.ctl("backup", target, check=False)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.system.start_daemon()
        self.system.ctl("backup", target)
        self.assertEqual(sorted(p.name for p in target.iterdir()), ["auth.db", "catalog.db", "jobs.db"])
        for path in target.iterdir():
            with sqlite3.connect(path) as database:
                self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.check("backup.before_rename (C13)", 1)

    def test_writes_torn_in_half(self):
        library = self.system.directory / "kill_in_write.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE / "tests/fault/kill_in_write.c"), "-ldl"], check=True)
        self.system.start_daemon()
        self.system.import_generated(PRODUCTS)
        for number, (suffix, count) in enumerate(TORN_WRITES):
            with self.subTest(f"{suffix} {count}"):
                self.assertEqual(self.system.daemon.stop(), 0)
                env = {"LD_PRELOAD": str(library), "KILL_IN_WRITE_SUFFIX": suffix, "KILL_IN_WRITE_COUNT": str(count), "ASAN_OPTIONS": "verify_asan_link_order=0"}
                self.start_and_submit(f"torn-{number}", env)
                self.system.start_daemon()
                self.assertIsNotNone(self.submit(f"torn-{number}"))
                self.check(f"write cut in half: {suffix}", number + 1)

    def test_cancel_at_its_clean_up(self):
        self.system.start_daemon(faults="run.batch:pause,run.before_cleanup:kill")
        self.system.import_generated(PRODUCTS)
        job = self.submit()
        self.system.paused_at("run.batch")
        self.assertTrue(self.system.ctl_json("job", "cancel", job)["cancel_requested"])
        self.system.let_go("run.batch")
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.system.start_daemon()
        self.check("run.before_cleanup (C12, cancel)", 1, allowed=("cancelled",))

    def test_expiry_between_its_steps(self):
        for fault in ("expiry.marked", "drop.removed"):
            with self.subTest(fault):
                system = self.system = System()
                self.addCleanup(system.close)
                system.extra = "[export]\nsweep_interval_s = 1\norphan_grace_s = 1\n"
                system.start_shim()
                system.start_daemon()
                system.import_generated(PRODUCTS)
                job = self.submit()
                wait_until("the export", lambda: system.job_when(job, "completed"))
                self.assertEqual(system.daemon.stop(), 0)
                system.extra += "file_retention_s = 1\n"
                time.sleep(1.1)  # The file becomes old.
                system.start_daemon(faults=f"{fault}:kill")
                self.assertEqual(system.wait_for_death(), -signal.SIGKILL)
                system.start_daemon()
                wait_until("the file to be gone", lambda: self.jobs()[0]["expired_at"] and not system.files())
                self.check(f"{fault} (C12, expiry)", 1)

    def test_migrations(self):
        for fault in MIGRATIONS:
            for count in range(1, 8):  # Every step of every database: jobs 3, catalog 2, keys and plugins 1.
                with self.subTest(f"{fault} {count}"):
                    system = self.system = System()
                    self.addCleanup(system.close)
                    system.extra = "[export]\nsweep_interval_s = 1\norphan_grace_s = 1\n"
                    system.start_shim()
                    system.start_daemon(faults=f"{fault}:kill:{count}", must_start=False)
                    self.assertEqual(system.wait_for_death(), -signal.SIGKILL)
                    system.start_daemon()
                    system.import_generated(10)
                    self.submit()
                    self.check(f"{fault} (C13)", 1)

    def test_while_it_drains(self):
        self.system.start_daemon(faults="run.batch:pause,workers.stopping:kill")
        self.system.import_generated(PRODUCTS)
        self.submit()
        self.system.paused_at("run.batch")
        self.system.daemon.popen.send_signal(signal.SIGTERM)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.system.start_daemon()
        self.check("workers.stopping (C14)", 1)

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
    def test_kill_9_in_the_middle_of_an_export(self):
        products, rounds = (4000, 4) if SANITIZED else (60000, 12)
        self.system.start_daemon()
        self.system.import_generated(products)
        pick = random.Random(4711)  # The same moments in every run, as far as a clock can promise that.
        reference = self.system.export()
        kills_in_progress = 0
        for number in range(rounds):
            job = self.submit()
            wait_until("the export to start", lambda: self.system.ctl_json("job", "show", job)["status"] != "pending")
            time.sleep(pick.uniform(0, 0.2))
            self.system.daemon.stop(signal.SIGKILL)
            # What a reader of the directory sees: only finished files.
            for path in self.system.exports.rglob("*.csv"):
                self.assertEqual(digest(path), reference["metadata"]["sha256"], path)
            self.system.start_daemon()
            if "pending again" in self.system.daemon.text():
                kills_in_progress += 1
        self.check("any moment", rounds + 1)
        self.assertGreater(kills_in_progress, 0, "no kill hit a running export: the test proved nothing")

    def test_kill_9_right_after_accepting(self):
        self.system.start_daemon()
        self.system.import_generated(PRODUCTS)
        for _ in range(3):
            self.assertIsNotNone(self.submit())
        self.system.daemon.stop(signal.SIGKILL)
        self.system.start_daemon()
        self.check("right after the reply", 3)

    def test_sigterm_puts_the_job_back_with_its_attempt(self):
        self.system.start_daemon(faults="run.batch:pause")
        self.system.import_generated(PRODUCTS)
        job = self.submit()
        self.system.paused_at("run.batch")
        self.system.daemon.popen.send_signal(signal.SIGTERM)
        time.sleep(0.2)  # So that the wish is there before the worker goes on; a race either way ends in the same state.
        self.system.let_go("run.batch")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.start_daemon()
        done = wait_until("the job", lambda: self.system.job_when(job, "completed"))
        self.assertEqual(done["attempt"], 1)
        self.check("SIGTERM", 1)


del KillCase  # Not a test of its own.

if __name__ == "__main__":
    unittest.main()
