"""A PostgreSQL server of the tests' own, on a Unix socket, and a schema of it for each system."""
import atexit
import ctypes
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from functional.skips import LEFT_OUT, PEERS, need

PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
PATIENCE_S = 60


def need_postgres():
    """Skips the test if the server's programs are missing or left out."""
    if "postgresql" in os.environ.get("EXPORT_WORKER_WITHOUT", "").split(","):
        raise unittest.SkipTest(LEFT_OUT + "postgresql")
    if not (PROGRAMS / "initdb").exists():
        raise unittest.SkipTest(f"{PROGRAMS}/initdb is missing; {PEERS['postgresql']}")


def server_user():
    """Whose processes the server's are: it refuses to run as root. {} where this process may be its owner."""
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwnam("postgres")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def end_with_parent():
    """In the child, once it has its user, which would forget it."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


def rows_of(conninfo, sql, schema=None):
    """The rows of a query, each a list of texts."""
    done = subprocess.run([str(PROGRAMS / "psql"), "-XqAt", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", conninfo, "-c",
                           (f'SET search_path = "{schema}"; ' if schema else "") + sql], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{sql}: {done.stderr}")
    return [line.split("\x1f") for line in done.stdout.splitlines()]


class PostgresServer:
    """One cluster. `port` gives it TCP on loopback as well; `settings`: lines of postgresql.conf."""

    def __init__(self, settings=(), port=None, data=None):
        need_postgres()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="export-worker-pg-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        user = server_user()
        if user:
            os.chown(self.directory, user["user"], user["group"])
        self.data = self.directory / "data"
        self.port = port
        self.log_path = self.directory / "log"
        self.popen = None
        self.numbers = itertools.count(1)
        if data is None:
            self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
            self.configure("listen_addresses=''" if port is None else "listen_addresses='127.0.0.1'", f"unix_socket_directories='{self.directory}'",
                           "max_connections=200", "shared_buffers=64MB", *([f"port={port}"] if port else []), *settings)

    def run(self, program, *arguments, check=True):
        done = subprocess.run([str(PROGRAMS / program), *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd="/", **server_user())
        if check and done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")
        return done

    def configure(self, *lines):
        with open(self.data / "postgresql.conf", "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen([str(PROGRAMS / "postgres"), "-D", str(self.data)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd="/", preexec_fn=end_with_parent, **server_user())
        end = time.monotonic() + PATIENCE_S
        while self.run("pg_isready", "-q", "-h", self.directory, *(["-p", self.port] if self.port else []), check=False).returncode != 0:
            if self.popen.poll() is not None or time.monotonic() > end:
                raise AssertionError(self.log_path.read_text(errors="replace"))
            time.sleep(0.02)  # sleep: between two looks
        return self

    def standby(self, synchronous):
        """A standby of this server, running. `synchronous`: from then on a commit waits for it."""
        out = PostgresServer(data="copied")
        out.run("pg_basebackup", "-h", self.directory, "-U", "postgres", "-D", out.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        out.configure(f"unix_socket_directories='{out.directory}'")
        out.start()
        if synchronous:
            self.configure("synchronous_standby_names='*'")
            self.run("pg_ctl", "reload", "-D", self.data)
        return out

    def promote(self):
        """As an HA manager does, which knows that there is no standby behind this one."""
        self.configure("synchronous_standby_names=''")
        self.run("pg_ctl", "promote", "-D", self.data, "-w")

    def conninfo(self, host=None, more=""):
        return f"host={host or self.directory} dbname=postgres user=postgres{f' port={self.port}' if self.port else ''}{more}"

    def query(self, sql, schema=None):
        return rows_of(self.conninfo(), sql, schema)

    def new_schema(self):
        return f"test_{os.getpid()}_{next(self.numbers)}"

    def kill(self):
        """As a power cut: nothing is written any more."""
        self.popen.send_signal(signal.SIGQUIT)
        self.popen.wait(PATIENCE_S)

    def close(self):
        if self.popen is not None and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGQUIT)  # Without a checkpoint: the cluster goes with it.
            self.popen.wait(PATIENCE_S)
        shutil.rmtree(self.directory, ignore_errors=True)


class Pooler:
    """PgBouncer in transaction mode before a server. `settings`: more lines of its [pgbouncer] section."""

    def __init__(self, server, port=6432, settings=()):
        program = need("pgbouncer")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="export-worker-pooler-"))
        self.port = port
        self.log_path = self.directory / "log"
        path = self.directory / "pgbouncer.ini"
        lines = ["[databases]", f"postgres = host={server.directory} user=postgres", "[pgbouncer]", "pool_mode = transaction", "auth_type = any",
                 f"listen_port = {port}", f"unix_socket_dir = {self.directory}", "max_client_conn = 500", "default_pool_size = 10", *settings]
        path.write_text("".join(f"{line}\n" for line in lines))
        user = server_user()
        if user:
            os.chown(self.directory, user["user"], user["group"])
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen([program, str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                          preexec_fn=end_with_parent, **user)
        end = time.monotonic() + PATIENCE_S
        while not (self.directory / f".s.PGSQL.{port}").exists():
            if self.popen.poll() is not None or time.monotonic() > end:
                raise AssertionError(self.log_path.read_text(errors="replace"))
            time.sleep(0.02)  # sleep: between two looks

    def conninfo(self):
        return f"host={self.directory} port={self.port} dbname=postgres user=postgres"

    def close(self):
        self.popen.kill()
        self.popen.wait(PATIENCE_S)
        shutil.rmtree(self.directory, ignore_errors=True)


SHARED = []


def shared_server():
    """One for all systems of this test process; ends with it."""
    if not SHARED:
        SHARED.append(PostgresServer(["fsync=off"]))
        atexit.register(SHARED[0].close)
        SHARED[0].start()
    return SHARED[0]


POOLERS = []


def shared_pooler():
    """Before shared_server()."""
    if not POOLERS:
        POOLERS.append(Pooler(shared_server()))
        atexit.register(POOLERS[0].close)
    return POOLERS[0]
