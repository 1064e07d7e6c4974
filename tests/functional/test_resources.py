"""The daemon within the memory its unit allows, whatever the peers of its socket ask, send and do not read; others are served meanwhile."""
import re
import resource
import subprocess
import sys
import threading
import time
import unittest

import msgpack
import zmq

from functional.harness import SANITIZED, SystemTest
from functional.zmtp import MORE, RawPeer, frame

MEMORY_MAX = 1 << 30  # As etc/systemd/export-workerd.service has it.
JOBS = 500
METADATA = {"text": "x" * 180_000}


def memory(pid, name):
    """In bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"{name}:\s+(\d+) kB", status.read()).group(1)) * 1024


@unittest.skipIf(SANITIZED, "a sanitizer has another memory")
class ResourcesTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        cls.key = system.make_key()
        cls.pid = system.daemon.popen.pid
        # Data beyond what it has now: as if its resident memory alone counted.
        data_max = memory(cls.pid, "VmData") + MEMORY_MAX - memory(cls.pid, "VmRSS")
        resource.prlimit(cls.pid, resource.RLIMIT_DATA, (data_max, data_max))
        wire = system.wire()
        for _ in range(JOBS):
            reply = wire.call("jobs.create", {"job_type": "import", "total_items": 1, "metadata": METADATA}, cls.key)
            assert reply["ok"], reply
        cls.job = reply["result"]["job_id"]
        wire.close()

    def tearDown(self):
        self.assertIsNone(self.system.daemon.popen.poll(), self.system.daemon.text())
        self.assertLess(memory(self.pid, "VmHWM"), MEMORY_MAX)
        print(f"{self.id().rsplit('.')[-1]}: peak memory of the daemon {memory(self.pid, 'VmHWM') >> 20} MiB")

    def peer(self):
        peer = RawPeer(self.system.state / "run" / "data.sock")
        self.addCleanup(peer.close)
        return peer

    def slowest_answer_s(self, seconds_max, is_over=lambda: False):
        """Of a client that asks for one job again and again, until `is_over()` or the time is up."""
        wire = self.system.wire()
        slowest, end = 0, time.monotonic() + seconds_max
        while time.monotonic() < end and not is_over():
            began = time.monotonic()
            self.assertTrue(wire.call("jobs.status", {"job_id": self.job}, self.key)["ok"])
            slowest = max(slowest, time.monotonic() - began)
        wire.close()
        return slowest

    def test_lists_of_large_jobs_end_early_and_say_how_to_go_on(self):
        found = []
        failures = []

        def list_all():
            try:
                wire = self.system.wire()
                ids, offset = [], 0
                while offset is not None:
                    page = wire.call("jobs.list", {"limit": 500, "offset": offset}, self.key, deadline_ms=60_000)["result"]
                    ids += [job["job_id"] for job in page["items"]]
                    offset = page["next"]
                found.append(ids)
                wire.close()
            except Exception as error:  # Shown by the test.
                failures.append(error)
        threads = [threading.Thread(target=list_all) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(found), 6)
        for ids in found:
            self.assertEqual((len(ids), len(set(ids))), (JOBS, JOBS))

    def test_peers_that_do_not_read(self):
        alone = self.slowest_answer_s(1)
        peers = [self.peer() for _ in range(4)]
        for peer in peers:
            for _ in range(400):
                self.assertTrue(peer.ask("jobs.list", {"limit": 500}, self.key))
        beside = self.slowest_answer_s(4)
        print(f"slowest answer: {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside peers that do not read")
        # They have got their share of the workers and no more: replies of theirs wait, others' do not.
        self.assertLess(beside, max(alone, 0.02) * 100)

    def test_a_client_beside_floods_hears_every_reply(self):
        endpoint = f"ipc://{self.system.state}/run/data.sock"
        flood = ("import sys, zmq; peer = zmq.Context().socket(zmq.DEALER); peer.linger = 0; peer.rcvhwm = 1; peer.connect(sys.argv[1])\n"
                 "while True: peer.send_multipart([b'', bytes.fromhex(sys.argv[2])])")
        ping = msgpack.packb({"v": 1, "method": "sys.ping", "deadline_ms": 60_000})
        floods = [subprocess.Popen([sys.executable, "-c", flood, endpoint, ping.hex()]) for _ in range(4)]
        client = zmq.Context.instance().socket(zmq.DEALER)
        client.linger = 0
        client.rcvtimeo = 10_000
        client.connect(endpoint)
        try:
            for _ in range(20):
                asked = {str(number) for number in range(900)}
                for number in asked:
                    client.send_multipart([b"", msgpack.packb({"v": 1, "id": number, "method": "jobs.status", "deadline_ms": 60_000, "params": {"job_id": "x"}})])
                answered = {msgpack.unpackb(client.recv_multipart()[1])["id"] for _ in asked}
                self.assertEqual(answered, asked)
        finally:
            client.close()
            for each in floods:
                each.kill()
                each.wait()

    def test_a_message_of_endless_frames_ends_its_connection(self):
        before = memory(self.pid, "VmHWM")
        for body in (b"x", b"x" * 200_000):
            peer = self.peer()
            self.assertTrue(peer.send(frame(b"", MORE)))
            sent = 0
            frames = frame(body, MORE) * max(1, 100_000 // len(body))
            while peer.send(frames):
                sent += len(frames)
                self.assertLess(sent, 64 << 20, "a message of so many bytes is being kept")
        self.assertLess(memory(self.pid, "VmHWM") - before, 64 << 20)

    def test_a_million_requests_in_messages_as_large_as_allowed(self):
        alone = self.slowest_answer_s(1)
        peer = self.peer()
        # Nothing that they could be answered with is read, and every one of them is wrong.
        message = frame(b"", MORE) + frame(b"x", MORE) * 4_000 + frame(b"x")
        done = threading.Event()

        def send_all():
            for _ in range(250):
                if not peer.send(message):
                    break
            done.set()
        sender = threading.Thread(target=send_all)
        sender.start()
        beside = self.slowest_answer_s(20, done.is_set)
        peer.close()
        sender.join()
        print(f"slowest answer: {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside a million wrong requests")
        self.assertLess(beside, max(alone, 0.02) * 100)


if __name__ == "__main__":
    unittest.main()
