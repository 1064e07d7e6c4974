"""exportctl doctor: a line for each check, what to do, and an end whatever hangs."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import unittest

from functional.harness import BUILD, SystemTest, free_port, freeze, wait_until
from functional.skips import sqlite_only

OK, WARN, BAD = 0, 1, 2


class DoctorTest(SystemTest):
    """Each test leaves the system as it was."""

    def setUp(self):
        self.system.extra = self.system.http_keys = ""

    def run_doctor(self, *words, env=None, path="/nonexistent"):
        # No systemctl, timedatectl or curl: what they say depends on the machine.
        return subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, *words, "doctor"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PATH": path, **(env or {})})

    def results(self, **more):
        """[(check, subject, health, detail, remedy)], and the exit status."""
        done = self.run_doctor("--json", **more)
        answer = json.loads(done.stdout)
        self.assertEqual(["ok", "warn", "bad"].index(answer["health"]), done.returncode, done.stderr)
        return [tuple(item[name] for name in ("check", "subject", "health", "detail", "remedy")) for item in answer["items"]], done.returncode

    def found(self, check, health, pattern, **more):
        results, status = self.results(**more)
        hits = [each for each in results if each[0] == check and each[2] == health and re.search(pattern, " ".join(each[1:]))]
        self.assertTrue(hits, results)
        self.assertGreaterEqual(status, {"ok": OK, "warn": WARN, "bad": BAD}[health])
        return hits[0]

    def test_a_system_that_is_well(self):
        results, status = self.results()
        checks = {each[0] for each in results}
        self.assertLessEqual({"configuration", "daemon", "alarm", "shim", "public address", "store", "clock", "disk", "file", "unit"}, checks)
        troubles = [each for each in results if each[2] != "ok" and each[0] != "disk"]
        self.assertEqual(troubles, [])

    def test_one_line_for_each_check(self):
        done = self.run_doctor()
        for line in done.stdout.splitlines():
            self.assertRegex(line, r"^(ok    |warn  |bad   )[a-z]")
        self.assertRegex(done.stdout, r"(?m)^ok    daemon: export-workerd \S+ answers, pid \d+, up since ")
        self.assertRegex(done.stdout, rf"(?m)^ok    shim 127.0.0.1:{self.system.port}: ready$")
        self.assertRegex(done.stdout, rf"(?m)^ok    shim 127.0.0.1:{self.system.port}: export-httpd \S+ answers$")

    def test_a_configuration_that_has_become_bad(self):
        self.system.http_keys = "nonsense = 1\n"
        for program in ("export-workerd", "export-httpd"):
            self.found("configuration", "bad", rf"^{program} .*\[http\] unknown key 'nonsense'")

    def test_a_warning_of_the_shim(self):
        self.system.http_keys = "hosts = elsewhere.example.com\n"
        self.found("configuration", "warn", r"export-httpd bad .*|export-httpd warn \[http\] hosts: expected")

    @sqlite_only
    def test_modes_and_owners(self):
        self.system.keys.chmod(0o644)
        try:
            self.found("file", "bad", r"link_keys .*\[store.local\] key_file has mode 0644.* chmod 640 ")
        finally:
            self.system.keys.chmod(0o600)
        database = self.system.state / "jobs.db"
        database.chmod(0o644)
        try:
            self.found("file", "bad", r"jobs.db .*expected mode 0600, found 0644.* chmod 600 ")
        finally:
            database.chmod(0o600)
        control = self.system.state / "run" / "control.sock"
        control.chmod(0o660)
        try:
            self.found("file", "warn", r"control.sock .*expected mode 0600 of the configuration, found 0660")
        finally:
            control.chmod(0o600)

    @sqlite_only
    def test_a_database_of_the_future(self):
        database = self.system.state / "catalog.db"
        before = database.stat()
        os.utime(database, (before.st_atime, before.st_mtime + 86_400))
        try:
            self.found("clock", "bad", r"catalog.db was written at .*set the clock")
        finally:
            os.utime(database, (before.st_atime, before.st_mtime))

    def test_a_store_that_cannot_be_reached(self):
        secret = self.system.secret("s3", "secret\n")
        store = "[store.away]\nkind = s3\nprefix = s3://bucket/\nregion = r\naccess_key_id = A\nsecret_access_key_file = %s\nendpoint = http://127.0.0.1:%d\naddressing = path\n"
        self.system.extra = store % (secret, free_port())
        self.found("store", "bad", "away .*connect to 127.0.0.1:.*refused")
        with socket.create_server(("127.0.0.1", 0)) as there:
            self.system.extra = store % (secret, there.getsockname()[1])
            self.found("store", "ok", "away .*is reachable")

    def test_a_public_address_that_leads_elsewhere(self):
        port = free_port()
        config = self.system.config.read_text().replace("base_url = http://127.0.0.1:%d" % self.system.port, "base_url = http://127.0.0.1:%d" % port)
        path = self.system.directory / "elsewhere.ini"
        path.write_text(config)
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", path, "doctor"], capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": "/nonexistent"})
        self.assertRegex(done.stdout, rf"warn  public address http://127.0.0.1:{port}: connect to .*refused.*; links lead there: look at DNS")

    def test_what_the_machine_says(self):
        tools = self.system.directory / "tools"
        tools.mkdir(exist_ok=True)
        for answer, health in (("no", "warn"), ("yes", "ok")):
            tool = tools / "timedatectl"
            tool.write_text(f"#!/bin/sh\necho {answer}\n")
            tool.chmod(0o755)
            self.found("clock", health, "NTP .*synchronized", path=str(tools))

    def test_a_program_that_hangs_is_given_up(self):
        tools = self.system.directory / "tools"
        tools.mkdir(exist_ok=True)
        tool = tools / "timedatectl"
        tool.write_text("#!/bin/sh\nread forever < /dev/zero\n")
        tool.chmod(0o755)
        self.found("clock", "ok", "NTP .*not known", path=f"{tools}:/bin")

    def test_units_of_systemd(self):
        """What systemctl says is what doctor goes by; the properties are asked one by one."""
        tools = self.system.directory / "units"
        tools.mkdir(exist_ok=True)
        tool = tools / "systemctl"

        def state(load="loaded", active="active", enabled="enabled", restarts="0"):
            tool.write_text(f"""#!/bin/sh
case "$*" in
*socket*) echo inactive ;;
*LoadState*) echo {load} ;;
*ActiveState*) echo {active} ;;
*UnitFileState*) echo {enabled} ;;
*NRestarts*) echo {restarts} ;;
*MainPID*) echo 0 ;;
*Version*) echo Version=252 ;;
esac
""")
            tool.chmod(0o755)
        for given, health, pattern in (({}, "ok", "export-workerd.service .*active, enabled"),
                                       ({"active": "failed"}, "bad", "export-httpd.service .*failed .*journalctl -u export-httpd.service"),
                                       ({"restarts": "3"}, "warn", "export-workerd.service .*started anew 3 times .*reset-failed"),
                                       ({"enabled": "disabled"}, "warn", "active, not enabled: a reboot does not start it .*systemctl enable"),
                                       ({"load": "not-found"}, "ok", "export-workerd.service .*not installed here")):
            with self.subTest(given):
                state(**given)
                self.found("unit", health, pattern, path=f"{tools}:/bin")
        self.found("unit", "ok", "export-httpd.socket .*not used", path=f"{tools}:/bin")
        # As in a container that has the package systemd, and another first process.
        tool.write_text("#!/bin/sh\necho not booted with systemd >&2\nexit 1\n")
        self.found("unit", "ok", "systemd does not run here", path=f"{tools}:/bin")

    def test_a_store_that_is_gone(self):
        away = self.system.exports.rename(self.system.directory / "away")
        try:
            self.found("disk", "bad", rf"{self.system.exports} .*No such file.*mount it, or put it back")
        finally:
            away.rename(self.system.exports)

    def test_a_store_that_was_moved_in_the_file_alone(self):
        """The daemon has not read it again; a shim that is started anew has."""
        moved = self.system.directory / "moved"
        moved.mkdir(mode=0o750, exist_ok=True)
        config = self.system.directory / "moved.ini"
        config.write_text(self.system.config.read_text().replace(f"root = {self.system.exports}\n", f"root = {moved}/\n"))
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", config, "doctor"], capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": "/nonexistent"})
        self.assertRegex(done.stdout, rf"(?m)^bad   store local: the daemon runs with {self.system.exports}, the file has {moved}; .*restart both")
        self.assertRegex(done.stdout, rf"(?m)^bad   store local: export-httpd serves {self.system.exports}, the file has {moved}: its links are answered 410 or 503; ")
        self.found("store", "ok", f"local .*export-httpd serves {self.system.exports}")
        self.system.extra = f"[store.new]\nkind = local\nroot = {moved}\nbase_url = http://127.0.0.1:{self.system.port}\nkey_file = {self.system.keys}\n[export]\nstore = local\n"
        self.found("store", "bad", "new .*the daemon does not know it, the file has .*/moved")

    def test_another_program_on_the_address_of_the_shim(self):
        text = self.system.config.read_text()
        for answer, found in ((b"220 mail.example.com ESMTP\r\n", "expected HTTP, found '220 mail"), (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "/livez answers 200 with 'hello'")):
            with self.subTest(answer), socket.create_server(("127.0.0.1", 0)) as other:
                def serve(listener=other, bytes_=answer):
                    while True:
                        try:
                            peer = listener.accept()[0]
                        except OSError:
                            return
                        with peer:
                            peer.recv(4096)
                            peer.sendall(bytes_)
                thread = threading.Thread(target=serve, daemon=True)
                thread.start()
                config = self.system.directory / "other.ini"
                config.write_text(text.replace(f"listen = 127.0.0.1:{self.system.port}", f"listen = 127.0.0.1:{other.getsockname()[1]}"))
                done = subprocess.run([BUILD / "bin" / "exportctl", "--config", config, "doctor"], capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": "/nonexistent"})
                other.shutdown(socket.SHUT_RDWR)
                thread.join(10)
                self.assertIn("expected export-httpd, found another program: ", done.stdout)
                self.assertIn(found, done.stdout)
                self.assertRegex(done.stdout, r"(?m)^bad   shim .*; stop it \(ss -ltnp names it\), or change \[http\] listen$")

    def test_a_shim_that_is_frozen(self):
        freeze(self.system.shim.popen)
        try:
            found = self.run_doctor().stdout
            self.assertRegex(found, rf"(?m)^bad   configuration export-httpd: .*another process listens on 127.0.0.1:{self.system.port}; it does not answer /livez .*frozen: systemctl restart")
            self.assertRegex(found, r"(?m)^bad   shim .* does not answer in time; it takes connections and is frozen or starved of CPU: systemctl restart export-httpd")
            self.assertNotIn("in use", found)
        finally:
            self.system.shim.popen.send_signal(signal.SIGCONT)

    def test_an_alarm(self):
        """The daemon's own; and the shim's."""
        self.system.http_keys = "docs = perhaps\n"
        self.system.config  # Writes the file.
        for process in (self.system.daemon, self.system.shim):
            process.popen.send_signal(1)
        self.system.shim.wait_for_log("SIGHUP: nothing has changed")
        try:
            self.found("shim", "bad", "a SIGHUP found a configuration that cannot be used")
        finally:
            self.system.http_keys = ""
            self.system.config
            for process in (self.system.daemon, self.system.shim):
                process.popen.send_signal(1)
            wait_until("the good one", lambda: self.system.shim.text().rstrip().endswith("SIGHUP: done") or "SIGHUP: done" in self.system.shim.text())


class WithoutADaemonTest(SystemTest):
    @sqlite_only
    def test_a_lost_database(self):
        self.assertEqual(self.system.daemon.stop(), 0)
        database = self.system.state / "auth.db"
        away = database.rename(self.system.directory / "away.db")
        self.addCleanup(away.rename, database)
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, "doctor"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PATH": "/nonexistent"})
        self.assertRegex(done.stdout, r"(?m)^bad   configuration export-workerd: .*found auth.db missing beside .*; restore a backup")

    def test_what_is_down_is_bad(self):
        self.assertEqual(self.system.daemon.stop(), 0)
        self.assertEqual(self.system.shim.stop(), 0)
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, "doctor"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PATH": "/nonexistent"})
        self.assertEqual(done.returncode, BAD, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^bad   daemon: no daemon answers on ipc://.*; is export-workerd running\?")
        self.assertRegex(done.stdout, r"(?m)^bad   shim 127.0.0.1:\d+: connect to .*refused.*; systemctl start export-httpd")

    def test_no_configuration(self):
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", "/no/such.ini", "doctor"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, "/no/such.ini" in done.stderr), (78, True))


if __name__ == "__main__":
    unittest.main()
