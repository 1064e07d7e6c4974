"""Daemon and shim as services of systemd: readiness, socket activation, restarts, and which starts are tried again."""
import concurrent.futures
import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import unittest

from functional.harness import BUILD, FULL, PATIENCE_S, FailingDisk, Process, System, wait_until
from functional.skips import sqlite_only
from functional.test_http import raw_exchange

TRY_AGAIN, CONFIGURATION = 75, 78
REQUEST = b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class NotifySocket:
    """What systemd listens on for the messages of a service."""

    def __init__(self, test, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE_S)

    def next(self):
        return self.socket.recv(4096).decode()


class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.notify = NotifySocket(self, self.system.directory)


class NotifyTest(ServiceTest):
    def test_the_daemon_is_ready_when_its_sockets_answer(self):
        self.system.port = 1
        self.system.start_daemon({"NOTIFY_SOCKET": str(self.notify.path)}, must_start=False)
        self.assertEqual(self.notify.next(), "READY=1")
        self.assertTrue(self.system.ctl_json("plugin", "show", "download_url")["sha256"])
        with contextlib.closing(self.system.wire()) as wire:
            self.assertTrue(wire.call("sys.ping")["ok"])
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        self.assertRegex(self.notify.next(), r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(self.notify.next(), "READY=1")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.assertEqual(self.notify.next(), "STOPPING=1")

    def test_the_daemons_loop_answers_the_watchdog_until_it_stands_still(self):
        self.system.port = 1
        self.system.start_daemon({"NOTIFY_SOCKET": str(self.notify.path), "WATCHDOG_USEC": "400000"}, faults="loop.alive:pause:5", must_start=False)
        messages = []
        while messages.count("WATCHDOG=1") < 4 or "READY=1" not in messages:
            messages.append(self.notify.next())
        self.system.paused_at("loop.alive")
        self.notify.socket.settimeout(1)  # Longer than systemd would wait.
        self.assertRaises(TimeoutError, self.notify.next)
        # What systemd does then is laid to no plugin.
        self.system.daemon.stop(signal.SIGABRT)
        self.system.start_daemon()
        self.assertEqual(self.system.alarms(), [])

    def test_a_daemon_that_cannot_start_is_never_ready(self):
        self.system.keys.unlink()
        self.system.port = 1
        self.system.start_daemon({"NOTIFY_SOCKET": str(self.notify.path)}, must_start=False)
        self.assertEqual(self.system.wait_for_death(), CONFIGURATION)
        self.notify.socket.setblocking(False)
        self.assertRaises(BlockingIOError, self.notify.next)

    def test_the_shim_is_ready_when_readyz_says_so(self):
        self.system.start_daemon()
        shim = Process([BUILD / "bin" / "export-httpd", "--config", self.system.config], self.system.directory / "shim.log",
                       {"NOTIFY_SOCKET": str(self.notify.path)})
        self.addCleanup(shim.stop)
        self.assertEqual(self.notify.next(), "READY=1")
        port = int(re.search(r"ready: http://127.0.0.1:(\d+)", shim.text()).group(1))
        self.assertIn(b"200 OK", raw_exchange(port, REQUEST.replace(b"livez", b"readyz")))

    def test_the_shim_is_ready_without_a_daemon_too_and_its_loop_is_watched(self):
        self.system.port = 0
        log = self.system.directory / "shim.log"
        shim = Process([BUILD / "bin" / "export-httpd", "--config", self.system.config], log,
                       {"NOTIFY_SOCKET": str(self.notify.path), "WATCHDOG_USEC": "200000"})
        self.addCleanup(shim.stop)
        messages = []
        while "READY=1" not in messages:
            messages.append(self.notify.next())
        port = int(re.search(r"ready: http://127.0.0.1:(\d+)", shim.text()).group(1))
        self.assertIn(b"200 OK", raw_exchange(port, REQUEST))
        self.assertIn("WATCHDOG=1", messages)
        self.assertEqual(shim.stop(), 0)
        self.notify.socket.setblocking(False)
        rest = []
        with contextlib.suppress(BlockingIOError):
            while True:
                rest.append(self.notify.next())
        self.assertEqual(rest[-1], "STOPPING=1")


class SocketActivationTest(ServiceTest):
    def setUp(self):
        super().setUp()
        self.system.port = 1
        self.system.start_daemon()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]
        self.starts = 0

    def config(self, listen):
        text = self.system.config.read_text()
        path = self.system.directory / "activated.ini"
        path.write_text(re.sub(r"(?m)^listen = .*$", f"listen = {listen}", text))
        return path

    def start(self, listen, *listeners):
        """The shim with these sockets as descriptors 3 and up, as systemd starts it; once it has said that it is ready, or died."""
        listeners = listeners or (self.listener,)
        redirections = " ".join(f"{3 + index}<&{each.fileno()}" for index, each in enumerate(listeners))
        script = f'exec {redirections}; LISTEN_PID=$$ LISTEN_FDS={len(listeners)} exec "$0" --config "$1"'
        self.starts += 1
        log = self.system.directory / f"activated-{self.starts}.log"
        with open(log, "wb") as out:
            # Above 9: the redirections must not overwrite what they read.
            high = [os.dup2(each.fileno(), 50 + index) for index, each in enumerate(listeners)]
            script = script.replace(redirections, " ".join(f"{3 + index}<&{fd}" for index, fd in enumerate(high)))
            shim = subprocess.Popen(["/bin/bash", "-c", script, str(BUILD / "bin" / "export-httpd"), str(self.config(listen))],
                                    pass_fds=high, stderr=out, env={**os.environ, "NOTIFY_SOCKET": str(self.notify.path)})
            for fd in high:
                os.close(fd)
        self.addCleanup(shim.wait)
        self.addCleanup(shim.kill)
        return shim, log

    def test_an_entry_takes_the_socket_with_its_address(self):
        shim, log = self.start(f"127.0.0.1:{self.port}")
        self.assertEqual(self.notify.next(), "READY=1")
        self.assertIn(b'{"status":"alive"}', raw_exchange(self.port, REQUEST))
        self.assertIn(f"ready: 127.0.0.1:{self.port} of systemd", log.read_text())
        shim.terminate()
        self.assertEqual(shim.wait(PATIENCE_S), 0)

    def test_unix_and_ipv6_addresses_are_found_however_they_are_written(self):
        path = self.system.directory / "proxy.sock"
        with socket.socket(socket.AF_UNIX) as unix, socket.create_server(("::1", 0), family=socket.AF_INET6) as v6:
            unix.bind(str(path))
            unix.listen(16)
            v6_port = v6.getsockname()[1]
            shim, log = self.start(f"unix:{path} [0:0::1]:{v6_port} systemd", unix, v6, self.listener)
            self.assertEqual(self.notify.next(), "READY=1")
        for where in (f"unix:{path} of systemd", f"[0:0::1]:{v6_port} of systemd", "1 sockets of systemd"):
            self.assertIn("ready: " + where, log.read_text())
        self.assertIn(b'{"status":"alive"}', raw_exchange(self.port, REQUEST))
        shim.terminate()
        self.assertEqual(shim.wait(PATIENCE_S), 0)

    def test_a_socket_that_no_entry_names_is_refused(self):
        shim, log = self.start("127.0.0.1:0")
        self.assertEqual(shim.wait(PATIENCE_S), CONFIGURATION)
        self.assertIn(f"expected an entry for each socket of systemd, found none for 127.0.0.1:{self.port}", log.read_text())

    def test_too_many_sockets_are_refused(self):
        shim, log = self.start("systemd", *[self.listener] * 17)
        self.assertEqual(shim.wait(PATIENCE_S), CONFIGURATION)
        self.assertIn("sockets of systemd: expected at most 16, found 17", log.read_text())

    def test_a_restart_refuses_nobody(self):
        stop, answers = threading.Event(), []

        def ask():
            while not stop.is_set():
                answers.append(raw_exchange(self.port, REQUEST).startswith(b"HTTP/1.1 200 "))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            try:
                for _ in range(20 if FULL else 5):
                    shim, _ = self.start(f"127.0.0.1:{self.port}")
                    while self.notify.next() != "READY=1":
                        pass
                    seen = len(answers)
                    wait_until("requests of this start", lambda: len(answers) > seen + 50)
                    shim.terminate()
                    self.assertEqual(shim.wait(PATIENCE_S), 0)
                shim, _ = self.start(f"127.0.0.1:{self.port}")  # For those that wait in the backlog.
            finally:
                stop.set()
            for each in asking:
                each.result()
        self.assertEqual(answers.count(False), 0, f"of {len(answers)}")

    def test_a_connection_without_a_request_yet_is_not_closed_by_a_stop(self):
        shim, _ = self.start(f"127.0.0.1:{self.port}")
        self.assertEqual(self.notify.next(), "READY=1")
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            self.assertIn(b"200 OK", raw_exchange(self.port, REQUEST))  # The connection before it has been accepted.
            shim.terminate()
            self.assertEqual(self.notify.next(), "STOPPING=1")
            client.sendall(REQUEST)
            client.settimeout(PATIENCE_S)
            self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200 OK"))
        self.assertEqual(shim.wait(PATIENCE_S), 0)


class ExitStatusTest(unittest.TestCase):
    """What passes by itself ends a start with 75, which systemd tries again; 78 is for what an operator has to change."""

    def setUp(self):
        self.system = System()
        self.system.port = 1  # No shim.
        self.addCleanup(self.system.close)

    def start(self, program="export-workerd", env=None, **more):
        return subprocess.run([str(BUILD / "bin" / program), "--config", str(self.system.config)], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **(env or {})}, **more)

    def ends(self, status, needle, **more):
        done = self.start(**more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(needle, done.stderr)

    @sqlite_only
    def test_a_full_or_broken_disk(self):
        disk = FailingDisk(self.system.directory)
        for call, error, needle in (("pwrite64", "ENOSPC", "full"), ("pwrite64", "EIO", "disk I/O error"), ("pread64", "EIO", "disk I/O error")):
            disk.breaks(f"{call} {error} *jobs.db*")
            self.ends(TRY_AGAIN, needle, env=disk.env)
            disk.works()
            self.system.start_daemon(disk.env)
            self.assertEqual(self.system.daemon.stop(), 0)
            if call == "pwrite64":
                (self.system.state / "new-databases").touch()
                for path in self.system.state.glob("jobs.db*"):
                    path.unlink()

    @sqlite_only
    def test_a_disk_that_is_full_before_the_start(self):
        """The check ends as the start does, and both say what is wrong."""
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        script = ('mount -t tmpfs -o size=64m none "$1" && cp -a "$2/." "$1" && chmod 700 "$1" && chown "$(stat -c %u:%g "$2")" "$1" && '
                  'fallocate -l "$(($(df -k --output=avail "$1" | tail -n 1) - $3))K" "$1/fill" && shift 3 && exec "$@"')
        state = self.system.directory / "small"
        state.mkdir(mode=0o700)
        config = self.system.directory / "small.ini"
        config.write_text(self.system.config.read_text().replace(f"state_dir = {self.system.state}\n", f"state_dir = {state}\n"))
        config.chmod(0o600)
        self.assertIn(str(state), config.read_text())
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]

        def run(free_kib, *words):
            command = ["unshare", *user, "--mount", "sh", "-c", script, "sh", state, self.system.state, str(free_kib), BUILD / "bin" / "export-workerd", "--config", config]
            return subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)
        for kib, why in ((0, "disk I/O error, because the disk is full"), (64, "database or disk is full")):
            start = run(kib)
            self.assertEqual(start.returncode, TRY_AGAIN, start.stderr)
            self.assertRegex(start.stderr, why + r" \([0-9]+ KiB are free\); make room on the file system of ")
            checked = run(kib, "--check-config")
            self.assertEqual(checked.returncode, TRY_AGAIN, checked.stderr)
            self.assertRegex(checked.stderr, r"\[daemon\] state_dir: .*: [0-9]+ KiB are free, and a start needs 256 KiB; make room")
        checked = run(1_536, "--check-config")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertRegex(checked.stderr, rf"warning: \[daemon\] state_dir: {state}: 15[0-9]+ KiB are free, expected 3[0-9]+ KiB; make room")

    def test_no_descriptors(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        for program in ("export-workerd", "export-httpd"):
            self.ends(TRY_AGAIN, "open files: expected a limit of 128 or more, found 16; raise it", program=program, preexec_fn=few)

    def test_an_address_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            self.system.daemon_keys = f"metrics_listen = {where}\n"
            self.ends(TRY_AGAIN, f"listen on {where}")
            self.system.daemon_keys = ""
            self.system.port = taken.getsockname()[1]
            self.ends(TRY_AGAIN, "Address already in use", program="export-httpd")

    def test_an_address_that_is_not_there_yet(self):
        config = self.system.config.read_text().replace("listen = 127.0.0.1:1", "listen = 192.0.2.1:8080")
        path = self.system.directory / "elsewhere.ini"
        path.write_text(config)
        done = subprocess.run([str(BUILD / "bin" / "export-httpd"), "--config", str(path)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertIn("listen on 192.0.2.1:8080: Cannot assign requested address", done.stderr)

    def test_a_daemon_that_is_still_there(self):
        self.system.start_daemon()
        self.ends(TRY_AGAIN, "held by another running process")

    def test_a_configuration(self):
        self.system.keys.unlink()
        self.ends(CONFIGURATION, "No such file")
        self.ends(CONFIGURATION, "No such file", program="export-httpd")

    def test_a_store_on_a_file_system_that_may_not_be_written(self):
        """What a unit without ReadWritePaths= does to it."""
        self.system.exports.mkdir()
        script = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *user, "--mount", "sh", "-c", script, "sh", self.system.exports, BUILD / "bin" / "export-workerd", "--config", self.system.config]
        for words in ([], ["--check-config"]):
            done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, CONFIGURATION, done.stderr)
            self.assertIn(f"Read-only file system; under systemd export-workerd.service needs ReadWritePaths={self.system.exports}", done.stderr)


if __name__ == "__main__":
    unittest.main()
