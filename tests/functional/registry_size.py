"""Registries of many jobs, and how long what people do with them takes.

The rows are copies of a job that the daemon ran, made with SQL while it is down: a registry of half a million takes seconds instead of an hour.
"""
import array
import contextlib
import datetime
import sqlite3
import subprocess
import threading
import time
import urllib.request

import msgpack
import zmq

from functional.harness import BUILD, System, free_port, wait_until

ORGANIZATIONS = 1_000  # Among which the jobs that wait are spread.
DAY_S = 86_400


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def copy_rows(database, table, template, count, changes):
    """`count` copies of the rows of `table` that belong to the job `template`; `changes` are SQL expressions by column, with `n` from 1."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    exprs = [changes.get(column, column) for column in columns]
    database.execute(
        f"WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {count}) "
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(exprs)} FROM c, (SELECT * FROM {table} WHERE job_id = ?)", (template,))


class Registry:
    """A system with `jobs` ended jobs of one organization, and `waiting` ones of a thousand others that are not due for a day."""

    def __init__(self, jobs, waiting=0, age_s=0, keys=""):
        self.system = System(on_disk=True)
        self.metrics_port = free_port()
        self.system.daemon_keys = f"metrics_listen = 127.0.0.1:{self.metrics_port}\n"
        self.system.port = free_port()  # Of links; there is no shim.
        self.start()
        self.key = self.system.make_key()
        self.system.import_generated(3)
        self.template = self.system.export()["job_id"]
        self.stop()
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            database.execute("PRAGMA synchronous = OFF")
            self.fill(database, jobs, age_s)
            if waiting:
                self.fill_waiting(database, waiting)
        self.system.extra = keys
        self.start()

    @property
    def path(self):
        return self.system.state / "jobs.db"

    def start(self):
        self.system.start_daemon()

    def stop(self):
        code = self.system.daemon.stop()
        assert code == 0, code

    def close(self):
        self.system.close()

    def fill(self, database, jobs, age_s):
        """One job a 1/20 second, the newest ended `age_s` ago."""
        ago = f"- {int(age_s * 1e6)} - n * 50000"
        own = {"job_id": "printf('fill-%08d', n)", "idempotency_key": "NULL"}
        times = {column: f"{column} {ago}" for column in ("created_us", "started_us", "completed_us", "ended_us", "due_us", "seen_us", "at_us", "intended_us")}
        copy_rows(database, "job", self.template, jobs, {**own, **times})
        copy_rows(database, "job_event", self.template, jobs, {**own, **times})
        copy_rows(database, "notice", self.template, jobs,
                  {**own, **times, "sequence": "NULL", "event_id": "printf('fill-%08d', n)", "published": "1", "delivery": "'done'"})
        copy_rows(database, "file", self.template, jobs, {**own, **times, "file_key": "printf('acme/fill-%08d.1.csv', n)"})
        self.recount(database)

    @staticmethod
    def recount(database):
        database.executescript("DELETE FROM job_count; DELETE FROM job_count_of_all;"
                               "INSERT INTO job_count SELECT organization_id, status, job_type, count(*) FROM job GROUP BY 1, 2, 3;"
                               "INSERT INTO job_count_of_all SELECT status, job_type, sum(jobs) FROM job_count GROUP BY 1, 2;")

    def fill_waiting(self, database, waiting):
        organization = f"printf('org-%04d', n % {ORGANIZATIONS})"
        copy_rows(database, "job", self.template, waiting, {
            "job_id": "printf('wait-%08d', n)", "idempotency_key": "NULL", "organization_id": organization, "status": "'pending'",
            "completed_us": "NULL", "started_us": "NULL", "file_url": "''", "due_us": f"due_us + {DAY_S * 1_000_000}"})
        database.execute("INSERT INTO organization (organization_id, pending) SELECT organization_id, count(*) FROM job "
                         "WHERE status = 'pending' GROUP BY organization_id ON CONFLICT DO UPDATE SET pending = excluded.pending")
        self.recount(database)

    # --- what is measured, in milliseconds ---
    def calls(self, method, params, count):
        wire, out = self.system.wire(), []
        for index in range(count):
            begun = time.perf_counter()
            reply = wire.call(method, params(index), self.key)
            out.append((time.perf_counter() - begun) * 1e3)
            assert reply["ok"], reply
        wire.close()
        return out

    def lists(self, count, **params):
        return self.calls("jobs.list", lambda _: params, count)

    def statuses(self, jobs, count):
        return self.calls("jobs.status", lambda index: {"job_id": f"fill-{1 + index * 7919 % jobs:08d}"}, count)

    def scrapes(self, count):
        out = []
        for _ in range(count):
            begun = time.perf_counter()
            urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60).read()
            out.append((time.perf_counter() - begun) * 1e3)
        return out

    def claims(self, count):
        """From an export's submission to its start: the daemon is idle."""
        out = []
        for _ in range(count):
            job = self.system.export()
            created, started = (datetime.datetime.fromisoformat(job[name].replace("Z", "+00:00")) for name in ("created_at", "started_at"))
            out.append((started - created).total_seconds() * 1e3)
        return out

    def links(self, seconds, rate=250):
        """Of two clients, `rate` links a second each."""
        output = self.system.directory / "links"
        load = subprocess.Popen([BUILD / "bin" / "load_mint", f"ipc://{self.system.state}/run/data.sock", self.key, self.template, "2", "16", output, str(rate)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(seconds)  # sleep: the length of the measurement
        told, _ = load.communicate()
        assert load.returncode == 0, told
        records = array.array("q")
        records.frombytes(output.read_bytes())
        return [took / 1e6 for took in records[1::3]]

    def sizes(self):
        """Bytes of the database, and of its log."""
        return tuple(path.stat().st_size if path.exists() else 0 for path in (self.path, self.path.with_name("jobs.db-wal")))

    def left(self):
        """Jobs in the registry; another program may look while the daemon runs."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM job").fetchone()[0]


class Listers:
    """`count` callers of jobs.list in one organization, all the time. One that is refused waits as long as it was told to."""

    def __init__(self, registry, count):
        self.registry, self.count = registry, count
        self.listed = self.refused = 0
        self.longest_refusal_ms = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        wait_until("lists", lambda: self.listed > 0, 60)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        dealer = zmq.Context.instance().socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"ipc://{self.registry.system.state}/run/data.sock")
        due = dict.fromkeys(range(self.count), 0.0)  # When each asks next.
        sent = {}
        while not self.stopping.is_set():
            now = time.monotonic()
            for caller in [caller for caller, at in due.items() if at <= now]:
                del due[caller]
                sent[caller] = now
                dealer.send_multipart([b"", msgpack.packb({
                    "v": 1, "id": str(caller), "method": "jobs.list", "params": {"limit": 50}, "deadline_ms": 60_000,
                    "auth": {"authorization": f"Bearer {self.registry.key}"}})])
            if dealer.poll(10):
                reply = msgpack.unpackb(dealer.recv_multipart()[-1])
                caller = int(reply["id"])
                due[caller] = self.next_time(reply, (time.monotonic() - sent.pop(caller)) * 1e3)
        dealer.close()

    def next_time(self, reply, took_ms):
        if reply["ok"]:
            self.listed += 1
            return 0.0
        error = reply["error"]
        assert error["code"] == "overloaded", error
        self.refused += 1
        self.longest_refusal_ms = max(self.longest_refusal_ms, took_ms)
        return time.monotonic() + error["retry_after_ms"] / 1e3


def measure(jobs, seconds, listers=64, calls=100):
    """A row of the table: milliseconds by name, p50 and p99 each."""
    with contextlib.closing(Registry(jobs, waiting=jobs // 5)) as registry:
        registry.lists(5)
        registry.links(min(seconds, 1))
        out = {"claim": registry.claims(max(5, calls // 10)),
               "list": registry.lists(calls),
               "list by status": registry.lists(calls, status="failed"),
               "status": registry.statuses(jobs, calls),
               "metrics": registry.scrapes(max(5, calls // 10)),
               "links": registry.links(seconds)}
        with Listers(registry, listers) as load:
            out[f"links, {listers} list"] = registry.links(seconds)
        told = {"listed": load.listed, "refused": load.refused, "longest_refusal_ms": load.longest_refusal_ms}
        return {name: (percentile(values, 0.5), percentile(values, 0.99)) for name, values in out.items()}, told


def measure_retention(jobs, seconds_max=600):
    """What retention does with `jobs` jobs that are due at once: seconds, sizes before and after, jobs that are left."""
    with contextlib.closing(Registry(jobs, age_s=3 * DAY_S, keys="[export]\nfile_retention_s = 86400\njob_retention_s = 86400\n")) as registry:
        begun, before = time.monotonic(), registry.sizes()
        largest_log = 0
        while registry.left() > 1 and time.monotonic() - begun < seconds_max:
            largest_log = max(largest_log, registry.sizes()[1])
            time.sleep(0.2)  # sleep: the pause between two looks
        took, left = time.monotonic() - begun, registry.left() - 1
        end = time.monotonic() + 30
        while registry.sizes()[0] > before[0] // 2 and time.monotonic() < end:
            time.sleep(0.2)  # sleep: the pause between two looks
        return {"seconds": took, "left": left, "before": before[0], "after": registry.sizes()[0], "largest_log": largest_log}
