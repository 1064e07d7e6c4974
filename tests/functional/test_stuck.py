"""Plugins that hang or are away: what callers, operators and the methods of others see of it."""
import signal
import statistics
import time
import unittest

import msgpack
import zmq

from functional.harness import BUILD, PATIENCE_S, SANITIZED, System, wait_until

HANGS = {"a": 1}  # broken.do with these parameters does not return until the file `release` exists.
STUCK = "are past their deadline and still inside handle()"


def with_broken(test, plugin, keys="", policy=""):
    """A system without a shim, not started, whose plugin 'broken' is this file; its path comes with it."""
    system = System()
    test.addCleanup(system.close)
    system.port = 1
    path = system.install("broken.so", BUILD / "fixtures" / f"{plugin}.so")
    system.extra = f"[plugin.broken]\nfile = {path}\n{keys}[plugins]\nbake_s = 0\n{policy}"
    return system


class AwayTest(unittest.TestCase):
    def test_links_of_a_plugin_that_is_not_loaded_can_be_asked_for_again(self):
        system = System()
        self.addCleanup(system.close)
        (system.directory / "plugins" / "download_url.golden.jsonl").unlink()
        system.install("download_url.so", BUILD / "fixtures" / "download_url_hangs.so")
        system.extra = "[plugins]\nprobe_timeout_s = 2\nbake_s = 0\n"
        system.start()
        key = system.make_key()
        wire = system.wire()
        self.addCleanup(wire.close)
        error = wire.call("download_url.get", {"job_id": "x"}, key)["error"]
        self.assertEqual((error["code"], error["retryable"], error["executed"]), ("plugin_unavailable", True, "no"))
        self.assertRegex(error["message"], "^plugin download_url is not loaded, so 'download_url.get' is unavailable; .*exportctl status")
        away = system.mint("x", key)
        self.assertEqual((away.status, away.headers["Retry-After"]), (503, "10"))
        self.assertIn("is not loaded", away.json["detail"])
        self.assertEqual(system.api("GET", "/api/jobs/", key).status, 200)
        system.install("download_url.so", BUILD / "plugins" / "download_url.so")
        self.assertIn("COMMITTED", system.ctl("plugin", "reload", "download_url").stdout)
        self.assertEqual(system.mint("x", key).status, 404)
        self.assertEqual(system.daemon.stop(), 70)  # The load that hangs is left behind.


class StuckTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.addCleanup(self.release)
        self.system.port = 1  # No shim here.
        broken = self.system.install("broken.so", BUILD / "fixtures" / "daemon_handle_hangs.so")
        minimal = self.system.install("minimal.so", BUILD / "fixtures" / "minimal_c.so")
        self.system.extra = f"[plugin.broken]\nfile = {broken}\n[plugin.minimal]\nfile = {minimal}\n[plugins]\nbake_s = 0\ndrain_s = 1\n"
        self.system.start_daemon(env={"BROKEN_RELEASE": str(self.system.directory / "release")})
        self.wire = self.system.wire()
        self.addCleanup(self.wire.close)

    def release(self):
        (self.system.directory / "release").touch()

    def alarms(self):
        return self.system.alarms()

    def stuck_alarms(self):
        return [text for text in self.alarms() if STUCK in text]

    def send(self, count, deadline_ms):
        """Requests that hang; their connection comes back."""
        socket = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(socket.close, 0)
        socket.setsockopt(zmq.RCVTIMEO, PATIENCE_S * 1000)
        socket.connect(f"ipc://{self.system.state}/run/data.sock")
        for number in range(count):
            request = {"v": 1, "id": f"hangs-{number}", "method": "broken.do", "params": HANGS, "deadline_ms": deadline_ms}
            socket.send_multipart([b"", msgpack.packb(request)])
        return socket

    def codes(self, socket, count):
        return [msgpack.unpackb(socket.recv_multipart()[1])["error"]["code"] for _ in range(count)]

    def p99(self, calls=1000):
        """Seconds, of calls that all succeed."""
        taken = []
        for number in range(calls):
            began = time.monotonic()
            method, params = ("minimal.echo", {"n": number}) if number % 10 else ("sys.methods", {})
            self.assertTrue(self.wire.call(method, params)["ok"])
            taken.append(time.monotonic() - began)
        self.assertLess(max(taken), 0.9)  # No call waits until a worker is replaced: that takes a second.
        return statistics.quantiles(taken, n=100)[98]

    def is_closed(self):
        error = self.wire.call("broken.do", HANGS, deadline_ms=100)["error"]
        self.assertIn(error["code"], ("deadline_exceeded", "expired", "plugin_unavailable"))
        return error["code"] == "plugin_unavailable" and error

    def test_a_plugin_that_hangs_does_not_touch_the_others(self):
        before = self.p99()
        hanging = self.send(500, 2000)
        bound = 10 * before + 0.05
        self.assertLess(self.p99(), bound)
        answered = self.codes(hanging, 500)
        self.assertLessEqual(set(answered), {"deadline_exceeded", "expired", "plugin_unavailable"})
        closed = wait_until("the plugin to be refused", self.is_closed)
        self.assertEqual((closed["retryable"], closed["executed"], closed["retry_after_ms"]), (True, "no", 1000))
        self.assertRegex(closed["message"], "^plugin broken does not answer: .*exportctl status")
        self.assertLess(self.p99(), bound)

        alarm, = wait_until("the alarm", self.alarms)
        self.assertRegex(alarm, rf"^plugin_stuck broken generation \d+: \d+ requests {STUCK[:-2]}\(\), the longest for \d+ s "
                                r"\(request hangs-\d+, worker \d+\); new requests for the plugin are refused; .*exportctl plugin rollback broken")
        status = self.system.ctl("status").stdout
        self.assertIn("ALARM: plugin_stuck broken generation", status)
        self.assertRegex(self.system.ctl("metrics").stdout, r'(?s)requests_stuck\{plugin="broken"\} [1-9].*\nexport_worker_alarms 1\n')
        # Once when the first is stuck, once when the plugin is refused, once as an alarm; not at every look.
        self.assertLessEqual(self.system.daemon.text().count(STUCK), 3)

        self.release()
        wait_until("the alarm to go", lambda: not self.alarms())
        self.assertIn('requests_stuck{plugin="broken"} 0', self.system.ctl("metrics").stdout)
        for _ in range(100):
            self.assertTrue(self.wire.call("broken.do", HANGS)["ok"])
        self.system.daemon.wait_for_log("plugin broken generation .* have returned")

    def test_another_generation_serves_beside_stuck_requests(self):
        hanging = self.send(100, 500)
        self.codes(hanging, 100)
        wait_until("the plugin to be refused", self.is_closed)
        good = self.system.install("good.so", BUILD / "fixtures" / "broken_nothing.so")
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken", "--file", good).stdout)
        for _ in range(100):
            self.assertTrue(self.wire.call("broken.do", HANGS)["ok"])
        self.assertEqual(len(self.stuck_alarms()), 1)
        wait_until("the alarm of a generation that is replaced", lambda: "rollback" not in self.stuck_alarms()[0])
        self.release()
        wait_until("the alarm to go", lambda: not self.stuck_alarms())

    def test_a_request_of_an_operator_that_hangs_does_not_hold_up_the_control_socket(self):
        good = self.system.install("good.so", BUILD / "fixtures" / "broken_nothing.so")
        control = self.system.control()
        self.addCleanup(control.close)
        request = control.send("broken.do", HANGS, deadline_ms=3000)
        began = time.monotonic()
        holders = wait_until("the request to be inside", lambda: [
            holder["who"] for each in self.system.ctl_json("plugin", "show", "broken")["generations"] for holder in each["holders"]])
        self.assertEqual(holders, ["operator"])
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken", "--file", good).stdout)
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(control.receive(request)["error"]["code"], "deadline_exceeded")
        self.assertTrue(control.call("broken.do", HANGS)["ok"])
        began = time.monotonic()
        self.assertEqual(self.system.daemon.stop(), 70)
        self.assertLess(time.monotonic() - began, 10)


class HungLoadsTest(unittest.TestCase):
    def test_after_eight_loads_that_hang_nothing_is_loaded_and_what_serves_goes_on(self):
        system = with_broken(self, "broken_nothing", policy=f"probe_timeout_s = {3 if SANITIZED else 1}\ngenerations_max = 64\n")
        system.start_daemon()
        hangs = system.install("hangs.so", BUILD / "fixtures" / "daemon_create_hangs.so")
        for number in range(9):
            refused = system.ctl("plugin", "reload", "broken", "--file", hangs, check=False)
            expected = "its thread is left behind" if number < 8 else "fewer than 8 calls into plugins that do not return"
            self.assertIn(expected, refused.stdout + refused.stderr, number)
        wire = system.wire()
        self.addCleanup(wire.close)
        self.assertTrue(wire.call("broken.do", {"a": 1})["ok"])
        self.assertEqual(len([text for text in system.alarms() if "does not return" in text]), 8)
        self.assertEqual(system.daemon.stop(), 70)


class StopTest(unittest.TestCase):
    def test_a_stop_with_stuck_requests_takes_as_long_as_the_page_says(self):
        system = with_broken(self, "daemon_handle_hangs")
        system.start_daemon()
        wire = system.wire()
        self.addCleanup(wire.close)
        self.assertEqual(wire.call("broken.do", HANGS, deadline_ms=200)["error"]["code"], "deadline_exceeded")
        began = time.monotonic()
        self.assertEqual(system.daemon.stop(), 70)
        self.assertLess(time.monotonic() - began, 10.5)
        # The next start looks for no crash: that stop was an orderly one.
        system.start_daemon()
        self.assertNotIn("has not stopped in good order", system.daemon.text())
        self.assertEqual(system.daemon.stop(9), -9)
        system.start_daemon()
        self.assertIn("has not stopped in good order 1 times in a row", system.daemon.text())

    def test_a_plugin_that_keeps_the_locks_of_the_streams_holds_up_neither_the_log_nor_the_end(self):
        system = with_broken(self, "daemon_keeps_streams", keys="allow_imports = flockfile\n")
        system.start_daemon()
        wire = system.wire()
        self.addCleanup(wire.close)
        self.assertTrue(wire.call("broken.do", HANGS)["ok"])
        system.daemon.popen.send_signal(signal.SIGHUP)
        system.daemon.wait_for_log("SIGHUP: reading")
        if SANITIZED:  # A sanitizer has work to do in exit(), which waits for the streams for ever.
            system.daemon.popen.send_signal(signal.SIGTERM)
            system.daemon.wait_for_log("stopped")
            system.daemon.stop(9)
        else:
            self.assertEqual(system.daemon.stop(), 0)
            self.assertIn("stopped", system.daemon.text())

    def test_a_signal_ends_a_start_that_waits_for_a_plugin_and_condemns_nobody(self):
        for defect in ("broken_create_hangs", "daemon_create_hangs"):  # In the probe, and in the daemon.
            with self.subTest(defect):
                self.stop_during_starts(defect)

    def stop_during_starts(self, plugin):
        system = with_broken(self, plugin, policy="probe_timeout_s = 60\n")
        begun = system.directory / "begun"
        for _ in range(3):
            system.start_daemon(env={"BROKEN_BEGUN": str(begun)}, must_start=False)
            wait_until("the load", begun.exists)
            begun.unlink()
            began = time.monotonic()
            self.assertEqual(system.daemon.stop(), 0)
            self.assertLess(time.monotonic() - began, 10)
            self.assertIn("stopped during the start", system.daemon.text())
        system.install("broken.so", BUILD / "fixtures" / "broken_nothing.so")
        system.start_daemon()
        self.assertEqual(system.ctl_json("plugin", "history", "broken")["quarantined"], [])
        self.assertTrue(system.ctl_json("plugin", "show", "broken")["sha256"])


if __name__ == "__main__":
    unittest.main()
