"""Strangers at the shim's door: those who announce and send nothing, who open and wait, who read slowly or not at all, whose browser
is used by somebody else's page."""
import contextlib
import json
import re
import resource
import socket
import time
import unittest

from functional.harness import SystemTest, wait_until
from functional.skips import full_form
from functional.slow_readers import slow_readers_get_every_byte
from functional.test_http import raw_exchange

CONNECTIONS_MAX = 4096  # http_shim/limits.hpp
SESSION = b"Cookie: stytch_session=mine\r\n"


class Crowd(contextlib.ExitStack):
    """Many connections to one port."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * CONNECTIONS_MAX)), hard))

    def join(self, count, data=b""):
        out = []
        for _ in range(count):
            connection = self.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=20))
            if data:
                connection.sendall(data)
            out.append(connection)
        return out


class StrangersTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.http_keys = "metrics_from = 127.0.0.1\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(100)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def post(self, body=None):
        return self.system.api("POST", "/api/jobs/", self.key, body or {"job_type": "crawl", "total_items": 1})

    def number(self, name):
        page = self.system.http("GET", "/metrics").body.decode()
        return float(re.search(rf"^{name} (\S+)$", page, re.M).group(1))

    def test_announced_bodies_lock_nobody_out(self):
        """Each announces the most a body may have. What counts is what has come."""
        with Crowd(self.system.port) as crowd:
            head = b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length: 983040\r\n\r\n{"
            crowd.join(300, head)
            wait_until("all of them to be read", lambda: self.number("export_httpd_connections") >= 300)
            self.assertEqual(self.post().status, 200)
            self.assertEqual(self.number("export_httpd_held_bytes"), 0)

    def test_a_body_waits_for_its_credential(self):
        head = b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nContent-Length: 983040\r\nExpect: 100-continue\r\n"
        answer = raw_exchange(self.system.port, head + b"\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 401 "), answer)
        self.assertIn(b"WWW-Authenticate: Bearer", answer)

    def test_more_idle_connections_than_there_are_places(self):
        with Crowd(self.system.port) as crowd:
            first, *_ = crowd.join(CONNECTIONS_MAX + 200)
            self.assertEqual(self.system.http("GET", "/livez").status, 200)
            self.assertEqual(self.system.mint(self.job, self.key).status, 200)
            self.assertEqual(self.post().status, 200)
            self.assertEqual(first.recv(1), b"", "the longest idle one makes room")
            self.assertGreaterEqual(self.number("export_httpd_connections_idle_closed_total"), 200)
            self.assertLessEqual(self.number("export_httpd_connections"), CONNECTIONS_MAX + 1)
        wait_until("them to end", lambda: self.number("export_httpd_connections") < 10)

    def test_when_every_place_is_busy_probes_are_answered(self):
        with Crowd(self.system.port) as crowd:
            head = b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{"
            crowd.join(CONNECTIONS_MAX, head)
            begun = time.monotonic()
            self.assertEqual(self.system.http("GET", "/livez").status, 200)
            other = self.system.http("GET", "/api/jobs/")
            # Their bodies have ten seconds; on a machine where opening them takes that long, nothing was busy any more.
            if time.monotonic() - begun < 1 and self.number("export_httpd_connections") > CONNECTIONS_MAX:
                self.assertEqual((other.status, json.loads(other.body)["detail"]), (503, "Too many connections"))
        wait_until("them to end", lambda: self.number("export_httpd_connections") < 10)
        self.assertEqual(self.post().status, 200)

    def test_a_page_of_another_site_cannot_use_the_cookie(self):
        for target, fields, status in (
                ("/api/products/export-async", b"Origin: https://evil.example\r\nContent-Type: text/plain\r\n", 403),
                (f"/api/jobs/{self.job}/cancel", b"Origin: https://evil.example\r\nContent-Type: application/x-www-form-urlencoded\r\n", 403),
                (f"/api/jobs/{self.job}/hold", b"", 403),
                (f"/api/jobs/{self.job}/retry", b"Sec-Fetch-Site: same-site\r\n", 403),
                (f"/api/jobs/{self.job}/retry", b"Origin: http://h\r\nContent-Type: text/plain\r\n", 415),
                (f"/api/jobs/{self.job}/retry", b"Origin: http://h\r\n", 401)):  # The session is nobody's.
            answer = raw_exchange(self.system.port, b"POST " + target.encode() + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + SESSION
                                  + fields + b"Content-Length: 0\r\n\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (target, fields, answer))

    @full_form
    def test_slow_readers_get_every_byte(self):
        """For longer than every time-out there is."""
        self.system.import_generated(60_000)
        job = self.system.export()["job_id"]
        link = self.system.mint(job, self.key).json["download_url"]
        slow_readers_get_every_byte(self, self.system.port, link[link.index("/exports/"):], "h")

    def test_an_incomplete_download_shows(self):
        self.system.import_generated(30_000)  # More than the buffers of both sides take.
        job = self.system.export()["job_id"]
        link = self.system.mint(job, self.key).json["download_url"]
        target = link[link.index("/exports/"):]
        before = self.number("export_httpd_downloads_incomplete_total")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with connection:
            connection.connect(("127.0.0.1", self.system.port))
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # Gone without a word.
        wait_until("the shim to see it", lambda: self.number("export_httpd_downloads_incomplete_total") == before + 1)
        self.assertRegex(self.system.shim.text(), r"status=200 .*complete=no")

    def test_a_download_in_pieces_is_one(self):
        def counted():
            events = self.system.ctl_json("job", "events", self.job)["items"]
            return sum(event["count"] for event in events if event["kind"] == "downloaded")
        link = self.system.mint(self.job, self.key).json["download_url"]
        target = link[link.index("/exports/"):]
        size = int(self.system.http("HEAD", target).headers["Content-Length"])
        before = counted()
        for piece in range(16):
            first, last = size * piece // 16, size * (piece + 1) // 16 - 1
            self.assertEqual(self.system.http("GET", target, {"Range": f"bytes={first}-{last}"}).status, 206)
        self.system.http("GET", target, {"Range": "bytes=0-0"})
        wait_until("the job to know", lambda: counted() > before)
        self.assertEqual(self.system.http("GET", target).status, 200)
        wait_until("the next one", lambda: counted() > before + 1)
        self.assertEqual(counted(), before + 2)


class ClientsOfAProxyTest(SystemTest):
    """One connection's peer speaks for many clients, whom it names."""

    @classmethod
    def configure(cls, system):
        system.http_keys = "trusted_proxies = 127.0.0.1\nmetrics_from = 127.0.0.1\n"

    @classmethod
    def prepare(cls, system):
        cls.key = system.make_key()

    def post(self, client, body):
        headers = {"Authorization": f"Bearer {self.key}", "X-Forwarded-For": client, "Content-Type": "application/json"}
        return self.system.http("POST", "/api/jobs/", headers, json.dumps(body).encode())

    def held_bytes(self):
        page = self.system.http("GET", "/metrics").body.decode()
        return float(re.search(r"^export_httpd_held_bytes (\S+)$", page, re.M).group(1))

    def test_unfinished_bodies_lock_nobody_out(self):
        """90 bodies of five clients lack their last ten bytes each."""
        length, per_client = 983_040, 2 * 1024 * 1024
        with Crowd(self.system.port) as crowd:
            for client in range(5):
                head = (f"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x{client}\r\nX-Forwarded-For: 198.51.100.{client}\r\n"
                        f"Content-Length: {length}\r\n\r\n")
                crowd.join(18, head.encode() + b" " * (length - 10))
            wait_until("their shares to be used up", lambda: self.held_bytes() >= 5 * 0.9 * per_client)
            self.assertLessEqual(self.held_bytes(), 5 * per_client)
            large = {"job_type": "crawl", "total_items": 1, "metadata": {"text": "a" * 200_000}}
            self.assertEqual(self.post("203.0.113.9", large).status, 200)
            self.assertEqual(self.system.http("GET", "/openapi.json", {"X-Forwarded-For": "198.51.100.1"}).status, 200)
            refused = self.post("198.51.100.1", large)
            self.assertEqual((refused.status, json.loads(refused.body)["detail"]), (503, "Too many request bodies wait"))
        wait_until("all to be given back", lambda: self.held_bytes() == 0)


class CorsTest(SystemTest):
    ORIGIN = "https://app.example.com"

    @classmethod
    def configure(cls, system):
        system.http_keys = f"cors_origins = {cls.ORIGIN}\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(10)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def test_a_listed_origin_reads_answers_and_files(self):
        preflight = self.system.http("OPTIONS", "/api/products/export-async", {
            "Origin": self.ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"})
        self.assertEqual((preflight.status, preflight.headers["Access-Control-Allow-Origin"]), (204, self.ORIGIN))
        self.assertIn("Idempotency-Key", preflight.headers["Access-Control-Allow-Headers"])
        fields = {"Authorization": f"Bearer {self.key}", "Origin": self.ORIGIN}
        answer = self.system.http("GET", f"/api/products/export/{self.job}/download-url", fields)
        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (200, self.ORIGIN))
        link = json.loads(answer.body)["download_url"]
        file = self.system.http("GET", link[link.index("/exports/"):], {"Origin": self.ORIGIN})
        self.assertEqual((file.status, file.headers["Access-Control-Allow-Origin"]), (200, self.ORIGIN))
        self.assertIn("Content-Disposition", file.headers["Access-Control-Expose-Headers"])
        refused = self.system.http("GET", "/api/jobs/none/status", {"Origin": self.ORIGIN})
        self.assertEqual((refused.status, refused.headers["Access-Control-Allow-Origin"]), (401, self.ORIGIN))

    def test_others_read_nothing(self):
        for origin in ("https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"):
            answer = self.system.http("GET", "/livez", {"Origin": origin})
            self.assertIsNone(answer.headers["Access-Control-Allow-Origin"], origin)
            self.assertEqual(answer.headers["Vary"], "Origin")


if __name__ == "__main__":
    unittest.main()
