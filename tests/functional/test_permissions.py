"""Who may read and write what: modes of everything the programs make, and files that decide who is trusted."""
import json
import os
import stat
import subprocess
import sys
import unittest

from functional.harness import BUILD, System
from functional.skips import sqlite_only
from functional.identity import AUDIENCE, ISSUER, SigningKey, jwks

# Tries every path of its standard input; prints those that it could open or connect to.
OPENER = """
import json, os, socket, stat, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
opened = []
for path in json.load(sys.stdin):
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
        else:
            open(path, "rb").close()
        opened.append(path)
    except PermissionError:
        pass
print(json.dumps(opened))
"""


class PermissionsTest(unittest.TestCase):
    def setUp(self):
        # As careless as a caller can be; the programs inherit it.
        self.addCleanup(os.umask, os.umask(0))
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.directory.chmod(0o755)
        self.system.daemon_keys = f"notice_endpoint = ipc://{self.system.state}/run/notices.sock\n"
        self.backup = self.system.directory / "backup"
        self.backup.mkdir(mode=0o755)
        self.system.keys.chmod(0o640)

    def use_everything(self):
        self.system.start()
        self.system.import_generated(50)
        self.system.make_key()
        self.system.export()
        self.system.ctl("backup", self.backup)

    def places(self):
        """Every file and socket of the programs, with its mode."""
        out = {}
        for root in (self.system.state, self.system.exports, self.backup):
            for path in root.rglob("*"):
                info = path.lstat()
                if not stat.S_ISDIR(info.st_mode):
                    out[path] = stat.S_IMODE(info.st_mode)
        return out

    @sqlite_only
    def test_nothing_depends_on_the_umask(self):
        self.use_everything()
        self.assertEqual(stat.S_IMODE(self.system.state.stat().st_mode), 0o750)
        self.assertEqual(stat.S_IMODE((self.system.state / "run").stat().st_mode), 0o750)
        seen = set()
        for path, mode in self.places().items():
            with self.subTest(path=path, mode=oct(mode)):
                if path.name in ("data.sock", "notices.sock"):
                    self.assertEqual(mode, 0o660)
                elif path.is_relative_to(self.system.exports):
                    self.assertEqual(mode, 0o640)
                else:
                    self.assertEqual(mode & 0o077, 0)
            seen.add(path.name)
        for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm", "auth.db", "catalog.db", "plugins.db", "lock", "data.sock", "control.sock", "notices.sock"):
            self.assertIn(name, seen)
        self.assertEqual({p.name for p in self.backup.iterdir()}, {"jobs.db", "catalog.db", "auth.db", "plugins.db", "plugins", "manifest.json"})
        self.assertEqual(stat.S_IMODE(self.backup.stat().st_mode), 0o700)

    @sqlite_only
    def test_databases_of_before_are_tightened(self):
        self.use_everything()
        self.system.daemon.stop()
        databases = [*self.system.state.glob("*.db")]
        for path in databases:
            path.chmod(0o666)
        self.system.start_daemon()
        for path in (*databases, *self.system.state.glob("*.db-*")):
            self.assertEqual(oct(stat.S_IMODE(path.stat().st_mode)), oct(0o600), path)

    def opened_as(self, uid, gid):
        paths = [*map(str, self.places()), str(self.system.keys)]
        done = subprocess.run([sys.executable, "-c", OPENER, str(uid), str(gid)], input=json.dumps(paths), capture_output=True,
                              text=True, check=True, timeout=60)
        return set(json.loads(done.stdout))

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    @sqlite_only
    def test_others_open_nothing_and_the_shims_user_what_it_serves(self):
        self.use_everything()
        self.assertEqual(self.opened_as(65534, 65534), set())
        self.assertTrue(self.system.files())
        exports = {str(p) for p in self.system.exports.rglob("*") if p.is_file()}
        self.assertEqual(self.opened_as(65534, os.getegid()), exports | {str(self.system.keys)} | {str(self.system.state / "run" / name) for name in ("data.sock", "notices.sock")})


class TrustTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.system.port = 1  # Nobody listens: nothing starts here.
        self.addCleanup(self.system.close)

    def refused(self, path, program="export-workerd"):
        self.assertTrue(path.exists())
        config = self.system.config
        for mode in (0o620, 0o602, 0o666):
            path.chmod(mode)
            done = subprocess.run([BUILD / "bin" / program, "--config", config], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 78, (path, oct(mode), done.stderr))
            self.assertIn(f"{path}: expected one that only its owner may write", done.stderr)
            self.assertIn(f"chmod go-w {path}", done.stderr)
        path.chmod(0o600)

    def file(self, name, text):
        path = self.system.directory / name
        path.write_text(text)
        return path

    def test_the_configuration(self):
        path = self.system.config
        path.chmod(0o660)
        for program in ("export-workerd", "export-httpd", "exportctl"):
            words = ["--config", path] + (["status"] if program == "exportctl" else [])
            done = subprocess.run([BUILD / "bin" / program, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"chmod go-w {path}", done.stderr)

    def test_roles_and_key_sets(self):
        roles = self.file("roles.ini", "[role.Viewer]\npermissions = job:read\n")
        keys = self.file("jwks.json", jwks(SigningKey(self.system.directory, "one")))
        authorities = self.file("authorities.pem", "")
        auth = f"[auth]\nroles_file = {roles}\njwks_file = {keys}\nissuer = {ISSUER}\naudience = {AUDIENCE}\n"
        self.system.extra = auth
        self.refused(roles)
        self.refused(keys)
        # The URL is asked only later; until then the file would count.
        self.system.extra = f"{auth}jwks_url = https://127.0.0.1:1/jwks\n"
        self.refused(keys)
        self.system.extra = f"{auth}ca_file = {authorities}\n"
        self.refused(authorities)

    def test_clients_and_servers_over_tcp(self):
        made = {}
        for name in ("daemon", "shim"):
            secret = self.system.directory / f"{name}.curve"
            done = subprocess.run([BUILD / "bin" / "exportctl", "curve", secret], capture_output=True, text=True, check=True, timeout=20)
            made[name] = (secret, done.stdout.strip())
        clients = self.file("curve_clients", f"shim {made['shim'][1]}\n")
        server = self.file("daemon.public", made["daemon"][1] + "\n")
        self.system.daemon_keys = (f"tcp_endpoint = tcp://127.0.0.1:1\ncurve_key_file = {made['daemon'][0]}\n"
                                   f"curve_clients_file = {clients}\n")
        self.system.http_keys = f"curve_key_file = {made['shim'][0]}\ncurve_server_key_file = {server}\n"
        self.refused(server, "export-httpd")
        self.refused(clients)


if __name__ == "__main__":
    unittest.main()
