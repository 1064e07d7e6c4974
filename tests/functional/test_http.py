"""The public face: routes, refusals, framing policy, downloads, a daemon that comes and goes."""
import hashlib
import json
import re
import signal
import socket
import subprocess
import time
import unittest

from functional.harness import SOURCE, SystemTest, wait_until


def raw_exchange(port, data, patience_s=15):
    """Sends bytes, reads until the server closes (or `patience_s`)."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as connection:
        connection.sendall(data)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except (socket.timeout, ConnectionResetError):
            pass
        return received


class HttpTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(300)
        cls.key = system.make_key()
        cls.reader = system.make_key(permissions="job:read")
        cls.other = system.make_key(organization="umbrella")
        cls.job = system.export()["job_id"]
        cls.foreign = system.api("POST", "/api/jobs/", cls.key, {"job_type": "crawl", "total_items": 1}).json["job_id"]
        cls.waiting = system.api("POST", "/api/jobs/", cls.key, {"job_type": "export", "total_items": 1}).json["job_id"]

    def url(self, job):
        return f"/api/products/export/{job}/download-url"

    # --- the public route ---
    def test_download_url_answers_exactly_its_contract(self):
        response = self.system.mint(self.job, self.key)
        self.assertEqual(response.status, 200)
        self.assertEqual(list(response.json), ["download_url", "filename", "expires_in_seconds"])
        self.assertIsInstance(response.json["expires_in_seconds"], int)
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        self.assertEqual(response.headers["Content-Type"], "application/json")

    def test_every_refusal_has_its_status_and_words(self):
        bearer = f"Bearer {self.key}"
        cases = [
            ({}, self.job, 401, "Not authenticated"),
            ({"Authorization": "Bearer nonsense"}, self.job, 401, "Invalid credentials"),
            ({"Authorization": "Basic YTpi"}, self.job, 401, "Invalid credentials"),
            ({"Cookie": "stytch_session=abc"}, self.job, 401, "Invalid credentials"),
            ({"Authorization": f"Bearer {self.reader}"}, self.job, 403, "Missing required permission: product:read"),
            ({"Authorization": bearer, "X-Organization-ID": "umbrella"}, self.job, 403, "Not a member of this organization"),
            ({"Authorization": bearer}, "no-such-job", 404, "Export job not found"),
            ({"Authorization": f"Bearer {self.other}"}, self.job, 404, "Export job not found"),
            ({"Authorization": bearer}, self.foreign, 404, "Export job not found"),
            ({"Authorization": bearer}, self.waiting, 409, "Export job is pending; it has no file to download"),
        ]
        for headers, job, status, detail in cases:
            response = self.system.http("GET", self.url(job), headers)
            self.assertEqual((response.status, json.loads(response.body)["detail"]), (status, detail))
            self.assertEqual(response.headers.get("WWW-Authenticate"), "Bearer" if status == 401 else None)
        good = self.system.http("GET", self.url(self.job), {"Authorization": bearer, "X-Organization-ID": "acme", "Cookie": "stytch_session=x"})
        self.assertEqual(good.status, 200)

    def test_job_ids_of_every_shape(self):
        cases = {"x": 404, "x" * 128: 404, "x" * 129: 422, "a%00b": 422, "a%0Ab": 422, "a%2Fb": 400, "..": 400, "%2e%2e": 400,
                 "%F0%9F%9F%A2": 404, "%ff": 422, "%zz": 400, "a%20b": 404}
        for job, status in cases.items():
            response = self.system.api("GET", self.url(job), self.key)
            self.assertEqual(response.status, status, job)
            if status == 422:
                self.assertEqual(response.json["detail"][0]["loc"], ["path", "job_id"])

    def test_openapi_contains_the_public_contract_word_for_word(self):
        document = self.system.api("GET", "/openapi.json").json
        contract = json.loads((SOURCE / "tests/golden/public_contract.json").read_text())
        path = "/api/products/export/{job_id}/download-url"
        self.assertEqual(document["paths"][path], contract["paths"][path])
        self.assertEqual(document["info"], contract["info"])
        for name, schema in contract["components"]["schemas"].items():
            self.assertEqual(document["components"]["schemas"][name], schema)
        served = {(p, m) for p, methods in document["paths"].items() for m in methods}
        self.assertIn(("/api/products/export-async", "post"), served)

    # --- the other routes ---
    def test_export_async_to_finished_file(self):
        accepted = self.system.api("POST", "/api/products/export-async", self.key, {"format": "jsonl"})
        self.assertEqual(accepted.status, 202)
        self.assertEqual(set(accepted.json), {"job_id", "message", "total"})
        self.assertEqual(accepted.json["total"], 300)
        job = accepted.json["job_id"]
        wait_until("the export", lambda: self.system.api("GET", f"/api/jobs/{job}/status", self.key).json["status"] == "completed")
        full = self.system.api("GET", f"/api/jobs/{job}", self.key).json
        link = self.system.mint(job, self.key).json
        body = self.system.fetch(link["download_url"]).body
        self.assertEqual(hashlib.sha256(body).hexdigest(), full["metadata"]["sha256"])
        self.assertEqual(len(body.splitlines()), 300)

    def test_bad_bodies_are_422_and_name_the_field(self):
        cases = [(b"{", "body"), (b"[]", "body"), (b'{"format":"xls"}', "format"), (b'{"colums":["key"]}', "colums"),
                 (b'{"columns":["no such"]}', "columns"), (b"[" * 5000, "body")]
        for body, field in cases:
            response = self.system.http("POST", "/api/products/export-async", {"Authorization": f"Bearer {self.key}"}, body)
            self.assertEqual(response.status, 422, body[:30])
            self.assertIn(field, json.loads(response.body)["detail"][0]["loc"])
        page = self.system.api("GET", "/api/jobs/?limit=2&offset=0", self.key)
        self.assertEqual((page.status, page.json["limit"]), (200, 2))
        self.assertEqual(self.system.api("GET", "/api/jobs/?limit=0", self.key).status, 422)
        self.assertEqual(self.system.api("GET", "/api/jobs/?limit=x", self.key).json["detail"][0]["loc"], ["query", "limit"])

    def test_methods_and_paths(self):
        self.assertEqual(self.system.http("POST", self.url(self.job), body=b"").headers["Allow"], "GET, HEAD, OPTIONS")
        self.assertEqual(self.system.http("GET", "/nope").status, 404)
        self.assertEqual(self.system.http("OPTIONS", "/api/jobs/").headers["Allow"], "GET, HEAD, POST, OPTIONS")
        self.assertEqual(self.system.http("DELETE", "/livez").status, 405)
        head = self.system.http("HEAD", "/livez")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", "18"))

    def test_request_ids_are_taken_when_safe_and_made_otherwise(self):
        self.assertEqual(self.system.http("GET", "/livez", {"X-Request-ID": "abc-1"}).headers["X-Request-ID"], "abc-1")
        made = self.system.http("GET", "/livez", {"X-Request-ID": "a b<script>"}).headers["X-Request-ID"]
        self.assertRegex(made, r"^[0-9a-f-]{36}$")

    # --- framing ---
    def test_framing_policy_on_the_socket(self):
        host = b"Host: h\r\n"
        smuggled = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
        cases = [
            (b"POST /api/jobs/ HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
            (b"POST /api/jobs/ HTTP/1.1\r\n" + host + b"Transfer-Encoding: xchunked\r\n\r\n" + smuggled, 411),
            (b"POST /api/jobs/ HTTP/1.1\r\n" + host + b"Content-Length: 5, 5\r\n\r\nhello" + smuggled, 400),
            (b"GET /livez HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello" + smuggled, 400),
            (b"GET /livez HTTP/1.1\r\n\r\n" + smuggled, 400),
            (b"GET /livez HTTP/1.1\r\n" + host + b"X: a\r\n folded\r\n\r\n" + smuggled, 400),
            (b"GET http://other/livez HTTP/1.1\r\n" + host + b"\r\n" + smuggled, 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
            (b"GET /livez HTTP/1.1\r\n" + host + b"X: " + b"a" * 20000 + b"\r\n\r\n", 431),
        ]
        for data, status in cases:
            answer = raw_exchange(self.system.port, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (data[:60], answer[:60]))
            self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)), 1, data[:80])  # Nothing behind it was taken for a request.
            self.assertIn(b"Connection: close", answer)

    def test_pipelined_requests_are_answered_in_order(self):
        two = b"GET /livez HTTP/1.1\r\nHost: h\r\nX-Request-ID: one\r\n\r\nGET /nope HTTP/1.1\r\nHost: h\r\nX-Request-ID: two\r\nConnection: close\r\n\r\n"
        answer = raw_exchange(self.system.port, two)
        self.assertLess(answer.index(b"X-Request-ID: one"), answer.index(b"X-Request-ID: two"))
        self.assertEqual(answer.count(b"HTTP/1.1 "), 2)

    def test_byte_by_byte_requests_work_and_slow_ones_are_cut(self):
        request = b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=15) as connection:
            for index in range(len(request)):
                connection.sendall(request[index:index + 1])
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200"))
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=20) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\n")
            try:
                for _ in range(40):  # Drips on: the deadline counts from the first byte, not from the last.
                    connection.sendall(b"X")
                    connection.settimeout(0.25)
                    try:
                        if connection.recv(1) == b"":
                            break
                    except socket.timeout:
                        pass
            except (BrokenPipeError, ConnectionResetError):
                pass
        self.assertLess(time.monotonic() - started, 9)

    def test_expect_continue(self):
        body = b'{"format":"csv"}'
        head = (b"POST /api/products/export-async HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nAuthorization: Bearer "
                + self.key.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body))
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=15) as connection:
            connection.sendall(head)
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 Continue"))
            connection.sendall(body)
            self.assertIn(b"202 Accepted", connection.recv(4096))

    # --- downloads ---
    def test_curl_resumes_a_download(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        whole = self.system.fetch(link).body
        target = self.system.directory / "resumed.csv"
        target.write_bytes(whole[:1000])
        subprocess.run(["curl", "-sf", "-C", "-", "-o", str(target), link], check=True, timeout=60)
        self.assertEqual(target.read_bytes(), whole)
        named = self.system.directory / "named"
        named.mkdir(exist_ok=True)
        subprocess.run(["curl", "-sfOJ", link], check=True, timeout=60, cwd=named)
        self.assertEqual([p.name for p in named.iterdir()], [self.system.mint(self.job, self.key).json["filename"]])

    def test_download_conditions(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        whole = self.system.fetch(link)
        etag = whole.headers["ETag"]
        head = self.system.fetch(link, method="HEAD")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", str(len(whole.body))))
        part = self.system.fetch(link, {"Range": "bytes=10-19", "If-Range": etag})
        self.assertEqual((part.status, part.body), (206, whole.body[10:20]))
        self.assertEqual(part.headers["Content-Range"], f"bytes 10-19/{len(whole.body)}")
        self.assertEqual(self.system.fetch(link, {"Range": "bytes=10-19", "If-Range": '"other"'}).status, 200)
        self.assertEqual(self.system.fetch(link, {"If-None-Match": etag}).status, 304)
        self.assertEqual(self.system.fetch(link, {"Range": f"bytes={len(whole.body)}-"}).status, 416)
        self.assertEqual(self.system.fetch(link, method="POST").status, 405)
        self.assertEqual(self.system.fetch(link[:-1] + ("A" if link[-1] != "A" else "B")).status, 403)
        self.assertEqual(self.system.fetch(link.replace("expires=1", "expires=9")).status, 403)

    def test_a_reader_that_stops_does_not_hold_up_others(self):
        # A file that no socket's buffer holds, from a worker of its own.
        large = self.system.exports / "acme" / "large.bin"
        with open(large, "wb") as file:
            file.truncate(64 << 20)
        self.addCleanup(large.unlink)
        wire = self.system.wire()
        self.addCleanup(wire.close)
        job = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True, "metadata_patch": {"file_url": f"file://{large}"}}, self.key)
        path = self.system.mint(job, self.key).json["download_url"].split(str(self.system.port), 1)[1]
        stalled = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", self.system.port), timeout=10)
            self.addCleanup(connection.close)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            stalled.append(connection)
        for connection in stalled:
            self.assertTrue(connection.recv(12).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.system.http("GET", "/livez").status, 200)
        self.assertEqual(self.system.mint(self.job, self.key).status, 200)
        self.assertNotIn("large.bin", self.system.shim.text(), "the log tells of a download when it has ended")
        for connection in stalled:
            connection.close()
        wait_until("the downloads to be given up", lambda: self.system.shim.text().count("/exports/acme/large.bin") == 20)

    def test_signatures_stay_out_of_the_log(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        self.system.fetch(link)
        signature = link.split("sig=")[1]
        log = wait_until("the access log line", lambda: "sig=REDACTED" in self.system.shim.text() and self.system.shim.text())
        self.assertNotIn(signature, log)
        self.assertNotIn(self.key, log)
        self.assertNotIn(signature, self.system.daemon.text())


class DaemonAwayTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(10)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def test_503_with_retry_after_while_the_daemon_is_away_and_200_when_it_is_back(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.assertEqual(self.system.mint(self.job, self.key).status, 200)
            self.system.daemon.stop(how)
            away = self.system.mint(self.job, self.key)
            self.assertEqual((away.status, away.json["detail"]), (503, "Service temporarily unavailable"))
            self.assertGreaterEqual(int(away.headers["Retry-After"]), 1)
            ready = self.system.http("GET", "/readyz")
            self.assertEqual(ready.status, 503)
            self.assertRegex(json.loads(ready.body)["detail"], r"^No daemon is ready: of 1, \d not connected, \d draining, \d silent$")
            self.assertEqual(self.system.http("GET", "/livez").status, 200)
            # Local files need no daemon.
            self.system.start_daemon()
            wait_until("the shim to reconnect", lambda: self.system.mint(self.job, self.key).status == 200)

    def test_the_shim_restarts_without_losing_anything(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        self.assertEqual(self.system.shim.stop(), 0)
        self.system.start_shim()
        wait_until("the shim to connect", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(self.system.fetch(link).status, 200)


if __name__ == "__main__":
    unittest.main()
