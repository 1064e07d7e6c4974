"""Daemons of one database die, stand still, have wrong clocks and are evicted, under load: nothing that was accepted is lost, and
each job has one file."""
import collections
import itertools
import json
import secrets
import signal
import socket
import threading
import time
import unittest

import msgpack
import zmq

from functional.cluster import LEASE_S, Cluster, Load
from functional.harness import FULL, ClockJump, System, freeze, need_node, wait_until
from functional.stores import S3
from functional.test_notices import SECRET, Receiver

PRODUCTS = 10_000
# After its end a job is claimed as soon as a worker of another daemon is free.
ELSEWHERE_S = LEASE_S + 2


class ClusterTest(unittest.TestCase):
    def start(self, products=PRODUCTS, start_daemon=System.start_daemon, **options):
        cluster = Cluster(**options)
        self.addCleanup(cluster.close)
        cluster.start(start_daemon)
        first = next(iter(cluster.systems.values()))
        first.import_generated(products)
        return cluster

    def load(self, cluster, count=None, **options):
        load = Load(cluster, count, **options)
        self.addCleanup(load.close)
        return load


class DeathTest(ClusterTest):
    def kill_under_load(self, cluster, load, name):
        """The jobs that ran on the daemon, and how long after its death the last of them was pending again: other daemons take it as
        soon as it is its turn."""
        wait_until(f"{name} to run an export", lambda: cluster.owned(cluster.instance(name)))
        dead = cluster.instance(name)
        jobs, died_at = cluster.kill(name)

        def after(job):
            return [(kind, actor, at) for kind, actor, at in cluster.events(job) if at > died_at]
        wait_until("its jobs to be pending", lambda: all(after(job) for job in jobs))
        rescued = [died_at]
        for job in jobs:
            (kind, actor, at), *_ = after(job)
            self.assertEqual(kind, "rescued")
            self.assertNotEqual(actor, dead)
            rescued.append(at)
        cluster[name].start_daemon()
        return jobs, max(rescued) - died_at

    def run_with_kills(self, cluster):
        count, kills = (2000, 10) if FULL else (60, 2)
        load = self.load(cluster, per_second=40 if FULL else 6)
        took, rescued = [], 0
        for name in itertools.islice(itertools.cycle(cluster.systems), kills):
            jobs, seconds = self.kill_under_load(cluster, load, name)
            rescued += len(jobs)
            took.append(round(seconds, 1))
        accepted = load.end(count)
        cluster.check(self, accepted, 300 if FULL else 60)
        self.assertGreater(rescued, 0)
        self.assertLess(max(took), ELSEWHERE_S)
        print(f"{len(accepted)} exports, {kills} kills: {rescued} jobs pending again after {took} s, refused meanwhile {dict(load.refusals)}", flush=True)

    def test_kill_9_under_load_with_a_shared_directory(self):
        self.run_with_kills(self.start())

    def test_kill_9_under_load_with_an_object_store(self):
        need_node("s3rver", "@smithy/signature-v4")
        store = S3()
        self.addCleanup(store.close)
        self.run_with_kills(self.start(store=store))

    def test_a_dead_leader_is_followed_by_another(self):
        cluster = self.start(products=10)
        leader = wait_until("a leader", cluster.leader)
        term = int(cluster.one("SELECT term FROM leader"))
        other = next(name for name in cluster.systems if name != leader)
        begun = time.monotonic()
        cluster.kill(leader)
        wait_until("the other one to lead", lambda: cluster.leader() == other)
        self.assertLess(time.monotonic() - begun, ELSEWHERE_S)
        self.assertEqual(int(cluster.one("SELECT term FROM leader")), term + 1)
        self.assertIn(f"leads, term {term + 1}", cluster[other].daemon.text())

    def test_a_daemon_that_stops_hands_over_at_once(self):
        cluster = self.start(products=10)
        leader = wait_until("a leader", cluster.leader)
        other = next(name for name in cluster.systems if name != leader)
        self.assertEqual(cluster[leader].daemon.stop(), 0)
        begun = time.monotonic()
        wait_until("the other one to lead", lambda: cluster.leader() == other)
        self.assertLess(time.monotonic() - begun, LEASE_S - 1, "it waits for no lease")
        cluster.check(self, self.load(cluster, 5).finish())


class StandstillTest(ClusterTest):
    def test_a_daemon_that_stood_still_publishes_nothing(self):
        """It stops after its file is in the store and before it says so; another one has done the job when it goes on."""
        cluster = self.start(start_daemon=lambda system: system.start_daemon(
            faults="run.before_completion:pause" if system is self.frozen(system) else None))
        a = cluster["a"]
        load = self.load(cluster, 8)
        a.paused_at("run.before_completion")
        instance = cluster.instance("a")
        accepted = load.finish()
        job, = wait_until("a to run nothing else", lambda: len(owned := cluster.owned(instance)) == 1 and owned)
        key, = [row[0] for row in cluster.query(f"SELECT file_key FROM file WHERE job_id = '{job}'")]
        self.assertIn(key, cluster.objects())
        freeze(a.daemon.popen)
        self.addCleanup(a.daemon.popen.send_signal, signal.SIGCONT)
        if FULL:
            time.sleep(3 * LEASE_S)  # sleep: the standstill is what is tested
        wait_until("b to do the job", lambda: cluster.statuses()[job] == "completed")
        a.let_go("run.before_completion")
        a.daemon.popen.send_signal(signal.SIGCONT)
        a.daemon.wait_for_log(rf"job {job}: .*(lease|conflict)")
        a.daemon.wait_for_log("its lease had ended, and its jobs were put back")
        cluster.check(self, accepted)
        self.assertNotIn(key, cluster.objects())
        self.assertNotEqual(cluster.instance("a"), instance)
        self.assertEqual([kind for kind, _, _ in cluster.events(job)].count("published"), 1)

    @staticmethod
    def frozen(system):
        """The System itself if its daemon is `a`."""
        return system if "instance_name = a\n" in system.daemon_keys else None


class OperatorTest(ClusterTest):
    def status(self, system):
        return system.ctl_json("cluster", "status")

    def test_status_and_eviction(self):
        cluster = self.start(products=10)
        wait_until("a leader", cluster.leader)
        status = wait_until("both", lambda: len((found := self.status(cluster["a"]))["items"]) == 2 and found)
        self.assertEqual([each["name"] for each in status["items"]], ["a", "b"])
        self.assertEqual([each["is_asked"] for each in status["items"]], [True, False])
        self.assertEqual(sum(each["leads"] for each in status["items"]), 1)
        self.assertEqual(status["differing_files"], [])
        for each in status["items"]:
            self.assertGreater(each["lease_left_seconds"], 0)
            self.assertLess(abs(each["clock_offset_seconds"] or 0), 2)
        text = cluster["b"].ctl("cluster", "status").stdout
        self.assertIn("b (asked)", text)
        self.assertIn("leads", text)
        evicted = status["items"][1]["instance"]
        cluster["a"].ctl("cluster", "evict", evicted)
        cluster["b"].daemon.wait_for_log("its lease had ended")
        wait_until("b under a new id", lambda: evicted not in [each["instance"] for each in self.status(cluster["a"])["items"]])
        self.assertEqual(sorted(each["name"] for each in self.status(cluster["a"])["items"]), ["a", "b"])
        self.assertEqual(cluster["a"].ctl("cluster", "evict", evicted, check=False).returncode, 1)
        cluster.check(self, self.load(cluster, 5).finish())

    def test_files_that_differ_are_named(self):
        cluster = self.start(products=10)
        cluster["b"].daemon.stop()
        cluster["b"].keys = cluster["b"].secret("other_keys", f"k1 {secrets.token_hex(32)}\n")
        cluster["b"].start_daemon()
        name = "[store.local] key_file"
        wait_until("the difference", lambda: self.status(cluster["a"])["differing_files"] == [name])
        self.assertIn(f"DIFFERS: {name}", cluster["b"].ctl("cluster", "status").stdout)
        for system in cluster.systems.values():
            wait_until("the alarm", lambda: any(name in alarm for alarm in system.alarms()))


class ClockTest(ClusterTest):
    def test_clocks_that_are_wrong_change_nothing_for_jobs(self):
        """One an hour ahead, one an hour behind, and both jump while exports run; what they are dated by is the database's clock."""
        clocks = {}

        def start_daemon(system):
            clocks[system] = ClockJump(system.directory)
            clocks[system].jump(-3600 if clocks else 3600)
            system.start_daemon(env=clocks[system].env)
        cluster = self.start(start_daemon=start_daemon)
        for system in cluster.systems.values():
            wait_until("the alarm", lambda: any("clock" in alarm for alarm in system.alarms()))
        start_at = int(cluster.one("SELECT extract(epoch FROM clock_timestamp())::bigint")) + 5
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start_at))
        waiting = self.load(cluster, 4, request={"start_at": later, "deadline_s": 600})
        running = self.load(cluster, 30 if not FULL else 300, per_second=10, request={"deadline_s": 600})
        for jump in (0, -7200, 7200, 86400):
            for system, clock in clocks.items():
                clock.jump(jump if system is cluster["a"] else -jump)
            wait_until("some more exports", lambda seen=self.done(cluster): self.done(cluster) >= min(seen + 5, 30))
        accepted = waiting.finish() + running.finish()
        cluster.check(self, accepted, 120)
        for job in accepted:
            self.assertEqual(collections.Counter(kind for kind, _, _ in cluster.events(job))["claimed"], 1, "none was put back")
        for job in waiting.accepted.values():
            at = next(at for kind, _, at in cluster.events(job) if kind == "claimed")
            self.assertGreaterEqual(at, start_at, "not early")
            self.assertLess(at, start_at + 5, "not late")

    @staticmethod
    def done(cluster):
        return list(cluster.statuses().values()).count("completed")


class SilentReceiver:
    """Takes connections and answers none."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.taken = []
        threading.Thread(target=self.accept, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hook"

    def accept(self):
        while True:
            try:
                self.taken.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.close()
        for connection in self.taken:
            connection.close()


class NoticeTest(ClusterTest):
    def start_with(self, receivers):
        cluster = Cluster(organizations=tuple(receivers))
        self.addCleanup(cluster.close)
        for system in cluster.systems.values():
            secret = system.secret("hook_secret", SECRET + "\n")
            system.daemon_keys += f"notice_endpoint = ipc://{system.state}/run/notices.sock\n"
            for organization, receiver in receivers.items():
                system.extra += f"[webhook.{organization}]\nurl = {receiver.url}\nsecret_file = {secret}\nallow_private = on\n"
                self.addCleanup(receiver.close)
        return cluster.start()

    def end_jobs(self, cluster, name, organization, count):
        """Jobs of another worker, which end at once; their ids."""
        wire, out = cluster[name].wire(), []
        for _ in range(count):
            job = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, cluster.keys[organization])["result"]["job_id"]
            done = wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True}, cluster.keys[organization])
            self.assertTrue(done["ok"], done)
            out.append(job)
        wire.close()
        return out

    def test_every_daemon_publishes_a_notice_and_one_delivers_it(self):
        receiver = Receiver(200)
        cluster = self.start_with({"acme": receiver})
        subscribers = {}
        for name, system in cluster.systems.items():
            subscribers[name] = zmq.Context.instance().socket(zmq.SUB)
            self.addCleanup(subscribers[name].close, 0)
            subscribers[name].setsockopt(zmq.RCVTIMEO, 20_000)
            subscribers[name].setsockopt(zmq.SUBSCRIBE, b"acme")
            subscribers[name].connect(f"ipc://{system.state}/run/notices.sock")
        # A subscription takes a moment to arrive.
        heard = {name: self.first_heard(cluster, subscriber) for name, subscriber in subscribers.items()}
        jobs = [job for name in "abab" for job in self.end_jobs(cluster, name, "acme", 5)]
        for name, subscriber in subscribers.items():
            while not set(jobs) <= {notice["job"]["job_id"] for notice in heard[name]}:
                heard[name].append(msgpack.unpackb(subscriber.recv_multipart()[1]))
        both = [[(notice["sequence"], notice["event_id"]) for notice in heard[name] if notice["job"]["job_id"] in jobs] for name in "ab"]
        self.assertEqual(both[0], both[1])
        numbers = [sequence for sequence, _ in both[0]]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(jobs))))
        wait_until("all deliveries", lambda: cluster.one("SELECT count(*) FROM notice WHERE delivery = 'pending'") == "0")
        delivered = collections.Counter(json.loads(body)["job"]["job_id"] for _, _, body in receiver.seen)
        self.assertEqual({delivered[job] for job in jobs}, {1})

    def first_heard(self, cluster, subscriber):
        for _ in range(100):
            self.end_jobs(cluster, "a", "acme", 1)
            if subscriber.poll(200):
                return [msgpack.unpackb(subscriber.recv_multipart()[1])]
        raise AssertionError("the subscription does not arrive")

    def test_silent_receivers_of_one_organization_delay_no_other(self):
        receiver, silent = Receiver(200), SilentReceiver()
        cluster = self.start_with({"acme": silent, "umbrella": receiver})
        self.end_jobs(cluster, "a", "acme", 300 if FULL else 40)
        wait_until("the silent one to be asked", lambda: silent.taken)
        job, = self.end_jobs(cluster, "b", "umbrella", 1)
        begun = time.monotonic()
        wait_until("the other one", lambda: receiver.seen)
        self.assertLess(time.monotonic() - begun, 1)
        self.assertEqual(json.loads(receiver.seen[0][2])["job"]["job_id"], job)


class RevocationTest(ClusterTest):
    def test_after_revoke_has_returned_no_daemon_accepts(self):
        cluster = self.start(products=10)
        a, b = cluster["a"], cluster["b"]
        job, = self.load(cluster, 1).finish()
        wait_until("the export", lambda: cluster.statuses()[job] == "completed")
        for round_number in range(10 if FULL else 2):
            made = a.ctl_json("key", "create", "--organization", "acme", "--permission", "product:read,job:read")
            key = made["key"]
            wait_until("b to know it", lambda: b.mint(job, key).status == 200)
            answers, stop = [], threading.Event()
            threads = [threading.Thread(target=self.mint, args=(b, job, key, answers, stop)) for _ in range(4)]
            for thread in threads:
                thread.start()
            wait_until("b to mint", lambda: len(answers) > 20)
            a.ctl("key", "revoke", made["id"])
            revoked_at = time.monotonic()
            wait_until("b to refuse", lambda: len([1 for at, _ in answers if at > revoked_at]) > 20)
            stop.set()
            for thread in threads:
                thread.join()
            late = [status for at, status in answers if at > revoked_at]
            self.assertEqual(set(late), {401}, f"round {round_number}")

    @staticmethod
    def mint(system, job, key, answers, stop):
        """(when the request began, status) of each."""
        wire = system.wire()
        while not stop.is_set():
            begun = time.monotonic()
            reply = wire.call("download_url.get", {"job_id": job}, key)
            answers.append((begun, 200 if reply["ok"] else {"unauthenticated": 401}.get(reply["error"]["code"], reply["error"]["code"])))
        wire.close()


if __name__ == "__main__":
    unittest.main()
