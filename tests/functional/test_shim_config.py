"""export-httpd: --check-config opens what it names, SIGHUP takes over what can change."""
import http.server
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from functional.harness import BUILD, Process, System, SystemTest, free_port, wait_until

NOBODY = 65534
TRY_AGAIN, CONFIGURATION = 75, 78


class CheckConfigTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.system.port = free_port()
        self.addCleanup(self.system.close)

    def check(self, http_keys="", extra="", program="export-httpd", words=("--check-config",), **more):
        self.system.http_keys, self.system.extra = http_keys, extra
        return subprocess.run([BUILD / "bin" / program, *words, "--config", self.system.config], capture_output=True, text=True, timeout=60, **more)

    def complains(self, pattern, status=CONFIGURATION, **more):
        done = self.check(**more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr, pattern)
        return done

    def warns(self, pattern, **more):
        done = self.check(**more)
        self.assertEqual((done.returncode, done.stdout.strip().endswith("good")), (0, True), done.stderr)
        self.assertRegex(done.stderr, pattern)

    def listen(self, where):
        """More entries of [http] listen beside the harness's own."""
        text = self.system.config.read_text()
        path = self.system.directory / "listen.ini"
        path.write_text(re.sub(r"(?m)^listen = .*$", f"listen = {where}", text))
        return subprocess.run([BUILD / "bin" / "export-httpd", "--check-config", "--config", path], capture_output=True, text=True, timeout=60)

    def test_a_good_one_is_good_and_nothing_is_made(self):
        before = sorted(path for path in self.system.directory.rglob("*") if path.suffix != ".ini")
        self.warns("no daemon answers on ipc://.*; requests are 503 until one does")
        self.assertEqual(sorted(path for path in self.system.directory.rglob("*") if path.suffix != ".ini"), before)

    def test_all_that_is_wrong_with_the_file_at_once(self):
        self.system.keys.chmod(0o644)
        done = self.complains(r"chmod 640", http_keys="docs = perhaps\nhostss = x\nhosts = https://a.example\n[export]\nworkerss = 1\n")
        for complaint in (r"\[http\] docs: expected on or off", r"\[http\] unknown key 'hostss'; did you mean 'hosts'\?", r"\[http\] hosts: expected names",
                          r"\[export\] unknown key 'workerss'; did you mean 'workers'\?"):
            self.assertRegex(done.stderr, complaint)

    def test_mistakes_of_the_file_and_what_it_names_at_once(self):
        self.system.exports.write_text("a file")
        done = self.complains(r"\[store.local\] root: expected a directory, found a file", http_keys="docs = perhaps\n")
        self.assertRegex(done.stderr, r"\[http\] docs: expected on or off")
        done = self.complains(r"\[plugin.none\] file: ", program="export-workerd", extra="[plugin.none]\nfile = /no/such.so\n[export]\nworkers = lots\n")
        self.assertRegex(done.stderr, r"\[export\] workers: expected a number")

    def test_unknown_keys_are_errors_whichever_program_reads_them(self):
        for section, key in (("[http]\n", "[http]\nlistenn = 1\n"), ("[daemon]\n", "[daemon]\nstate_dirr = /x\n"), ("[store.local]\n", "[store.local]\nregion = r\n")):
            path = self.system.directory / "unknown.ini"
            path.write_text(self.system.config.read_text().replace(section, key, 1))
            for program in ("export-workerd", "export-httpd"):
                done = subprocess.run([BUILD / "bin" / program, "--check-syntax", "--config", path], capture_output=True, text=True, timeout=60)
                self.assertEqual((done.returncode, "unknown key" in done.stderr), (CONFIGURATION, True), (program, section, done.stderr))

    def test_addresses(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = self.listen(f"127.0.0.1:{port} 192.0.2.1:8080")
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertRegex(done.stderr, rf"\[http\] listen: another process listens on 127.0.0.1:{port}; it does not answer /livez within 2 s: if it is export-httpd, it is frozen")
        self.assertRegex(done.stderr, r"\[http\] listen: listen on 192.0.2.1:8080: Cannot assign")
        with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            done = self.listen(f"127.0.0.1:{other.server_port}")
            other.shutdown()
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertRegex(done.stderr, rf"\[http\] listen: listen on 127.0.0.1:{other.server_port}: .*in use.*; stop what listens there")

    def test_unix_sockets(self):
        file = self.system.directory / "file"
        file.write_text("")
        self.assertRegex(self.listen(f"unix:{file}").stderr, "expected a socket or nothing at .*/file, found something else; remove it")
        path = self.system.directory / "taken.sock"
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(str(path))
            taken.listen(1)
            done = self.listen(f"unix:{path}")
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertRegex(done.stderr, "another process listens on .*taken.sock; stop it, or name another path")
        done = self.listen(f"unix:{path} unix:{self.system.directory}/new/httpd.sock")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"trusted_proxies: expected unix, because \[http\] listen has a Unix socket")

    def test_keys_that_do_not_fit_each_other(self):
        self.warns(r"hosts: expected 127.0.0.1:\d+, the host of \[store.local\] base_url: links .* 421", http_keys="hosts = api.example.com\n")
        self.warns("trusted_proxies: expected the addresses of proxies, found a network with every address", http_keys="trusted_proxies = 0.0.0.0/0\n")

    def test_roots(self):
        self.system.exports.write_text("a file")
        self.complains(r"\[store.local\] root: expected a directory, found a file")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_as_the_user_of_the_service(self):
        program = self.system.directory / "export-httpd"
        shutil.copy(BUILD / "bin" / "export-httpd", program)
        self.system.directory.chmod(0o755)
        self.system.exports.mkdir(mode=0o700)
        others = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        done = self.check(program=program, **others)
        self.assertEqual(done.returncode, CONFIGURATION, done.stderr)
        self.assertRegex(done.stderr, "open .*link_keys: Permission denied")
        self.system.keys.chmod(0o640)
        os.chown(self.system.keys, 0, NOBODY)
        done = self.listen_as(program, f"unix:{self.system.directory}/httpd.sock", others)
        self.assertEqual(done.returncode, CONFIGURATION, done.stderr)
        self.assertRegex(done.stderr, r"root: open files in .*exports: Permission denied; expected that nobody may enter it")
        self.assertRegex(done.stderr, r"listen: make a socket in .*: Permission denied; expected a directory that nobody may write")
        self.assertNotIn("checked as root", done.stderr)

    def listen_as(self, program, where, others):
        path = self.system.directory / "as_user.ini"
        path.write_text(re.sub(r"(?m)^listen = .*$", f"listen = {where}", self.system.config.read_text()))
        return subprocess.run([program, "--check-config", "--config", path], capture_output=True, text=True, timeout=60, **others)


class RunningTest(SystemTest):
    """Each test leaves the configuration as it was."""

    def setUp(self):
        self.system.http_keys = ""
        self.addCleanup(self.hup, "")

    def hup(self, http_keys, extra=""):
        """SIGHUP with these keys; what the log says of it comes back."""
        before = len(self.system.shim.text())
        self.system.http_keys, self.system.extra = http_keys, extra
        self.system.config  # Writes the file.
        self.system.shim.popen.send_signal(signal.SIGHUP)
        return wait_until("the end of the reload", lambda: re.search(r"(?s).*SIGHUP: (?:done|nothing has changed).*", self.system.shim.text()[before:]))[0]

    def metric(self, name):
        return float(re.search(rf"(?m)^{name} (\S+)$", self.system.http("GET", "/metrics").body.decode())[1])

    def test_check_config_beside_it(self):
        done = subprocess.run([BUILD / "bin" / "export-httpd", "--check-config", "--config", self.system.config], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"an export-httpd runs on 127.0.0.1:{self.system.port}: the address was not tried", done.stderr)
        self.assertNotIn("no daemon answers", done.stderr)

    def test_hosts_origins_and_docs_change_live(self):
        host = {"Host": "api.example.com"}
        self.assertEqual(self.system.http("GET", "/docs", host).status, 200)
        self.hup("hosts = other.example.com\n")
        self.assertEqual(self.system.http("GET", "/docs", host).status, 421)
        self.hup("docs = off\ncors_origins = https://app.example.com\n")
        response = self.system.http("GET", "/docs", {"Origin": "https://app.example.com"})
        self.assertEqual((response.status, response.getheader("Access-Control-Allow-Origin")), (404, "https://app.example.com"))

    def test_rates_change_live(self):
        self.hup("credential_rate = 1\ncredential_burst = 1\n")
        key = self.system.make_key()
        statuses = {self.system.api("GET", "/api/jobs/", key).status for _ in range(5)}
        self.assertEqual(statuses, {200, 429})

    def test_link_keys_and_stores_change_live(self):
        other = self.system.secret("other_keys", f"o1 {secrets.token_hex(32)}\n")
        log = self.hup("", f"[store.other]\nkind = local\nroot = {self.system.directory}/other\nbase_url = http://127.0.0.1:{self.system.port}\nkey_file = {other}\n")
        self.assertIn("SIGHUP: done", log)
        self.assertNotIn("needs a restart", log)

    def test_a_bad_file_changes_nothing_and_says_so(self):
        store = f"[store.other]\nkind = local\nbase_url = http://h\nkey_file = {self.system.keys}\nroot = "
        for keys, extra, reason in (("", f"{store}{self.system.keys}\n", "root: expected a directory, found a file"),
                                    ("", f"{store}relative/path\n", "root: expected an absolute path, found 'relative/path'"),
                                    ("docs = perhaps\n", "", r"\[http\] docs: expected on or off"),
                                    ("hosts = other.example.com\nnonsense = 1\n", "", "unknown key 'nonsense'"),
                                    ("hosts = other.example.com\n", "[store.other]\nkind = local\nroot = /r\nbase_url = http://h\nkey_file = /no/keys\n", "/no/keys")):
            self.assertRegex(self.hup(keys, extra), "SIGHUP: nothing has changed: .*" + reason)
            self.assertEqual(self.system.http("GET", "/docs", {"Host": "api.example.com"}).status, 200)
            self.assertEqual(self.metric("export_httpd_configuration_good"), 0)
            self.assertIn(b'"shim_configuration"', self.system.http("GET", "/readyz").body)
        self.hup("")
        self.assertEqual(self.metric("export_httpd_configuration_good"), 1)
        self.assertNotIn(b"shim_configuration", self.system.http("GET", "/readyz").body)

    def test_what_needs_a_restart_is_named_key_by_key(self):
        log = self.hup("daemons = ipc:///other.sock\nlog_format = json\nlog_level = debug\n")
        self.assertEqual(sorted(re.findall(r"configuration: (\S+ \S+) has changed; that needs a restart", log)), ["[http] daemons", "[http] log_format"])
        self.assertEqual(self.system.http("GET", "/readyz").status, 200)

    def test_a_cut_off_file_changes_nothing(self):
        path = self.system.config
        whole = path.read_text()
        for text, reason in (("", "expected sections such as \\[daemon\\], found an empty file"), (whole.split("\n[http]")[0].replace("[daemon]", "[http]"), "unknown key 'state_dir'"),
                             ("[http]\ndocs = off\n", r"\[daemon\] state_dir: missing"), (whole.replace(f"root = {self.system.exports}", "root = /"), "expected a directory of its own, found /")):
            before = len(self.system.shim.text())
            path.write_text(text)
            self.system.shim.popen.send_signal(signal.SIGHUP)
            told = wait_until("the end of the reload", lambda: re.search(r"(?s).*SIGHUP: (?:done|nothing has changed).*", self.system.shim.text()[before:]))[0]
            self.assertRegex(told, "SIGHUP: nothing has changed: .*" + reason)
            self.assertEqual(self.system.http("GET", "/docs").status, 200)

    def test_the_store_of_exports_stays_where_it_is(self):
        self.system.import_generated(5)
        job = self.system.export()["job_id"]
        key = self.system.make_key()
        path = self.system.config
        elsewhere = self.system.directory / "elsewhere"
        elsewhere.mkdir()
        path.write_text(path.read_text().replace(f"root = {self.system.exports}", f"root = {elsewhere}"))
        for process in (self.system.daemon, self.system.shim):
            before = len(process.text())
            process.popen.send_signal(signal.SIGHUP)
            told = wait_until("the warning", lambda: re.search(r"(?s).*\[store.local\] stays as it was until a restart: exports go there.*", process.text()[before:]))[0]
            wait_until("its name", lambda: re.search(r"configuration: \[store.local\] root has changed; that needs a restart", process.text()[before:]), patience_s=20) or self.fail(told)
        for each in (job, self.system.export()["job_id"]):
            link = self.system.mint(each, key)
            self.assertEqual(link.status, 200, link.body)
            self.assertEqual(self.system.fetch(link.json["download_url"]).status, 200)
        self.assertEqual(list(elsewhere.iterdir()), [])
        self.system.config  # Writes the good one.
        self.system.daemon.popen.send_signal(signal.SIGHUP)

    def test_a_root_that_is_a_file_is_refused_by_the_daemon(self):
        file = self.system.directory / "file"
        file.write_text("x")
        for root, reason in ((file, "expected a directory, found a file"), ("/", "expected a directory of its own, found /")):
            self.system.extra = f"[store.other]\nkind = local\nroot = {root}\nbase_url = http://h\nkey_file = {self.system.keys}\n"
            self.system.config  # Writes the file.
            before = len(self.system.daemon.text())
            self.system.daemon.popen.send_signal(signal.SIGHUP)
            wait_until("the refusal", lambda: re.search(rf"SIGHUP: nothing has changed: .*\[store.other\] root: {reason}", self.system.daemon.text()[before:]))
        self.system.extra = ""
        before = len(self.system.daemon.text())
        self.system.config.write_text("")
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: "found an empty file" in self.system.daemon.text()[before:])
        self.system.config  # Writes the good one.
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        wait_until("the good one", lambda: "configuration" not in [alarm["name"] for alarm in self.system.ctl_json("status")["alarms"]])

    def test_requests_in_flight_are_answered(self):
        with socket.create_connection(("127.0.0.1", self.system.port)) as client:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n")
            self.hup("")
            client.sendall(b"Connection: close\r\n\r\n")
            client.settimeout(20)
            self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200 OK"))


class SignalTest(unittest.TestCase):
    def test_a_hangup_during_the_start_ends_nothing(self):
        system = System()
        self.addCleanup(system.close)
        for _ in range(5):
            shim = Process([BUILD / "bin" / "export-httpd", "--config", system.config], system.directory / "early.log")
            wait_until("the program", lambda: os.readlink(f"/proc/{shim.popen.pid}/exe").endswith("export-httpd"))
            # From its first instruction in main() on; what comes before belongs to the loader.
            wait_until("a blocked or handled SIGHUP", lambda: self.is_safe(shim.popen.pid))
            shim.popen.send_signal(signal.SIGHUP)
            shim.wait_for_log("ready: http://")
            shim.wait_for_log("SIGHUP: done")
            self.assertEqual(shim.stop(), 0)
            shim.log_path.unlink()

    def is_safe(self, pid):
        with open(f"/proc/{pid}/status") as status:
            text = status.read()
        masks = [int(mask, 16) for mask in re.findall(r"(?m)^Sig(?:Blk|Cgt):\s+(\w+)$", text)]
        return any(mask & 1 for mask in masks)


if __name__ == "__main__":
    unittest.main()
