"""Whoever wants to know hears of every job that ends: over a PUB socket in order, and over a signed webhook until it is taken."""
import hashlib
import hmac
import http.server
import json
import signal
import threading
import unittest

import msgpack
import zmq

from functional.harness import PATIENCE_S, System, wait_until

SECRET = "a webhook secret of enough bytes"


class Receiver:
    """A webhook's end. `statuses` are answered in turn, the last one for ever."""

    def __init__(self, *statuses, location=None, answer_when=None):
        self.seen = []
        self.statuses = list(statuses)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen.append((self.path, dict(self.headers), body))
                if answer_when:
                    answer_when.wait(30)
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class NoticeTest(unittest.TestCase):
    def start(self, receiver=None, private=True, faults=None):
        self.system = System()
        self.addCleanup(self.system.close)
        self.endpoint = f"ipc://{self.system.state}/run/notices.sock"
        secret = self.system.secret("hook_secret", SECRET + "\n")
        # A second [daemon] section would be refused: the endpoint goes into the first one.
        self.system.daemon_keys = f"notice_endpoint = {self.endpoint}\n"
        if receiver is not None:
            self.addCleanup(receiver.close)
            self.system.extra = f"[webhook.acme]\nurl = {receiver.url}\nsecret_file = {secret}\nallow_private = {'on' if private else 'off'}\n"
        self.system.start_shim()
        self.system.start_daemon(faults=faults)
        self.system.import_generated(20)

    def submit(self, organization="acme"):
        return self.system.ctl_json("export", "submit", "--organization", organization)["job_id"]

    def test_subscribers_hear_of_every_end_in_order(self):
        self.start()
        subscriber = zmq.Context.instance().socket(zmq.SUB)
        self.addCleanup(subscriber.close, 0)
        subscriber.setsockopt(zmq.RCVTIMEO, 20_000)
        subscriber.setsockopt(zmq.SUBSCRIBE, b"acme")
        subscriber.connect(self.endpoint)
        heard = []
        # A subscription takes a moment to arrive; what was missed before is in jobs.notices.
        jobs = [self.submit() for _ in range(5)]
        key = self.system.make_key()
        wait_until("the notices", lambda: len(self.listed(key)) == 5)
        held = self.submit()
        self.system.ctl("job", "cancel", held, check=False)
        while not heard or heard[-1]["job"]["job_id"] != held:
            topic, body = subscriber.recv_multipart()
            self.assertEqual(topic, b"acme")
            heard.append(msgpack.unpackb(body))
        listed = self.listed(key)
        self.assertEqual(sorted(n["job"]["job_id"] for n in listed[:5]), sorted(jobs))
        self.assertEqual([n["sequence"] for n in listed], list(range(listed[0]["sequence"], listed[0]["sequence"] + 6)))
        self.assertEqual(heard, listed[-len(heard):])
        self.assertNotIn("file_url", json.dumps(listed))
        self.assertEqual(self.listed(self.system.make_key("umbrella")), [])
        self.assertEqual(self.listed(key, after=listed[-2]["sequence"]), listed[-1:])

    def listed(self, key, after=0):
        wire = self.system.wire()
        reply = wire.call("jobs.notices", {"after": after}, key)
        wire.close()
        return reply["result"]["items"]

    def test_a_webhook_is_signed_and_retried_until_it_is_taken(self):
        receiver = Receiver(503, 200)
        self.start(receiver)
        job = self.submit()
        self.submit("umbrella")  # Has none: nobody is told.
        wait_until("the second try", lambda: len(receiver.seen) == 2)
        (_, first, body), (path, second, again) = receiver.seen
        self.assertEqual(path, "/hook")
        self.assertEqual(first["Export-Worker-Event"], second["Export-Worker-Event"])
        self.assertEqual(body, again)
        notice = json.loads(body)
        self.assertEqual((notice["type"], notice["job"]["job_id"], notice["job"]["status"]), ("job.completed", job, "completed"))
        at, given = second["Export-Worker-Signature"].split(",")
        expected = hmac.new(SECRET.encode(), at.removeprefix("t=").encode() + b"." + again, hashlib.sha256).hexdigest()
        self.assertEqual(given, "v1=" + expected)
        wait_until("nothing to be left", lambda: self.system.ctl_json("status")["jobs"]["notices_pending"] == 0)
        self.assertEqual(len(receiver.seen), 2)

    def test_a_webhook_that_takes_its_time_does_not_hold_up_subscribers(self):
        answer = threading.Event()
        self.addCleanup(answer.set)
        receiver = Receiver(200, answer_when=answer)
        self.start(receiver)
        first = self.submit()
        wait_until("the webhook to be busy", lambda: receiver.seen)
        subscriber = zmq.Context.instance().socket(zmq.SUB)
        self.addCleanup(subscriber.close, 0)
        subscriber.setsockopt(zmq.RCVTIMEO, 1_000)
        subscriber.setsockopt(zmq.SUBSCRIBE, b"acme")
        subscriber.connect(self.endpoint)

        def heard():  # A subscription takes a moment to arrive, so there may have to be more than one.
            self.submit()
            try:
                notice = msgpack.unpackb(subscriber.recv_multipart()[1])
            except zmq.Again:
                return None
            return notice["job"]["job_id"] != first  # Whose own may be a little later than its webhook.
        wait_until("a notice of another job", heard)
        self.assertEqual(len(receiver.seen), 1, "the webhook was still busy")
        answer.set()

    def test_redirects_are_not_followed_and_gone_is_final(self):
        inside = Receiver(200)
        self.addCleanup(inside.close)
        self.start(Receiver(302, 410, location=inside.url))
        self.submit()
        wait_until("it to be given up", lambda: "given up" in self.system.daemon.text())
        self.assertEqual(inside.seen, [])
        wait_until("nothing to be left", lambda: self.system.ctl_json("status")["jobs"]["notices_pending"] == 0)

    def test_private_networks_are_out_of_reach(self):
        receiver = Receiver(200)
        self.start(receiver, private=False)
        self.submit()
        wait_until("it to be given up", lambda: "private network" in self.system.daemon.text())
        self.assertEqual(receiver.seen, [])

    def test_a_death_around_sending_repeats_the_same_event(self):
        for fault, seen_before in (("notice.before_send", 0), ("notice.sent", 1)):  # C10
            with self.subTest(fault):
                receiver = Receiver(200)
                self.start(receiver, faults=f"{fault}:kill")
                self.system.ctl("export", "submit", "--organization", "acme", check=False)
                self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
                self.assertEqual(len(receiver.seen), seen_before)
                self.system.start_daemon()
                # With PostgreSQL its organization's turn first runs out: 30 s.
                wait_until("the notice", lambda: len(receiver.seen) == seen_before + 1, PATIENCE_S + 30)
                wait_until("nothing to be left", lambda: self.system.ctl_json("status")["jobs"]["notices_pending"] == 0)
                self.assertEqual(len({headers["Export-Worker-Event"] for _, headers, _ in receiver.seen}), 1)


if __name__ == "__main__":
    unittest.main()
