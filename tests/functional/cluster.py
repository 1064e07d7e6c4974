"""Daemons that share one PostgreSQL schema and one store of files, each with a shim that knows all of them; and a load for them."""
import collections
import concurrent.futures
import http.client
import itertools
import os
import signal
import threading
import time

from functional.harness import PATIENCE_S, System, free_port, wait_until
from functional.postgres import shared_server

LEASE_S = 5
PERMISSIONS = "product:read,job:read,job:create"


class Cluster:
    """One System for each of `names`. The store is `store`, an emulator (functional/stores.py), or a directory that all have."""

    def __init__(self, names=("a", "b"), server=None, store=None, conninfo=None, organizations=("acme",), export="", database_keys="", synchronous="off"):
        self.server = server or shared_server()
        self.store, self.organizations = store, organizations
        self.systems = {name: System(server=self.server) for name in names}
        first = self.systems[names[0]]
        self.schema, self.exports, self.directory = first.schema, first.exports, first.directory
        daemons = " ".join(f"ipc://{system.state}/run/data.sock" for system in self.systems.values())
        for name, system in self.systems.items():
            system.schema, system.exports, system.keys = first.schema, first.exports, first.keys
            system.conninfo = conninfo or system.conninfo
            system.port = free_port()
            system.daemon_keys = f"instance_name = {name}\n"
            system.synchronous = synchronous
            system.database_keys = f"lease_s = {LEASE_S}\n{database_keys}"
            system.http_keys = f"daemons = {daemons}\n"
            chosen = "" if store is None else "store = remote\n"
            system.extra = (f"[export]\n{chosen}workers = 2\norganization_running_max = 8\nretry_base_ms = 100\nsweep_interval_s = 1\n"
                            f"orphan_grace_s = 1\n{export}\n{store.config(system) if store else ''}\n")

    def __getitem__(self, name):
        return self.systems[name]

    def start(self, start_daemon=System.start_daemon):
        """`start_daemon(system)` starts one, for tests that want it in another way."""
        first, *others = self.systems.values()
        start_daemon(first)
        self.keys = {each: first.make_key(each, PERMISSIONS) for each in self.organizations}
        self.key = self.keys[self.organizations[0]]
        for system in others:
            start_daemon(system)
        for system in self.systems.values():
            system.start_shim()
            wait_until("the shim to see a daemon", lambda: system.http("GET", "/readyz").status == 200)
        return self

    def close(self):
        problems = []
        for system in self.systems.values():
            try:
                system.close()
            except AssertionError as problem:
                problems.append(str(problem))
        if problems:
            raise AssertionError("\n".join(problems))

    # --- what the database says ---
    def query(self, sql):
        return self.server.query(sql, self.schema)

    def one(self, sql):
        return self.query(sql)[0][0]

    def instance(self, name):
        """The id of the last life of a daemon."""
        return self.one(f"SELECT instance_id FROM instance WHERE name = '{name}' ORDER BY started_at DESC LIMIT 1")

    def owned(self, instance):
        return [row[0] for row in self.query(f"SELECT job_id FROM job WHERE owner = '{instance}'")]

    def leader(self):
        """The name of the daemon that leads; None while there is none."""
        rows = self.query("SELECT instance.name FROM leader JOIN instance USING (instance_id) WHERE until > clock_timestamp()")
        return rows[0][0] if rows else None

    def events(self, job_id):
        """[kind, actor, seconds since 1970] of each."""
        return [(kind, actor, float(at)) for kind, actor, at in
                self.query(f"SELECT kind, actor, extract(epoch FROM at) FROM job_event WHERE job_id = '{job_id}' ORDER BY number")]

    def statuses(self):
        return dict(self.query("SELECT job_id, status FROM job"))

    # --- what the store says ---
    def objects(self):
        """Keys of everything that lies there."""
        if self.store is not None:
            return sorted(key.removeprefix(self.store.key_prefix) for key in self.store.objects())
        return sorted(str(path.relative_to(self.exports)) for path in self.systems[next(iter(self.systems))].files())

    # --- faults ---
    def kill(self, name):
        """kill -9; the jobs that it ran, and the database's time when it was dead."""
        system, instance = self.systems[name], self.instance(name)
        system.daemon.stop(signal.SIGKILL)
        at = float(self.one("SELECT extract(epoch FROM clock_timestamp())"))
        return self.owned(instance), at

    def check(self, test, accepted, patience_s=PATIENCE_S * 3):
        """Every job that was accepted is there once and done, with one live object each, and nothing else lies in the store."""
        wait_until("every job to end", lambda: "pending" not in (now := set(self.statuses().values())) and "in_progress" not in now, patience_s)
        found = self.statuses()
        test.assertEqual(sorted(found), sorted(accepted), "accepted = found")
        test.assertEqual(collections.Counter(found.values()), {"completed": len(accepted)})
        live = dict(self.query("SELECT job_id, file_key FROM file WHERE state = 'live'"))
        test.assertEqual(self.one("SELECT count(*) FROM file WHERE state = 'live'"), str(len(accepted)))
        test.assertEqual(sorted(live), sorted(accepted), "one live file for each job")
        wait_until("the sweep to leave nothing but live files",
                   lambda: self.objects() == sorted(live.values()) and self.one("SELECT count(*) FROM file") == str(len(live)), patience_s)


class Load:
    """Submits `count` exports through all shims (None: until end()), each until it is accepted; every one has an idempotency key of
    its own."""

    def __init__(self, cluster, count=None, clients=6, per_second=None, request=None):
        self.cluster, self.per_second = cluster, per_second
        self.request = {"format": "csv", **(request or {})}
        self.accepted = {}  # Number to job_id.
        self.accepted_at = []  # On the monotonic clock, in order.
        self.refusals = collections.Counter()  # Answers before that, by status or exception.
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.numbers = itertools.count() if count is None else iter(range(count))
        self.begun_at = time.monotonic()
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.clients = [self.pool.submit(self.run, list(cluster.systems.values()), client) for client in range(clients)]

    def run(self, systems, client):
        shims = itertools.cycle(systems[client % len(systems):] + systems[:client % len(systems)])
        while not self.stopped.is_set():
            with self.lock:
                number = next(self.numbers, None)
            if number is None:
                return
            if self.per_second:
                self.stopped.wait(max(0.0, self.begun_at + number / self.per_second - time.monotonic()))
            self.submit(shims, number)

    def submit(self, shims, number):
        end = time.monotonic() + 4 * PATIENCE_S
        while not self.stopped.is_set():
            try:
                response = next(shims).api("POST", "/api/products/export-async", self.cluster.key, self.request,
                                           Idempotency_Key=f"{os.getpid()}-{id(self)}-{number}")
                answer = response.status
            except (OSError, http.client.HTTPException) as problem:
                response, answer = None, type(problem).__name__
            with self.lock:
                if answer == 202:
                    self.accepted[number] = response.json["job_id"]
                    self.accepted_at.append(time.monotonic())
                    return
                self.refusals[answer] += 1
            if response is not None and answer not in (429, 503, 504) or time.monotonic() > end:
                raise AssertionError(f"request {number}: {answer} {response and response.body}")
            self.stopped.wait(0.05)

    def end(self, at_least):
        """No more than that many exports, unless more were submitted."""
        wait_until(f"{at_least} exports to be accepted", lambda: len(self.accepted) >= at_least, 4 * PATIENCE_S)
        with self.lock:
            self.numbers = iter(())
        return self.finish()

    def finish(self):
        """The ids of all that was accepted, once every request was."""
        for client in self.clients:
            client.result()
        self.pool.shutdown()
        return list(self.accepted.values())

    def close(self):
        self.stopped.set()
        self.pool.shutdown()
