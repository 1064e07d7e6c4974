"""Starts the real programs in a directory of their own and talks to them as their users do."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import msgpack
import zmq

from functional.postgres import shared_pooler, shared_server
from functional.skips import need

BUILD = pathlib.Path(os.environ["EXPORT_WORKER_BUILD"])
SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
SANITIZED = bool(os.environ.get("EXPORT_WORKER_SANITIZER"))
# The peers of tests/node/package.json; scripts/setup test installs them.
NODE_MODULES = pathlib.Path(os.environ.get("EXPORT_WORKER_NODE_MODULES") or SOURCE / "build" / "node" / "node_modules")
# Where the daemons of a System keep jobs, products and keys: "sqlite", "postgres" for a server of this test process, or "pgbouncer"
# for the same server behind PgBouncer.
POOLED = os.environ.get("EXPORT_WORKER_DATABASE") == "pgbouncer"
DATABASE = "postgres" if POOLED else os.environ.get("EXPORT_WORKER_DATABASE", "sqlite")
PATIENCE_S = 60 if SANITIZED else 20  # How long to wait for something that must happen.
# The short form reaches the same code as the full one with fewer rounds and smaller counts. The default run is short;
# the tests labelled slow run the full form.
FULL = os.environ.get("EXPORT_WORKER_FORM", "full") == "full"


def memory_directory():
    """Where tests of the short form keep their files: in memory, if plugins may be loaded from there. Starting daemons is mostly
    waiting for the disk. The full form uses the disk (TMPDIR), and so does None."""
    try:
        status = os.statvfs("/dev/shm")
    except OSError:
        return None
    usable = os.access("/dev/shm", os.W_OK) and not status.f_flag & os.ST_NOEXEC and status.f_bavail * status.f_frsize > 2 << 30
    return "/dev/shm" if usable and not FULL else None


DIRECTORIES = []  # Made by scratch_directory(); tests/run_module.py removes what is left when it is told to end.


def scratch_directory(prefix, on_disk=False):
    """A new directory; whoever asks removes it."""
    DIRECTORIES.append(tempfile.mkdtemp(prefix=prefix, dir=None if on_disk else memory_directory()))
    return pathlib.Path(DIRECTORIES[-1])


def wait_until(what, condition, patience_s=PATIENCE_S):
    """Polls until `condition()` is true; its value comes back."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s} s for: {what}")
        time.sleep(0.02)  # sleep: the pause between two looks at the condition


def need_node(*modules):
    """Skips the test if Node or one of these modules of tests/node/package.json is missing."""
    need("node")
    missing = [m for m in modules if not (NODE_MODULES / m).exists()]
    if missing:
        raise unittest.SkipTest(f"{', '.join(missing)} missing in {NODE_MODULES}; install with: scripts/setup test")


def side_by_side(test, function, cases):
    """function(case) for every case, some at the same time: they mostly wait. Each is a subtest; `function` starts what it
    needs itself and leaves the attributes of `test` alone."""
    with concurrent.futures.ThreadPoolExecutor(2 if SANITIZED else 6) as pool:
        running = [(case, pool.submit(function, case)) for case in cases]
        for case, future in running:
            with test.subTest(case):
                future.result()


PORT_LOCKS = []  # Held until this process ends.


def free_port():
    """A port for a program that cannot choose one itself. It stays ours: no other test process gets it, and the kernel
    gives it to no connection, because it lies outside the range for those."""
    low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(10_000, 65_536) if not low <= port <= high]
    for port in random.sample(ports, len(ports)):
        lock, probe = socket.socket(socket.AF_UNIX), socket.socket()
        try:
            # The lock of a port is an abstract Unix socket: the kernel removes it when its process ends.
            lock.bind(f"\0export-worker-test-port-{port}")
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        finally:
            probe.close()
        PORT_LOCKS.append(lock)
        return port
    raise AssertionError("no free port outside the range for connections")


class Process:
    """A program with its log; killed when the test ends, whatever happens."""

    def __init__(self, arguments, log_path, env=None):
        self.log_path = pathlib.Path(log_path)
        self.log = open(self.log_path, "ab")
        self.popen = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=self.log, env={**os.environ, **(env or {})})

    def text(self):
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern):
        def found():
            match = re.search(pattern, self.text())
            if match is None and self.popen.poll() is not None:
                raise AssertionError(f"exited with {self.popen.returncode}:\n{self.text()}")
            return match
        return wait_until(f"{pattern!r} in {self.log_path}", found)

    def stop(self, how=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(how)
        try:
            code = self.popen.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"did not stop:\n{self.text()}")
        finally:
            self.log.close()
        return code


def freeze(popen):
    """SIGSTOP, and none of its threads runs any more when this returns: the signal alone takes its time."""
    popen.send_signal(signal.SIGSTOP)
    tasks = pathlib.Path(f"/proc/{popen.pid}/task")

    def is_frozen(task):
        try:
            return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtXZ"
        except FileNotFoundError:
            return True

    wait_until("the process to stop", lambda: all(is_frozen(task) for task in tasks.iterdir()))


PRELOADS = tempfile.TemporaryDirectory(prefix="export-worker-preloads-")
PRELOADS_LOCK = threading.Lock()


def preloaded(name):
    """The environment that puts tests/fault/NAME.c between a program and its C library."""
    library = pathlib.Path(PRELOADS.name) / f"{name}.so"
    with PRELOADS_LOCK:
        if not library.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE / "tests" / "fault" / f"{name}.c"), "-ldl"], check=True)
    # A sanitizer's runtime insists on being first; it does not mind ours behind it.
    options = [os.environ["ASAN_OPTIONS"]] if "ASAN_OPTIONS" in os.environ else []
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": ":".join([*options, "verify_asan_link_order=0"])}


class ClockJump:
    """For start_daemon(env=clock.env): its wall clock is off by what jump() says (tests/fault/clock_jump.c)."""

    def __init__(self, directory):
        self.file = directory / "clock_jump"
        self.env = {**preloaded("clock_jump"), "CLOCK_JUMP_FILE": str(self.file)}

    def jump(self, seconds):
        part = self.file.with_suffix(".new")
        part.write_text(str(seconds))
        part.rename(self.file)


class FailingDisk:
    """For start_daemon(env=disk.env): while it is broken, the calls it names fail (tests/fault/failing_disk.c)."""

    def __init__(self, directory):
        self.switch = directory / "failing"
        self.env = {**preloaded("failing_disk"), "FAILING_DISK": str(self.switch)}

    def breaks(self, *lines):
        """Each line is "CALL ERROR PATTERN"."""
        part = self.switch.with_suffix(".new")
        part.write_text("\n".join(lines) + "\n")
        part.rename(self.switch)

    def works(self):
        self.switch.unlink()


def alarm_texts(status):
    """"disk /var/lib/x: what is wrong; what to do", as exportctl status prints them."""
    return [" ".join(filter(None, (alarm["name"], alarm["subject"]))) + ": " + "; ".join(filter(None, (alarm["cause"], alarm["remedy"])))
            for alarm in status["alarms"]]


class System:
    """Daemon, shim and operator in one directory."""

    def __init__(self, on_disk=False, database=DATABASE, server=None, pooled=POOLED):
        """With `server`, a PostgreSQL server: a schema of it. Otherwise `database` says; `pooled`: behind PgBouncer."""
        self.pooler = shared_pooler() if pooled and server is None and database == "postgres" else None
        self.server = server or (shared_server() if database == "postgres" else None)
        self.conninfo = (self.pooler or self.server).conninfo() if self.server else None
        self.schema = self.server.new_schema() if self.server else None
        self.directory = scratch_directory("export-worker-", on_disk)
        self.state = self.directory / "state"
        self.exports = self.directory / "exports"
        self.keys = self.secret("link_keys", f"k1 {secrets.token_hex(32)}\n")
        # As an installation has it: owned by us, writable by nobody else, whatever the build directory is like.
        self.plugin = self.install("download_url.so", BUILD / "plugins" / "download_url.so")
        self.install("download_url.golden.jsonl", BUILD / "plugins" / "download_url.golden.jsonl")
        self.daemon = self.shim = None
        self.port = 0
        self.extra = ""
        self.daemon_keys = ""  # More of [daemon].
        self.synchronous = "off"  # As the servers of the tests have no standby.
        self.database_keys = ""  # More of [database], where it is postgres.
        self.http_keys = ""  # More of [http].
        self.store_keys = ""  # More of [store.local].
        self.shim_starts = 0

    def secret(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def sample_roles(self):
        """etc/roles.ini where the programs trust it, whoever owns the work tree."""
        path = self.directory / "sample_roles.ini"
        path.write_text((SOURCE / "etc" / "roles.ini").read_text())
        path.chmod(0o644)
        return path

    def install(self, name, source):
        """Puts a file where the daemon may take plugins from, by a rename, as install(1) would."""
        folder = self.directory / "plugins"
        folder.mkdir(mode=0o755, exist_ok=True)
        part = folder / f".{name}.{secrets.token_hex(4)}"
        shutil.copyfile(source, part)
        part.chmod(0o755)
        return part.rename(folder / name)

    @property
    def database_section(self):
        if self.server is None:
            return ""
        return (f"[database]\nkind = postgres\nconninfo = {self.conninfo}\nschema = {self.schema}\nrequire_synchronous = {self.synchronous}\n"
                f"{'pooler = transaction' if self.pooler else ''}\n{self.database_keys}")

    @property
    def config(self):
        path = self.directory / "export-worker.ini"
        metrics = "" if "metrics_from" in self.http_keys else "metrics_from = 127.0.0.1\n"
        text = f"""
[daemon]
state_dir = {self.state}
{self.daemon_keys}{self.database_section}[http]
listen = 127.0.0.1:{self.port}
{metrics}{self.http_keys}[store.local]
kind = local
root = {self.exports}
base_url = http://127.0.0.1:{self.port}
key_file = {self.keys}
{"shared_root = on" if self.server else ""}
{self.store_keys}[plugin.download_url]
file = {self.plugin}
{self.extra}"""
        # Programs that are starting may be reading it.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        part.write_text(text)
        part.chmod(0o644)
        return part.rename(path)

    def start_shim(self):
        # The daemon needs the port for its links, and a shim that starts again needs the same one.
        self.port = self.port or free_port()
        self.shim_starts += 1
        self.shim = Process([BUILD / "bin" / "export-httpd", "--config", self.config], self.directory / "shim.log")
        self.shim.wait_for_log(r"(?s)(ready: .*){%d}" % self.shim_starts)

    def start_daemon(self, env=None, faults=None, must_start=True):
        """With `faults` ("NAME:ACTION:COUNT,..."): the tests' daemon, whose fault points obey."""
        log = self.directory / f"daemon-{time.monotonic_ns()}.log"
        program = BUILD / "bin" / "export-workerd" if faults is None else BUILD / "tests" / "bin" / "export-workerd-faults"
        if faults is not None:
            env = {**(env or {}), "EXPORT_WORKER_FAULTS": faults, "EXPORT_WORKER_FAULT_DIRECTORY": str(self.directory)}
        self.daemon = Process([program, "--config", self.config], log, env)
        if must_start:
            self.daemon.wait_for_log("ready: data on")

    def wait_for_death(self):
        """The daemon dies by itself; its exit status comes back."""
        code = wait_until("the daemon to die", lambda: self.daemon.popen.poll() is not None and (self.daemon.popen.returncode,))[0]
        self.daemon.log.close()
        return code

    def paused_at(self, name):
        wait_until(f"somebody at {name}", lambda: (self.directory / f"{name}.here").exists())

    def let_go(self, name):
        (self.directory / f"{name}.go").touch()

    def files(self):
        """Every file below the export directory, however it is called, but the daemon's mark."""
        return sorted(p for p in self.exports.rglob("*") if p.is_file() and not p.name.startswith(".export-worker-"))

    def start(self):
        # The daemon first: a shim that finds none tries again only after a while.
        self.port = self.port or free_port()
        self.start_daemon()
        self.start_shim()
        wait_until("the shim sees the daemon", lambda: self.http("GET", "/readyz").status == 200)
        return self

    def close(self):
        problems = []
        for process in (self.shim, self.daemon):
            if process is None or process.log.closed:
                continue
            code = process.stop()
            if code != 0:
                problems.append(f"exit status {code}:\n{process.text()[-4000:]}")
        shutil.rmtree(self.directory, ignore_errors=True)
        if problems:
            raise AssertionError("\n".join(problems))

    # --- operator ---
    def ctl(self, *arguments, stdin=None, check=True):
        done = subprocess.run([str(BUILD / "bin" / "exportctl"), "--config", str(self.config), *map(str, arguments)],
                              input=stdin, capture_output=True, text=True, timeout=1800)
        if check and done.returncode != 0:
            raise AssertionError(f"exportctl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("--json", *arguments).stdout)

    def alarms(self):
        """What is wrong, one text each."""
        return alarm_texts(self.ctl_json("status"))

    def make_key(self, organization="acme", permissions="product:read,job:read,job:create"):
        return self.ctl_json("key", "create", "--organization", organization, "--permission", permissions)["key"]

    def import_generated(self, products, organization="acme", seed=1):
        path = self.directory / f"catalog-{products}-{seed}.jsonl"
        self.ctl("catalog", "generate", "--products", products, "--seed", seed, "--output", path)
        self.ctl("catalog", "import", "--organization", organization, path)
        return path

    def export(self, organization="acme", *flags):
        return self.ctl_json("export", "submit", "--organization", organization, "--wait", *flags)

    # --- API client ---
    def submit(self, key, **request):
        response = self.api("POST", "/api/products/export-async", key, request)
        assert response.status == 202, response.body
        return response.json["job_id"]

    def job_when(self, job_id, *statuses):
        """The job, once it has one of the statuses; None before."""
        job = self.ctl_json("job", "show", job_id)
        return job if job["status"] in statuses else None

    def http(self, method, target, headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        response.body = response.read()
        connection.close()
        return response

    def api(self, method, target, key=None, body=None, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            fields["Authorization"] = f"Bearer {key}"
        data = json.dumps(body).encode() if body is not None else None
        response = self.http(method, target, fields, data)
        response.json = json.loads(response.body) if response.body else None
        return response

    def mint(self, job_id, key):
        return self.api("GET", f"/api/products/export/{urllib.parse.quote(job_id, safe='')}/download-url", key)

    def fetch(self, url, headers=None, method="GET"):
        parts = urllib.parse.urlsplit(url)
        assert parts.port == self.port, url
        return self.http(method, f"{parts.path}?{parts.query}", headers)

    # --- worker pipeline ---
    def wire(self):
        return Wire(f"ipc://{self.state}/run/data.sock")

    def control(self):
        """The operators' socket."""
        return Wire(f"ipc://{self.state}/run/control.sock")


class Wire:
    """A plain REQ socket, as any language has one."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, PATIENCE_S * 1000)
        self.socket.connect(endpoint)

    def raw(self, data):
        self.socket.send(data)
        return msgpack.unpackb(self.socket.recv())

    def send(self, method, params=None, key=None, **more):
        """Sends a request; its id comes back."""
        request = {"v": 1, "id": secrets.token_hex(8), "method": method, "params": params or {}, **more}
        if key is not None:
            request["auth"] = {"authorization": f"Bearer {key}"}
        self.socket.send(msgpack.packb(request))
        return request["id"]

    def receive(self, request_id):
        reply = msgpack.unpackb(self.socket.recv())
        assert reply["id"] == request_id, reply
        return reply

    def call(self, method, params=None, key=None, **more):
        return self.receive(self.send(method, params, key, **more))

    def close(self):
        self.socket.close()


class SystemTest(unittest.TestCase):
    """A running system for each test class."""

    @classmethod
    def setUpClass(cls):
        cls.system = cls.make_system()
        cls.addClassCleanup(cls.system.close)
        cls.configure(cls.system)
        cls.system.start()
        cls.prepare(cls.system)

    @classmethod
    def make_system(cls):
        return System()

    @classmethod
    def configure(cls, system):
        """Before the start."""

    @classmethod
    def prepare(cls, system):
        """After the start."""
