"""Several daemons behind one shim, and pauses of either side: what a container or a debugger stops goes on as if nothing had been."""
import http.client
import json
import signal
import threading
import time
import unittest

from functional.harness import FULL, System, free_port, freeze, wait_until
from functional.zmtp import COMMAND, MORE, RawPeer, frame


class DaemonsTest(unittest.TestCase):
    def start(self):
        system = System()
        self.addCleanup(system.close)
        return system

    def readyz(self, system):
        return system.http("GET", "/readyz").status

    def test_daemons_with_a_registry_each_are_one_registry(self):
        """A job that the shim has accepted is there for every later request, and one Idempotency-Key makes one job."""
        standby = self.start()
        standby.port = free_port()
        standby.start_daemon()
        system = self.start()
        system.http_keys = f"daemons = ipc://{system.state}/run/data.sock ipc://{standby.state}/run/data.sock\n"
        system.start()
        key = system.make_key()
        wait_until("the shim to know both", lambda: "on standby" in system.shim.text())
        body = {"format": "csv"}
        jobs = {system.api("POST", "/api/products/export-async", key, body, Idempotency_Key="one").json["job_id"] for _ in range(20)}
        self.assertEqual(len(jobs), 1)
        statuses = [system.api("GET", f"/api/jobs/{jobs.copy().pop()}/status", key).status for _ in range(200)]
        self.assertEqual(statuses, [200] * 200)
        # The standby serves while the first is away, with its own keys and jobs, and only then.
        other_key = standby.make_key()
        self.assertEqual(system.api("GET", "/api/jobs/", other_key).status, 401)
        system.daemon.stop()
        wait_until("the standby", lambda: system.api("GET", "/api/jobs/", other_key).status == 200)
        system.start_daemon()
        wait_until("the first one", lambda: system.api("GET", "/api/jobs/", key).status == 200)
        self.assertEqual(system.api("GET", "/api/jobs/", other_key).status, 401)

    def test_a_silent_daemon_costs_no_request_its_time(self):
        system = self.start().start()
        key = system.make_key()
        freeze(system.daemon.popen)
        self.addCleanup(system.daemon.popen.send_signal, signal.SIGCONT)
        wait_until("the shim to notice", lambda: "has answered no ping" in system.shim.text())
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(system.api("GET", "/api/jobs/", key).status, 503)
        self.assertEqual(self.readyz(system), 503)
        self.assertLess(time.monotonic() - began, 5, "21 answers, none of which waits for the daemon")
        system.daemon.popen.send_signal(signal.SIGCONT)
        wait_until("the daemon again", lambda: system.api("GET", "/api/jobs/", key).status == 200)

    def test_a_probe_does_not_outlast_its_own_patience(self):
        """Probes wait for a second as a rule: a daemon that falls silent is not ready before that."""
        system = self.start().start()
        self.addCleanup(system.daemon.popen.send_signal, signal.SIGCONT)
        took = []
        for _ in range(3):  # The quickest counts: other programs use this machine, too.
            freeze(system.daemon.popen)
            began = time.monotonic()
            answer = system.http("GET", "/readyz")
            self.assertEqual(answer.status, 503)
            self.assertIn(" 1 silent", json.loads(answer.body)["detail"])
            took.append(time.monotonic() - began)
            system.daemon.popen.send_signal(signal.SIGCONT)
            wait_until("the daemon again", lambda: self.readyz(system) == 200)
        self.assertLess(min(took), 1.2)

    def pause(self, seconds, who):
        system = self.start().start()
        key = system.make_key()
        process = system.daemon if who == "daemon" else system.shim
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    system.api("GET", "/api/jobs/", key)
                except (OSError, http.client.HTTPException):
                    pass  # A shim that stands still lets its clients wait.
        clients = [threading.Thread(target=ask) for _ in range(40)]
        for client in clients:
            client.start()
        try:
            freeze(process.popen)
            time.sleep(seconds)  # sleep: the pause is what is tested
            process.popen.send_signal(signal.SIGCONT)
            wait_until(f"answers after {seconds} s", lambda: system.api("GET", "/api/jobs/", key).status == 200)
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertIsNone(system.daemon.popen.poll(), system.daemon.text()[-2000:])
        self.assertIsNone(system.shim.popen.poll(), system.shim.text()[-2000:])

    def test_a_frozen_daemon_goes_on(self):
        # Past every time-out that libzmq has or had here.
        for seconds in (1, 5, 21, 35, 60) if FULL else (3,):
            with self.subTest(seconds=seconds):
                self.pause(seconds, "daemon")

    def test_heartbeats_of_peers_that_go_away_during_a_pause(self):
        """libzmq aborts when it finds one behind more requests than its queue holds, and the connection has ended."""
        system = self.start().start()
        key = system.make_key()
        peers = [RawPeer(system.state / "run" / "data.sock") for _ in range(20)]
        freeze(system.daemon.popen)
        for peer in peers:
            self.assertTrue(peer.send((frame(b"", MORE) + frame(b"x")) * 60 + frame(b"\x04PING\0\0", COMMAND)))
            peer.close()
        system.daemon.popen.send_signal(signal.SIGCONT)
        wait_until("answers", lambda: system.daemon.popen.poll() is not None or system.api("GET", "/api/jobs/", key).status == 200)
        self.assertIsNone(system.daemon.popen.poll(), system.daemon.text()[-2000:])

    def test_a_frozen_shim_goes_on(self):
        for seconds in (1, 5, 21, 35, 60) if FULL else (3,):
            with self.subTest(seconds=seconds):
                self.pause(seconds, "shim")


if __name__ == "__main__":
    unittest.main()
