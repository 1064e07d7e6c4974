"""Wire protocol: plain clients, bad messages, the snippets of the documentation."""
import os
import re
import subprocess
import sys
import unittest

import msgpack
import zmq

from functional.harness import NODE_MODULES, SOURCE, SystemTest, need_node, wait_until


def code_block(path, language):
    text = (SOURCE / path).read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.S).group(1)


class WireTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(50)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def setUp(self):
        self.wire = self.system.wire()
        self.addCleanup(self.wire.close)

    def test_python_req_client_and_curl_get_the_same_answer(self):
        def same_second():
            by_wire = self.wire.call("download_url.get", {"job_id": self.job}, self.key)["result"]
            by_curl = subprocess.run(
                ["curl", "-s", "-H", f"Authorization: Bearer {self.key}",
                 f"http://127.0.0.1:{self.system.port}/api/products/export/{self.job}/download-url"],
                capture_output=True, timeout=30, check=True).stdout
            import json
            by_curl = json.loads(by_curl)
            self.assertEqual(by_wire["filename"], by_curl["filename"])
            self.assertEqual(by_wire["expires_in_seconds"], by_curl["expires_in_seconds"])
            # The link names its end in whole seconds: within one second both are the same text.
            return by_wire == by_curl
        wait_until("both answers within one second", same_second)

    def test_answers_name_who_served_them(self):
        served_by = self.wire.call("download_url.get", {"job_id": self.job}, self.key)["served_by"]
        self.assertEqual(served_by["plugin"], "download_url")
        self.assertEqual(len(served_by["build_id"]), 40)

    def test_bad_messages_get_replies_and_harm_nobody(self):
        ping = {"v": 1, "method": "sys.ping"}
        good = msgpack.packb(ping)
        deep = b"\x81\xa1z" + b"\x91" * 1000 + b"\xc0"
        cases = [
            (good[:-3], "truncated"), (good + b"\x00", "trailing bytes"), (deep, "nesting deeper"), (b"", "truncated"),
            (b"\x82\xa1v\x01\xa1v\x01", "a key twice"), (b"\x81\xa1v\xa2\xff\xfe", "UTF-8"), (b"GET / HTTP/1.1\r\n\r\n", "trailing"),
            (msgpack.packb({**ping, "blob": b"\x00"}), "bin"), (msgpack.packb([1, 2]), "msgpack map"),
            (msgpack.packb({**ping, "v": 3}), "expected 1, found 3"), (msgpack.packb({"v": 1}), "method"),
            (msgpack.packb({**ping, "deadline_ms": 10**9}), "at most 60000"),
        ]
        for data, expected in cases:
            reply = self.wire.raw(data)
            self.assertEqual(reply["error"]["code"], "bad_request", data[:20])
            self.assertIn(expected, reply["error"]["message"])
            self.assertEqual(reply["error"]["executed"], "no")
        self.assertEqual(self.wire.raw(b"x" * (1024 * 1024 + 1))["error"]["code"], "too_large")
        self.assertEqual(self.wire.call("no.such")["error"]["code"], "unknown_method")
        self.assertEqual(self.wire.call("sys.ping", deadline_ms=0)["error"]["code"], "expired")
        self.assertTrue(self.wire.call("sys.ping")["ok"])

    def test_job_ids_of_every_shape(self):
        cases = {"x": "not_found", "x" * 128: "not_found", "x" * 129: "invalid_argument", "": "invalid_argument",
                 "a\0b": "invalid_argument", "a\nb": "invalid_argument", "..": "not_found", "%2F": "not_found", "🟢": "not_found"}
        for job_id, code in cases.items():
            self.assertEqual(self.wire.call("download_url.get", {"job_id": job_id}, self.key)["error"]["code"], code, repr(job_id))
        for params in ({}, {"job_id": 7}, {"job_id": None}):
            self.assertEqual(self.wire.call("download_url.get", params, self.key)["error"]["code"], "invalid_argument")

    def test_many_requests_in_one_message(self):
        dealer = zmq.Context.instance().socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVTIMEO, 10000)
        self.addCleanup(dealer.close)
        dealer.connect(f"ipc://{self.system.state}/run/data.sock")
        ping = msgpack.packb({"v": 1, "method": "sys.ping"})
        for count in (2, 500):
            ids = [f"{count}-{index}" for index in range(count)]
            dealer.send_multipart([b"", b"no request", *(msgpack.packb({"v": 1, "id": each, "method": "sys.ping"}) for each in ids)])
            replies = []
            while len(replies) < count + 1:
                delimiter, *some = dealer.recv_multipart()
                self.assertEqual(delimiter, b"")
                replies += map(msgpack.unpackb, some)
            self.assertEqual(sorted(reply["id"] for reply in replies if reply["ok"]), sorted(ids))
            self.assertEqual([reply["error"]["code"] for reply in replies if not reply["ok"]], ["bad_request"])
        # Who sends them one by one is answered one by one, however fast: that is all a client may know.
        for _ in range(100):
            dealer.send_multipart([b"", ping])
        for _ in range(100):
            self.assertEqual(len(dealer.recv_multipart()), 2)
        # Without REQ's delimiter, and with REQ_CORRELATE's extra frame.
        dealer.send(ping)
        self.assertTrue(msgpack.unpackb(dealer.recv_multipart()[-1])["ok"])
        dealer.send_multipart([b"\x01\x02\x03\x04", b"", ping])
        reply = dealer.recv_multipart()
        self.assertEqual(reply[:2], [b"\x01\x02\x03\x04", b""])
        # More frames than any envelope has: dropped, and the next one is answered.
        dealer.send_multipart([b"a", b"b", b"c", b"d", b"e", ping])
        dealer.send(ping)
        self.assertTrue(msgpack.unpackb(dealer.recv_multipart()[-1])["ok"])

    def test_the_ledger_adds_up(self):
        def balanced():
            requests = self.system.ctl_json("status")["requests"]
            return requests["accepted"] == requests["replied"] + requests["error_replied"] + requests["client_gone"] + requests["in_flight"]
        wait_until("accepted = replied + refused + client gone", balanced)

    def test_python_snippets_of_the_documentation_run(self):
        for page in ("README.md", "docs/wire_protocol.md"):
            done = subprocess.run(
                [sys.executable, "-c", code_block(page, "python")], capture_output=True, text=True, timeout=60,
                env={**os.environ, "EXPORT_WORKER_ENDPOINT": f"ipc://{self.system.state}/run/data.sock",
                     "EXPORT_WORKER_KEY": self.key, "EXPORT_WORKER_JOB": self.job})
            self.assertEqual(done.returncode, 0, page + done.stderr)
            self.assertIn(f"http://127.0.0.1:{self.system.port}/exports/", done.stdout, page)

    def test_node_snippet_of_the_documentation_runs(self):
        need_node("zeromq", "@msgpack/msgpack")
        script = self.system.directory / "snippet.cjs"
        script.write_text(code_block("docs/wire_protocol.md", "javascript"))
        done = subprocess.run(["node", str(script)], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "NODE_PATH": str(NODE_MODULES), "EXPORT_WORKER_KEY": self.key, "EXPORT_WORKER_JOB": self.job,
                                   "EXPORT_WORKER_ENDPOINT": f"ipc://{self.system.state}/run/data.sock"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"http://127.0.0.1:{self.system.port}/exports/", done.stdout)


if __name__ == "__main__":
    unittest.main()
