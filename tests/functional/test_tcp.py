"""The data socket over TCP: only with CURVE, only for keys in the list, within limits; and what running out of descriptors does."""
import os
import re
import resource
import signal
import socket
import subprocess
import unittest

import msgpack
import zmq

from functional.harness import BUILD, System, free_port, wait_until


class TcpTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.port = free_port()
        self.server_file, self.server_key = self.make_key("server")
        self.shim_file, self.shim_key = self.make_key("shim")
        self.clients = self.system.directory / "clients"
        self.clients.write_text(f"# who may connect\n\nshim {self.shim_key}\n")
        self.system.daemon_keys = (f"tcp_endpoint = tcp://127.0.0.1:{self.port}\ncurve_key_file = {self.server_file}\n"
                                   f"curve_clients_file = {self.clients}\ntcp_connections = 20\n")

    def make_key(self, name):
        path = self.system.directory / f"{name}.curve"
        done = subprocess.run([BUILD / "bin" / "exportctl", "curve", path], capture_output=True, text=True, check=True, timeout=20)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        return path, done.stdout.strip()

    def start(self):
        self.system.start()
        self.key = self.system.make_key()

    def ask(self, secret_file, server_key=None, curve=True):
        """True when the daemon answers a ping over TCP; False when it ends the connection instead."""
        client = zmq.Context.instance().socket(zmq.REQ)
        client.setsockopt(zmq.LINGER, 0)
        ends = client.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                         zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        if curve:
            secret = secret_file.read_text().strip().encode()
            client.curve_secretkey, client.curve_publickey = secret, zmq.curve_public(secret)
            client.curve_serverkey = (server_key or self.server_key).encode()
        client.connect(f"tcp://127.0.0.1:{self.port}")
        try:
            client.send(msgpack.packb({"v": 1, "id": "x", "method": "sys.ping", "params": {}}))
            wait_until("an answer, or the end of the connection", lambda: client.poll(20) or ends.poll(0))
            return bool(client.poll(0)) and msgpack.unpackb(client.recv())["ok"]
        finally:
            client.disable_monitor()
            client.close()

    def test_only_listed_keys_and_only_with_curve(self):
        self.start()
        stranger, stranger_key = self.make_key("stranger")
        self.assertTrue(self.ask(self.shim_file))
        self.assertFalse(self.ask(stranger))
        self.assertFalse(self.ask(self.shim_file, server_key=stranger_key), "a server that is another one")
        self.assertFalse(self.ask(None, curve=False))
        self.assertIn("refused a connection over TCP", self.system.daemon.text())
        self.assertNotIn(self.shim_file.read_text().strip(), self.system.daemon.text())
        # The list is read again without a restart, and a damaged one changes nothing.
        self.clients.write_text(f"shim {self.shim_key}\nstranger {stranger_key}\n")
        wait_until("the new key", lambda: self.ask(stranger))
        self.clients.write_text("damaged\n")
        wait_until("the complaint", lambda: "expected NAME KEY" in self.system.daemon.text())
        self.assertTrue(self.ask(self.shim_file))
        self.clients.write_text(f"shim {self.shim_key}\n")
        wait_until("the end of the old key", lambda: not self.ask(stranger))

    def test_the_shim_over_tcp(self):
        self.start()
        self.system.import_generated(10)
        job = self.system.export()["job_id"]
        self.system.shim.stop()
        public = self.system.directory / "daemon.public"
        public.write_text(self.server_key + "\n")
        self.system.http_keys = f"daemons = tcp://127.0.0.1:{self.port}\ncurve_key_file = {self.shim_file}\ncurve_server_key_file = {public}\n"
        self.system.start_shim()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(self.system.mint(job, self.key).status, 200)
        # A pipeline on the Unix socket and the shim over TCP at the same time.
        pipeline = self.system.wire()
        self.addCleanup(pipeline.close)
        self.assertTrue(pipeline.call("sys.ping", {})["ok"])
        self.system.daemon.stop(signal.SIGKILL)
        self.assertEqual(self.system.mint(job, self.key).status, 503)
        self.system.start_daemon()
        wait_until("links again", lambda: self.system.mint(job, self.key).status == 200)

    def test_strangers_cost_little_and_are_limited(self):
        self.start()
        hello = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, os.urandom(200), b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 48]
        for data in hello:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(data)
        # Over the limit, connections are closed at once; idle ones are when their handshake is late.
        idle = [socket.create_connection(("127.0.0.1", self.port), timeout=5) for _ in range(60)]
        self.addCleanup(lambda: [c.close() for c in idle])

        def closed():
            count = 0
            for connection in idle:
                connection.setblocking(False)
                try:
                    while connection.recv(4096):
                        pass
                    count += 1
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    count += 1
            return count
        wait_until("those over the limit to be closed", lambda: closed() >= 35)
        self.assertEqual(self.system.http("GET", "/readyz").status, 200, "the Unix socket does not notice")
        wait_until("the late handshakes to be closed", lambda: closed() == 60, 30)
        self.assertTrue(self.ask(self.shim_file))

    def refusal(self, **replaced):
        config = self.system.config.read_text()
        for key, value in replaced.items():
            config = re.sub(rf"(?m)^{key} = .*\n", f"{key} = {value}\n" if value else "", config)
        path = self.system.directory / "refused.ini"
        path.write_text(config)
        done = subprocess.run([BUILD / "bin" / "export-workerd", "--config", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 78, done.stderr)
        return done.stderr

    def test_it_fails_closed(self):
        self.assertIn("only those who hold a key may connect", self.refusal(curve_clients_file=None))
        self.assertIn("only those who hold a key may connect", self.refusal(curve_key_file=None))
        self.assertIn("nobody.curve", self.refusal(curve_clients_file=self.system.directory / "nobody.curve"))
        self.assertIn("expected a secret key of 40 characters", self.refusal(curve_key_file=self.system.secret("short", "abc\n")))
        self.server_file.chmod(0o644)
        self.assertIn("server.curve", self.refusal())
        self.server_file.chmod(0o600)
        self.assertIn("expected tcp://ADDRESS:PORT", self.refusal(tcp_endpoint="tcp://*:7411"))
        self.assertIn("expected tcp://ADDRESS:PORT", self.refusal(tcp_endpoint="tcp://localhost:7411"))
        self.assertIn("expected ipc:///", self.refusal(tcp_endpoint=None, state_dir=f"{self.system.state}\ndata_endpoint = tcp://127.0.0.1:7411"))
        again = subprocess.run([BUILD / "bin" / "exportctl", "curve", self.server_file], capture_output=True, text=True, timeout=20)
        self.assertNotEqual(again.returncode, 0, "a key is never written over")


class DescriptorsTest(unittest.TestCase):
    def test_running_out_of_descriptors_kills_nobody(self):
        """libzmq's ipc listener aborts the process at EMFILE; ours waits until there is one again."""
        system = System()
        self.addCleanup(system.close)
        system.start()
        key = system.make_key()
        pid = system.daemon.popen.pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 30, used + 30))
        idle = []
        self.addCleanup(lambda: [c.close() for c in idle])
        for _ in range(120):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(1)
            try:
                connection.connect(str(system.state / "run" / "data.sock"))
            except (BlockingIOError, socket.timeout, ConnectionRefusedError):
                break
            idle.append(connection)
        wait_until("the descriptors to be used up", lambda: len(os.listdir(f"/proc/{pid}/fd")) >= used + 28)
        # A client that is connected already is served. Each answer is a turn of the loop in which the listener finds no
        # descriptor for those that wait: libzmq's would have aborted many times.
        for _ in range(12):
            self.assertEqual(system.api("GET", "/api/jobs/none/status", key).status, 404)
        self.assertIsNone(system.daemon.popen.poll())
        for connection in idle:
            connection.close()
        idle.clear()
        pipeline = system.wire()
        self.addCleanup(pipeline.close)
        self.assertTrue(pipeline.call("sys.ping", {})["ok"])


if __name__ == "__main__":
    unittest.main()
