"""What the database of several daemons does under them: it restarts, it fails over to a standby, PgBouncer or an HA manager stands
in front. Nothing that was accepted is lost, and service is back within seconds."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from functional import test_pipeline
from functional.cluster import Cluster, Load
from functional.harness import FULL, PATIENCE_S, System, free_port, wait_until
from functional.postgres import PROGRAMS, Pooler, PostgresServer, end_with_parent, need_postgres, rows_of, server_user, shared_server
from functional.skips import full_form, need

BACK_S = 10


class DatabaseTest(unittest.TestCase):
    def server(self, *settings):
        server = PostgresServer(settings)
        self.addCleanup(server.close)
        return server.start()

    def start(self, products=2000, **options):
        cluster = Cluster(**options)
        self.addCleanup(cluster.close)
        cluster.start()
        cluster["a"].import_generated(products)
        return cluster

    def load(self, cluster, count=None, **options):
        load = Load(cluster, count, **options)
        self.addCleanup(load.close)
        return load

    def accepted_again(self, load, since, patience_s=PATIENCE_S):
        """Seconds after `since` that the next request was accepted."""
        return wait_until("service", lambda: [at for at in load.accepted_at if at > since], patience_s)[0] - since

    def longest_gap(self, load, since, patience_s=PATIENCE_S):
        """Seconds without an accepted request, the longest since then and until service is back after this call."""
        self.accepted_again(load, time.monotonic(), patience_s)
        times = [since, *(at for at in list(load.accepted_at) if at > since)]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


class RestartTest(DatabaseTest):
    def test_postgres_dies_and_comes_back_under_load(self):
        server = self.server()
        cluster = self.start(server=server)
        remembered, = self.load(cluster, 1).finish()
        wait_until("the export", lambda: cluster.statuses()[remembered] == "completed")
        wires = [system.wire() for system in cluster.systems.values()]
        for wire in wires:
            self.addCleanup(wire.close)
        links = []
        load = self.load(cluster, per_second=20)
        gaps = []
        for _ in range(5 if FULL else 2):
            wait_until("some more exports", lambda seen=len(load.accepted): len(load.accepted) > seen + 5)
            for wire in wires:
                wait_until("the job to be remembered", lambda: wire.call("download_url.get", {"job_id": remembered}, cluster.key)["ok"])
            server.kill()
            links += [wire.call("download_url.get", {"job_id": remembered}, cluster.key) for wire in wires]
            wait_until("requests to fail", lambda seen=sum(load.refusals.values()): sum(load.refusals.values()) > seen)
            server.start()
            gaps.append(round(self.accepted_again(load, time.monotonic()), 1))
        accepted = load.end(1000 if FULL else 60)
        cluster.check(self, [remembered, *accepted], 120)
        self.assertLess(max(gaps), BACK_S)
        # Memory answers for a second after the last look at the database, and not longer.
        good = sum(link["ok"] for link in links)
        self.assertGreater(good, 0, links)
        self.assertEqual({link["error"]["code"] for link in links if not link["ok"]} - {"unavailable", "overloaded"}, set())
        print(f"{len(accepted)} exports, PostgreSQL killed {len(gaps)} times: accepted again after {gaps} s, {good} of {len(links)} links from memory, "
              f"refused meanwhile {dict(load.refusals)}", flush=True)

    def test_an_orderly_restart_is_the_same(self):
        server = self.server()
        cluster = self.start(server=server)
        load = self.load(cluster, per_second=10)
        wait_until("some exports", lambda: len(load.accepted) > 5)
        server.run("pg_ctl", "stop", "-D", server.data, "-m", "fast", "-w")
        server.popen.wait(60)
        server.start()
        self.assertLess(self.accepted_again(load, time.monotonic()), BACK_S)
        cluster.check(self, load.end(30))


class FailoverTest(DatabaseTest):
    def fail_over(self, synchronous, count):
        primary = self.server()
        standby = primary.standby(synchronous)
        self.addCleanup(standby.close)
        conninfo = f"host={primary.directory},{standby.directory} dbname=postgres user=postgres target_session_attrs=read-write"
        cluster = self.start(server=primary, conninfo=conninfo, synchronous="on")
        load = self.load(cluster, per_second=20)
        wait_until("some exports", lambda: len(load.accepted) > count // 3)
        died_at = time.monotonic()
        primary.popen.kill()
        primary.popen.wait(60)
        standby.promote()
        cluster.server = standby
        return cluster, load, self.longest_gap(load, died_at)

    def test_a_synchronous_standby_loses_nothing(self):
        for _ in range(3 if FULL else 1):
            cluster, load, gap = self.fail_over(True, 400 if FULL else 40)
            accepted = load.end(400 if FULL else 40)
            cluster.check(self, accepted, 120)
            self.assertLess(gap, BACK_S)
            print(f"{len(accepted)} exports, primary killed: none accepted for {gap:.1f} s, lost 0", flush=True)
            for system in cluster.systems.values():
                self.assertIn("it has failed over", system.daemon.text())
                wait_until("the new primary's lack of a standby", lambda: any("no synchronous standby" in alarm for alarm in system.alarms()), 60)

    @full_form
    def test_an_asynchronous_standby_may_lose_some_and_says_so_before(self):
        cluster, load, gap = self.fail_over(False, 400)
        accepted = load.end(400)
        for system in cluster.systems.values():
            wait_until("the alarm", lambda: any("no synchronous standby" in alarm for alarm in system.alarms()), 60)
        wait_until("every job to end", lambda: not {"pending", "in_progress"} & set(cluster.statuses().values()), 120)
        lost = set(accepted) - set(cluster.statuses())
        print(f"asynchronous: {len(accepted)} exports, lost {len(lost)}, none accepted for {gap:.1f} s", flush=True)
        self.assertLess(len(lost), 20)


def start_pooler(test, server, *settings):
    pooler = Pooler(server, settings=settings)
    test.addCleanup(pooler.close)
    return pooler


class PoolerTest(DatabaseTest):
    def test_a_cluster_behind_pgbouncer(self):
        server = shared_server()
        pooler = start_pooler(self, server)
        cluster = self.start(server=server, conninfo=pooler.conninfo(),
                             database_keys=f"pooler = transaction\ndirect_conninfo = {server.conninfo()}\n")
        load = self.load(cluster, per_second=10)
        wait_until("b to run an export", lambda: cluster.owned(cluster.instance("b")))
        cluster.kill("b")
        cluster["b"].start_daemon()
        accepted = load.end(200 if FULL else 40)
        cluster.check(self, accepted, 120)
        link = cluster["a"].mint(accepted[0], cluster.key)
        self.assertEqual(link.status, 200)

    def test_a_pooler_that_nobody_has_named_is_refused(self):
        """Its sessions are lent to several clients: what one prepares would answer another."""
        server = shared_server()
        for settings, found in (((), "unsupported startup parameter"), (("ignore_startup_parameters = options",), "pooler: expected sessions"),
                                (("ignore_startup_parameters = options", "server_round_robin = 1"), "pooler: expected sessions")):
            with self.subTest(settings):
                pooler = start_pooler(self, server, *settings)
                system = System(server=server)
                self.addCleanup(system.close)
                system.conninfo = pooler.conninfo()
                system.port = free_port()
                system.start_daemon(must_start=False)
                self.assertEqual(system.wait_for_death(), 78, system.daemon.text())
                self.assertIn(found, system.daemon.text())
                self.assertIn("set pooler = transaction", system.daemon.text())
                self.assertEqual(server.query(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{system.schema}'"), [["0"]], "nothing was written")


class PooledPipelineTest(test_pipeline.PipelineTest):
    """The same jobs of other workers, every statement through PgBouncer."""

    @classmethod
    def make_system(cls):
        return System(database="postgres", pooled=True)


class Patroni:
    """Two servers under Patroni, with one etcd, as people run them; synchronous."""

    def __init__(self):
        self.patroni, self.etcd = need("patroni"), need("patroni", "etcd")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="export-worker-patroni-"))
        self.user = server_user()
        self.give(self.directory)
        self.names = ("one", "two")
        self.ports = {name: (free_port(), free_port()) for name in self.names}  # PostgreSQL's and the one of Patroni's interface.
        self.etcd_port, peer = free_port(), free_port()
        client = f"http://127.0.0.1:{self.etcd_port}"
        self.processes = {"etcd": self.run("etcd", [
            self.etcd, "--data-dir", self.directory / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls",
            f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster",
            f"default=http://127.0.0.1:{peer}"])}
        for name in self.names:
            self.start(name)

    def give(self, path):
        if self.user:
            os.chown(path, self.user["user"], self.user["group"])

    def run(self, name, arguments):
        with open(self.directory / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                                    preexec_fn=end_with_parent, env={**os.environ, "HOME": str(self.directory)}, **self.user)

    def start(self, name):
        port, interface = self.ports[name]
        path = self.directory / f"{name}.yml"
        path.write_text(f"""
scope: exports
name: {name}
restapi: {{listen: '127.0.0.1:{interface}', connect_address: '127.0.0.1:{interface}'}}
etcd3: {{host: '127.0.0.1:{self.etcd_port}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 5
    synchronous_mode: true
    postgresql: {{use_pg_rewind: true, parameters: {{max_connections: 100, wal_keep_size: 128MB}}}}
  initdb: [{{auth: trust}}, {{encoding: UTF8}}, {{locale: C}}]
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{port}'
  data_dir: '{self.directory}/{name}'
  bin_dir: '{PROGRAMS}'
  parameters: {{unix_socket_directories: '{self.directory}'}}
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
  authentication: {{superuser: {{username: postgres}}, replication: {{username: replicator}}}}
""")
        self.give(path)
        self.processes[name] = self.run(name, [self.patroni, path])

    def conninfo(self):
        ports = ",".join(str(self.ports[name][0]) for name in self.names)
        return f"host={','.join('127.0.0.1' for _ in self.names)} port={ports} dbname=postgres user=postgres target_session_attrs=read-write"

    def query(self, sql, schema=None):
        return rows_of(self.conninfo(), sql, schema)

    def new_schema(self):
        return "export_worker"

    def roles(self):
        """What patronictl lists: name to role and state."""
        done = self.ctl("list", "--format", "json", check=False)
        try:
            return {each["Member"]: (each["Role"], each["State"]) for each in json.loads(done.stdout)}
        except ValueError:
            return {}

    def ctl(self, *arguments, check=True):
        done = subprocess.run(["patronictl", "-c", str(self.directory / "one.yml"), *arguments], capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"patronictl {arguments}: {done.stdout}{done.stderr}")
        return done

    def leader(self):
        """The name of the leader once the other one is its synchronous standby."""
        roles = self.roles()
        if sorted(role for role, _ in roles.values()) != ["Leader", "Sync Standby"]:
            return None
        return next(name for name, (role, _) in roles.items() if role == "Leader")

    def kill(self, name):
        """Patroni and its PostgreSQL, at once."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        postmaster = self.directory / name / "postmaster.pid"
        os.kill(int(postmaster.read_text().split()[0]), signal.SIGKILL)
        self.processes[name].wait(60)

    def close(self):
        for name in (*self.names, "etcd"):
            process = self.processes.get(name)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@full_form
class HaManagerTest(DatabaseTest):
    def test_a_switchover_and_a_dead_primary_under_patroni(self):
        need_postgres()
        patroni = Patroni()
        self.addCleanup(patroni.close)
        wait_until("two servers", patroni.leader, 120)
        cluster = self.start(server=patroni)
        load = self.load(cluster, per_second=20)
        wait_until("some exports", lambda: len(load.accepted) > 50)
        leader = patroni.leader()
        begun = time.monotonic()
        patroni.ctl("switchover", "exports", "--master", leader, "--force")
        new = wait_until("the other one to lead", lambda: (now := patroni.leader()) not in (None, leader) and now, 120)
        switched = self.longest_gap(load, begun)
        begun = time.monotonic()
        patroni.kill(new)
        # Patroni lets the key of a dead leader live for its ttl, 20 s at least.
        wait_until("requests to fail", lambda seen=sum(load.refusals.values()): sum(load.refusals.values()) > seen)
        failed_over = self.longest_gap(load, begun, 60)
        patroni.start(new)
        accepted = load.end(200)
        self.assertLess(switched, BACK_S)
        cluster.check(self, accepted, 120)
        print(f"{len(accepted)} exports, lost 0; none accepted for {switched:.1f} s in a switchover, for {failed_over:.1f} s after kill -9 of the primary", flush=True)


if __name__ == "__main__":
    unittest.main()
