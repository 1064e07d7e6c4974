"""What the shim does with strangers: rates, proxies, traces, logs, listeners, shapes of requests, slow ones, many of them."""
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from functional.harness import BUILD, FULL, SANITIZED, Process, System, SystemTest, freeze, wait_until
from functional.skips import need
from functional.test_http import raw_exchange

HOST = b"Host: h\r\n"


class LimitsTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.http_keys = ("trusted_proxies = 127.0.0.1\naddress_rate = 5\naddress_burst = 10\ncredential_rate = 5\ncredential_burst = 4\n"
                            "metrics_from = 192.0.2.0/24\n")

    def burst(self, count, **headers):
        return [self.system.http("GET", "/livez", {name.replace("_", "-"): value for name, value in headers.items()}) for _ in range(count)]

    def test_an_address_has_a_burst_then_429(self):
        answers = self.burst(15, X_Forwarded_For="198.51.100.1")
        statuses = [answer.status for answer in answers]
        self.assertEqual(statuses[:10], [200] * 10)
        self.assertIn(429, statuses[10:])
        refused = next(answer for answer in answers if answer.status == 429)
        self.assertEqual(json.loads(refused.body), {"detail": "Too many requests"})
        self.assertEqual(refused.headers["Retry-After"], "1")
        # Somebody else's requests go on, whatever the first one writes in front.
        self.assertEqual({answer.status for answer in self.burst(5, X_Forwarded_For="198.51.100.2")}, {200})
        self.assertIn(429, [a.status for a in self.burst(15, X_Forwarded_For="203.0.113.77, 198.51.100.1")])
        wait_until("the first one to be let in again", lambda: self.burst(1, X_Forwarded_For="198.51.100.1")[0].status == 200)
        # An IPv6 household is one caller.
        self.assertIn(429, [self.burst(1, X_Forwarded_For=f"2001:db8::{n:x}")[0].status for n in range(1, 16)])

    def test_a_credential_has_its_own(self):
        statuses = [self.burst(1, X_Forwarded_For=f"198.51.100.{n}", Authorization="Bearer somebody")[0].status for n in range(20, 30)]
        self.assertEqual(statuses[:4], [200] * 4)
        self.assertIn(429, statuses)
        other = self.burst(1, X_Forwarded_For="198.51.100.40", Authorization="Bearer somebody-else")[0]
        self.assertEqual(other.status, 200)

    def test_a_refused_body_is_never_taken_for_a_request(self):
        self.burst(12, X_Forwarded_For="198.51.100.9")
        inner = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"
        answer = raw_exchange(self.system.port, b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.9\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner)
        self.assertTrue(answer.startswith(b"HTTP/1.1 429 "))
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
        self.assertIn(b"Connection: close", answer)

    def test_metrics_are_for_listed_addresses(self):
        self.assertEqual(self.system.http("GET", "/metrics", {"X-Forwarded-For": "198.51.100.50"}).status, 404)
        page = self.system.http("GET", "/metrics", {"X-Forwarded-For": "192.0.2.9"})
        self.assertEqual(page.status, 200)
        self.assertTrue(page.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        text = page.body.decode()
        for line in ('export_httpd_request_seconds_count{method="GET",route="/livez"}', "export_httpd_rate_limited_total", "export_httpd_daemon_up{",
                     "process_resident_memory_bytes", 'export_worker_build_info{program="export-httpd"'):
            self.assertIn(line, text)


class ListenersTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)

    def curl(self, path, target):
        return subprocess.run(["curl", "-s", "--max-time", "10", "--unix-socket", path, f"http://h{target}"], capture_output=True, text=True, timeout=20).stdout

    def test_unix_sockets_and_several_at_once(self):
        path = self.system.directory / "httpd.sock"
        self.system.http_keys = "socket_mode = 0600\n"
        config = self.system.config.read_text().replace("listen = 127.0.0.1:0", f"listen = 127.0.0.1:0 [::1]:0 unix:{path}")
        self.system.config.write_text(config)
        file = self.system.directory / "several.ini"
        file.write_text(config)
        shim = Process([BUILD / "bin" / "export-httpd", "--config", file], self.system.directory / "several.log")
        self.addCleanup(shim.stop)
        shim.wait_for_log("ready: unix:")
        self.assertEqual(self.curl(path, "/livez"), '{"status":"alive"}')
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        ports = re.findall(r"ready: http://(\S+):(\d+)", shim.text())
        self.assertEqual([host for host, _ in ports], ["127.0.0.1", "[::1]"])
        for host, port in ports:
            self.assertEqual(subprocess.run(["curl", "-s", f"http://{host}:{port}/livez"], capture_output=True, text=True).stdout, '{"status":"alive"}')
        self.assertTrue(self.curl(path, "/openapi.json").startswith("{"))
        wait_until("the line", lambda: "client=unix" in shim.text())

    def test_sockets_that_systemd_hands_over(self):
        """As systemd does it: the socket is descriptor 3, and LISTEN_PID is the process itself."""
        config = self.system.directory / "activated.ini"
        config.write_text(self.system.config.read_text().replace("listen = 127.0.0.1:0", "listen = systemd"))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(16)
            port = listener.getsockname()[1]
            script = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --config "$1"'
            with open(self.system.directory / "activated.log", "wb") as log:
                shim = subprocess.Popen(["/bin/bash", "-c", script, str(BUILD / "bin" / "export-httpd"), str(config)], pass_fds=[listener.fileno()], stderr=log)
            self.addCleanup(shim.wait)
            self.addCleanup(shim.kill)
            # The connection waits in the backlog until the shim is there.
            answer = raw_exchange(port, b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertIn(b'{"status":"alive"}', answer)
        shim.send_signal(signal.SIGTERM)
        self.assertEqual(shim.wait(15), 0)
        alone = subprocess.run([BUILD / "bin" / "export-httpd", "--config", config], capture_output=True, text=True, timeout=15)
        self.assertEqual(alone.returncode, 78)
        self.assertIn("expected sockets in LISTEN_FDS", alone.stderr)


class AccessLogTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.http_keys = "access_log_sample = 5\n"

    def lines(self, target, status="[0-9]+"):
        return len(re.findall(rf"(?m) request status={status} method=GET target={target} ", self.system.shim.text()))

    def test_one_line_in_so_many_and_one_for_each_error(self):
        for _ in range(20):
            self.assertEqual(self.system.http("GET", "/openapi.json").status, 200)
            self.assertEqual(self.system.http("GET", "/nope").status, 404)
            for probe in ("/livez", "/readyz", "/metrics"):
                self.assertEqual(self.system.http("GET", probe).status, 200)
        wait_until("the last error", lambda: self.lines("/nope") == 20)
        self.assertEqual(self.lines("/openapi.json"), 4)
        for probe in ("/livez", "/readyz", "/metrics"):
            self.assertEqual(self.lines(probe, 200), 0)
        self.assertEqual(self.system.http("GET", "/metrics", {"X-Forwarded-For": "198.51.100.50"}).status, 404)
        wait_until("the refused scrape", lambda: self.lines("/metrics") == 1)


class TraceTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.http_keys = "log_format = json\n"
        system.daemon_keys = "log_format = json\nlog_level = debug\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(10)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def ask(self, **headers):
        return self.system.http("GET", "/livez", headers)

    def test_a_trace_goes_on_and_a_bad_one_is_replaced(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        out = self.ask(traceparent=f"00-{trace}-00f067aa0ba902b7-01").headers["traceparent"]
        self.assertRegex(out, rf"^00-{trace}-[0-9a-f]{{16}}-01$")
        self.assertNotIn("00f067aa0ba902b7", out)
        for bad in (f"00-{trace.upper()}-00f067aa0ba902b7-01", f"ff-{trace}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01",
                    f"00-{trace}-{'0' * 16}-01", f"00-{trace}-00f067aa0ba902b7", "nonsense", f"00-{trace}-00f067aa0ba902b7-01-x"):
            replaced = self.ask(traceparent=bad).headers["traceparent"]
            self.assertRegex(replaced, r"^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
            self.assertNotIn(trace, replaced)

    def test_one_trace_from_the_access_log_to_the_daemons(self):
        trace = "0af7651916cd43dd8448eb211c80319c"
        url = f"/api/products/export/{self.job}/download-url"
        answer = self.system.http("GET", url, {"Authorization": f"Bearer {self.key}", "traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-ID": "my-own-1"})
        self.assertEqual((answer.status, answer.headers["X-Request-ID"]), (200, "my-own-1"))
        for process in (self.system.shim, self.system.daemon):
            def lines():
                return [entry for entry in map(json.loads, process.text().splitlines()) if entry.get("trace_id") == trace and entry["message"] == "request"]
            found = wait_until(f"the trace in {process.log_path.name}", lines)[0]
            self.assertTrue(found["request_id"].startswith("my-own-1"))

    def test_the_access_log_is_json_without_secrets(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        self.system.fetch(link)
        self.system.http("GET", '/nope/x"y%0a', {"Authorization": f"Bearer {self.key}"})
        wait_until("the line", lambda: "/nope/" in self.system.shim.text())
        text = self.system.shim.text()
        entries = [json.loads(line) for line in text.splitlines()]
        download = next(e for e in entries if e.get("target", "").startswith("/exports/"))
        self.assertEqual((download["status"], download["method"], download["level"]), (200, "GET", "info"))
        self.assertGreater(download["bytes"], 100)
        self.assertIn("sig=REDACTED", download["target"])
        self.assertNotIn(link.split("sig=")[1], text)
        self.assertNotIn(self.key, text)

    def test_journald_levels(self):
        config = self.system.directory / "journald.ini"
        config.write_text(self.system.config.read_text().replace("log_format = json", "log_format = journald").replace(f"listen = 127.0.0.1:{self.system.port}", "listen = 127.0.0.1:0"))
        shim = Process([BUILD / "bin" / "export-httpd", "--config", config], self.system.directory / "journald.log")
        shim.wait_for_log("<6>ready: ")
        shim.stop()


# Each is one head, and what it smuggles behind it; a proxy might see two requests, or another one. The shim must see one at most.
SMUGGLING = [
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 44\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0x0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0 0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 44\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length : 0\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length\x00: 0\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 44\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n\r\n",
    b"GET http://other/livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET //other/livez HTTP/1.1 \r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1\rHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1\nHost: h\n\n",
    b"GET /livez HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/0.9\r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1.1\r\nHost: h\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET\t/livez\tHTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET  /livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b" GET /livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n Host: h\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
    b"GET /li\x00vez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /livez#fragment HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /%2e%2e/livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a%2flivez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a\\livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT other:443 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"TRACE /livez HTTP/1.1\r\nHost: h\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]


class AbuseTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(2000)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def test_the_smuggling_corpus(self):
        hidden = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\nX-Request-ID: smuggled\r\n\r\n"
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda shape: raw_exchange(self.system.port, shape + hidden, 12), SMUGGLING))
        for shape, answer in zip(SMUGGLING, answers):
            self.assertNotIn(b"smuggled", answer, shape)
            self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)), 1, (shape, answer))
            status = int(answer.split(b" ")[1])
            self.assertTrue(400 <= status < 600 and status != 500, (shape, answer))
            self.assertIn(b"Connection: close", answer, shape)
        print(f"\n{len(SMUGGLING)} shapes, each answered once and closed")

    def test_a_hundred_thousand_header_fields(self):
        many = b"GET /livez HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n"
        answer = raw_exchange(self.system.port, many)
        self.assertTrue(answer.startswith(b"HTTP/1.1 431 ") or answer == b"", answer[:80])
        few = b"GET /livez HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100)) + b"\r\n"
        self.assertTrue(raw_exchange(self.system.port, few).startswith(b"HTTP/1.1 431 "))
        self.assertEqual(self.system.http("GET", "/livez").status, 200)

    def drip(self, head, rest, limit_s):
        """Sends `head`, then `rest` a byte every 0.2 s; how long until the server has had enough."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=60) as connection:
            connection.sendall(head)
            connection.settimeout(0.2)
            for byte in rest:
                if time.monotonic() - began > limit_s:
                    return None
                try:
                    connection.sendall(bytes([byte]))
                    if connection.recv(1) == b"":
                        break
                except socket.timeout:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    break
        return time.monotonic() - began

    def idle(self):
        """How long the server keeps a connection on which no further request comes."""
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=60) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertIn(b" 200 OK", connection.recv(4096))
            began = time.monotonic()
            while connection.recv(4096):
                pass
            return time.monotonic() - began

    def test_every_route_answers_head_and_options(self):
        document = json.loads(self.system.http("GET", "/openapi.json").body)
        for path, item in document["paths"].items():
            target = path.replace("{job_id}", self.job)
            options = self.system.http("OPTIONS", target)
            self.assertEqual((options.status, options.body), (204, b""), path)
            allowed = options.headers["Allow"].split(", ")
            for method in ("get", "post"):
                self.assertEqual(method in item, method.upper() in allowed, (path, allowed))
            if "get" in item:
                bearer = {"Authorization": f"Bearer {self.key}"}
                head, get = self.system.http("HEAD", target, bearer), self.system.http("GET", target, bearer)
                self.assertEqual((head.status, head.body), (get.status, b""), path)
                if "download-url" not in path:
                    self.assertEqual(head.headers["Content-Length"], str(len(get.body)), path)
            for method in {"PUT", "DELETE", "PATCH"} | ({"POST"} - set(allowed)):
                refused = self.system.http(method, target)
                self.assertEqual(refused.status, 405, (method, path))
                self.assertIn("OPTIONS", refused.headers["Allow"])
        missing = self.system.http("GET", "/no/such/route")
        self.assertEqual((missing.status, json.loads(missing.body)), (404, {"detail": "Not Found"}))

    def attack(self, mode, seconds):
        return subprocess.Popen(["slowhttptest", "-c", "200", *mode, "-r", "200", "-u", f"http://127.0.0.1:{self.system.port}/livez", "-l", str(seconds), "-p", "2"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.system.directory)

    def test_slow_clients_are_cut_and_hold_up_no_other(self):
        """Slow heads and bodies of our own, those of Debian's slowhttptest, and in the full form an idle connection; the shim stays
        answerable, and no descriptor is left behind."""
        before = len(os.listdir(f"/proc/{self.system.shim.popen.pid}/fd"))
        body = b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n\r\n"
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            idle = pool.submit(self.idle) if FULL else None
            slow_head = pool.submit(self.drip, b"GET /livez HTTP/1.1\r\n", b"X" * 500, 12)
            slow_body = pool.submit(self.drip, body, b"y" * 500, 20)
            try:
                self.attack_with_slowhttptest()
            finally:  # Also where there is no slowhttptest.
                for took, least, most in ((slow_head, 4, 9), (slow_body, 9, 15), *([(idle, 29, 40)] if FULL else [])):
                    self.assertGreater(took.result() or 0, least)
                    self.assertLess(took.result(), most)
        wait_until("connections to end", lambda: len(os.listdir(f"/proc/{self.system.shim.popen.pid}/fd")) <= before + 4, 40)

    def attack_with_slowhttptest(self):
        need("slowhttptest")
        # (flags, seconds, what it says at the end). The shim ends slow heads after 5 s and bodies without a credential at once;
        # slowhttptest takes a core as long as it runs.
        heads = (["-H", "-i", "1"], 10, "No open connections left")
        bodies = (["-B", "-i", "1", "-s", "4096"], 15 if FULL else 2, "No open connections left")
        reads = (["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32"], 8 if FULL else 2, "Hit test time limit")
        for together in ([heads], [bodies], [reads]) if FULL else [[heads, bodies, reads]]:
            attacks = [self.attack(mode, seconds) for mode, seconds, _ in together]
            slowest = 0
            running = attacks
            while running := [attack for attack in running if attack.poll() is None]:
                began = time.perf_counter()
                self.assertEqual(self.system.http("GET", "/livez").status, 200)
                slowest = max(slowest, time.perf_counter() - began)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running[0].wait(0.05)
            reports = [attack.communicate()[0] for attack in attacks]
            for report, (_, _, end) in zip(reports, together):
                self.assertIn(end, report)
            self.assertLess(slowest, 2, "".join(reports)[-2000:])
            print(f"\nslowhttptest {' '.join(mode[0] for mode, _, _ in together)}: the slowest other request took {slowest * 1000:.0f} ms")

    def test_wrk_gets_nothing_but_answers(self):
        before = len(os.listdir(f"/proc/{self.system.shim.popen.pid}/fd"))
        need("wrk")
        done = subprocess.run(["wrk", "-t", "2", "-c", "10" if SANITIZED else "100", "-d", "3" if FULL else "1", "-H", f"Authorization: Bearer {self.key}",
                               f"http://127.0.0.1:{self.system.port}/api/products/export/{self.job}/download-url"], capture_output=True, text=True, timeout=60)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertNotIn("Socket errors", done.stdout)
        print(re.search(r"Requests/sec: *\S+", done.stdout).group(0))
        wait_until("connections to end", lambda: len(os.listdir(f"/proc/{self.system.shim.popen.pid}/fd")) <= before + 4, 40)

    def is_refused(self):
        try:
            socket.create_connection(("127.0.0.1", self.system.port), timeout=5).close()
        except OSError:
            return True
        return False

    def test_a_drain_finishes_what_is_under_way(self):
        link = self.system.mint(self.job, self.key).json["download_url"]
        path = link.split(str(self.system.port), 1)[1]
        whole = len(self.system.fetch(link).body)
        with socket.create_connection(("127.0.0.1", self.system.port), timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n" % self.key.encode())
            self.assertIn(b"100 Continue", connection.recv(100))  # The shim has the head; the body comes after the signal.
            self.system.shim.popen.send_signal(signal.SIGTERM)
            self.system.shim.wait_for_log("stopping")
            wait_until("new connections to be refused", self.is_refused)
            connection.sendall(b'{"job_type":"crawl", "total_items": 1  }'.ljust(40))
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        self.assertIn(b"200 OK", answer)
        self.assertIn(b"Connection: close", answer)
        self.assertEqual(self.system.shim.popen.wait(15), 0)
        self.system.start_shim()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(len(self.system.fetch(f"http://127.0.0.1:{self.system.port}{path}").body), whole)


class Load:
    """Mints over and over on its own connections; what came back, by status, and what did not."""

    def __init__(self, system, job, key, threads=4):
        self.system, self.job, self.key = system, job, key
        self.statuses, self.broken, self.bad = {}, 0, []
        self.stop_requested = threading.Event()
        self.lock = threading.Lock()
        self.begun = [0] * threads  # Requests of each thread, the one under way among them.
        self.threads = [threading.Thread(target=self.run, args=(index,)) for index in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        while not self.stop_requested.is_set():
            self.begun[index] += 1
            try:
                answer = self.system.mint(self.job, self.key)
            except OSError:
                with self.lock:
                    self.broken += 1
                self.stop_requested.wait(0.01)
                continue
            except Exception as error:  # http.client's own, for a connection that ends in the middle.
                with self.lock:
                    self.broken += 1
                    self.bad.append(repr(error)) if "RemoteDisconnected" not in repr(error) and "IncompleteRead" not in repr(error) else None
                continue
            with self.lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                if answer.status == 503 and int(answer.headers["Retry-After"]) < 1:
                    self.bad.append(dict(answer.headers))

    def count(self, status=None):
        """How many answers there have been, or how many with that status."""
        with self.lock:
            return sum(self.statuses.values()) if status is None else self.statuses.get(status, 0)

    def wait_for_more(self, count, status=None):
        before = self.count(status)
        wait_until(f"{count} more answers{f' {status}' if status else ''}", lambda: self.count(status) >= before + count)

    def wait_for_those_under_way(self):
        """Until every request that has begun has ended and is counted, however slow its thread."""
        begun = list(self.begun)
        wait_until("the end of what is under way", lambda: all(now > before for now, before in zip(self.begun, begun)))

    def end(self):
        self.stop_requested.set()
        for thread in self.threads:
            thread.join()


class DeathTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(10)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]

    def test_a_daemon_killed_under_load_is_503_and_nothing_else(self):
        load = Load(self.system, self.job, self.key)
        for _ in range(3):
            load.wait_for_more(50, 200)
            self.system.daemon.stop(signal.SIGKILL)
            load.wait_for_more(50, 503)
            self.system.start_daemon()
            wait_until("links again", lambda: self.system.mint(self.job, self.key).status == 200)
        load.end()
        print(f"\n{load.statuses}")
        self.assertEqual(set(load.statuses), {200, 503})
        self.assertEqual((load.broken, load.bad), (0, []))

    def test_a_shim_killed_under_load_loses_its_own_connections_only(self):
        load = Load(self.system, self.job, self.key)
        for _ in range(3):
            load.wait_for_more(50, 200)
            self.system.shim.stop(signal.SIGKILL)
            self.system.start_shim()
            wait_until("links again", lambda: self.system.http("GET", "/readyz").status == 200)
        load.end()
        print(f"\n{load.statuses}, {load.broken} on connections that were lost")
        self.assertLessEqual(set(load.statuses), {200, 503})
        self.assertEqual(load.bad, [])
        requests = self.system.ctl_json("status")["requests"]
        self.assertEqual(requests["accepted"], requests["replied"] + requests["error_replied"] + requests["client_gone"] + requests["in_flight"])


class SeveralDaemonsTest(unittest.TestCase):
    """Two daemons with the same keys and jobs, one shim."""

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.start()
        self.system.import_generated(10)
        self.key = self.system.make_key()
        self.job = self.system.export()["job_id"]
        backup = self.system.directory / "second"
        self.system.ctl("backup", backup)
        config = self.system.config.read_text()
        self.second_config = self.system.directory / "second.ini"
        self.second_config.write_text(re.sub(r"state_dir = \S+", f"state_dir = {backup}", config))
        self.second = None
        self.start_second()
        self.system.shim.stop()
        self.system.http_keys = f"daemons = ipc://{self.system.state}/run/data.sock ipc://{backup}/run/data.sock\n"
        self.system.start_shim()
        wait_until("both", lambda: self.up() == [1.0, 1.0])

    def start_second(self):
        self.second = Process([BUILD / "bin" / "export-workerd", "--config", self.second_config], self.system.directory / f"second-{time.monotonic_ns()}.log")
        self.addCleanup(lambda: self.second.popen.poll() is None and self.second.stop())
        self.second.wait_for_log("ready: data on")

    def metric(self, name):
        text = self.system.http("GET", "/metrics").body.decode()
        return [float(value) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)", text, re.M)]

    def up(self):
        return self.metric("export_httpd_daemon_up")

    def test_load_is_spread_and_deaths_are_noticed(self):
        for _ in range(40):
            self.assertEqual(self.system.mint(self.job, self.key).status, 200)
        wait_until("both to have had their share", lambda: sum(s := self.metric("export_httpd_daemon_requests_total")) >= 40 and min(s) > 10)
        load = Load(self.system, self.job, self.key)
        load.wait_for_more(50, 200)
        self.second.stop(signal.SIGKILL)
        began = time.monotonic()
        wait_until("its death", lambda: self.up()[1] == 0)
        noticed = time.monotonic() - began
        load.wait_for_those_under_way()
        before = load.count(503)
        load.wait_for_more(100)
        after = load.count(503)
        self.start_second()
        wait_until("both again", lambda: self.up() == [1.0, 1.0])
        # A drain: refused before anything runs, so the other one is asked, and no caller sees it.
        self.second.popen.send_signal(signal.SIGTERM)
        wait_until("its end", lambda: self.second.popen.poll() is not None)
        load.end()
        print(f"\n{load.statuses}; a death is noticed after {noticed * 1000:.0f} ms")
        self.assertLess(noticed, 1)
        self.assertEqual(after, before, "a request was sent to a daemon that is known to be away")
        self.assertEqual(load.bad, [])
        self.assertEqual(load.broken, 0)
        self.assertLessEqual(load.statuses.get(503, 0), 8, "only what the killed one had in flight")

    def test_a_stopped_daemon_gets_nothing_new(self):
        freeze(self.second.popen)
        began = time.monotonic()
        wait_until("its silence", lambda: self.up()[1] == 0)
        self.assertLess(time.monotonic() - began, 1.5)
        self.assertEqual([self.system.mint(self.job, self.key).status for _ in range(20)], [200] * 20)
        self.second.popen.send_signal(signal.SIGCONT)
        wait_until("its return", lambda: self.up() == [1.0, 1.0])


if __name__ == "__main__":
    unittest.main()
