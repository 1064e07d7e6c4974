"""Starts that cannot succeed: exit status 78, or 75 for what can pass by itself, and a message that says what to change."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, FailingDisk, System, wait_until


NOBODY = 65534


class StartupTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.system.port = 1  # Nobody listens: only the daemon starts here.
        self.addCleanup(self.system.close)

    def start(self, program="export-workerd", config=None, arguments=(), env=None):
        return subprocess.run([str(BUILD / "bin" / program), "--config", str(config or self.system.config), *arguments],
                              capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})

    def refused(self, *needles, status=78, **more):
        done = self.start(**more)
        self.assertEqual(done.returncode, status, done.stderr)
        for needle in needles:
            self.assertIn(needle, done.stderr)

    def config_with(self, old, new):
        text = self.system.config.read_text()
        self.assertIn(old, text)
        path = self.system.directory / "changed.ini"
        path.write_text(text.replace(old, new))
        return path

    def another_installation(self):
        """With the sockets of this one."""
        config = self.config_with(f"state_dir = {self.system.state}", f"state_dir = {self.system.directory}/other\ndata_endpoint = ipc://{self.system.state}/run/data.sock")
        config.write_text(config.read_text().replace(f"root = {self.system.exports}", f"root = {self.system.directory}/other-exports"))
        return config

    def test_check_config(self):
        done = self.start(arguments=["--check-config"])
        self.assertEqual((done.returncode, done.stdout.strip().endswith("good")), (0, True), done.stderr)
        self.assertFalse(self.system.state.exists())
        done = self.start(program="export-httpd", arguments=["--check-config"])
        self.assertEqual((done.returncode, done.stdout.strip().endswith("good")), (0, True), done.stderr)

    def complaints(self, extra="", daemon_keys="", status=78):
        """What --check-config says of a configuration with these lines."""
        self.system.extra, self.system.daemon_keys = extra, daemon_keys
        done = self.start(arguments=["--check-config"])
        self.system.extra = self.system.daemon_keys = ""
        self.assertEqual(done.returncode, status if ".ini: " in done.stderr else 0, done.stderr)
        return done.stderr

    def test_check_config_refuses_what_cannot_be_used(self):
        junk = self.system.secret("junk", "junk\n")
        shared = self.system.directory / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        (self.system.directory / "dangling").symlink_to("/no/such")
        store = f"[store.other]\nkind = local\nbase_url = http://h\nkey_file = {self.system.keys}\nroot = "
        for lines, keys, complaint in (
                (f"{store}{shared}\n[export]\nstore = other\n", "", r"\[store.other\] root: .*group or others may write it; run chmod go-w"),
                (f"{store}{self.system.directory}/dangling\n", "", r"\[store.other\] root: expected a directory, found a symbolic link that leads nowhere"),
                (f"{store}/\n", "", r"\[store.other\] root: expected a directory of its own, found /"),
                ("", f"data_endpoint = ipc://{junk}\n", r"\[daemon\] data_endpoint: listen on .*junk: the path exists and is no socket; remove it"),
                ("", "data_endpoint = ipc:///x/s\ncontrol_endpoint = ipc:///x/s\n", r"\[daemon\] control_endpoint: expected another one than data_endpoint"),
                ("", f"curve_key_file = {junk}\n", r"\[daemon\] curve_key_file: .*junk"),
                ("", "control_socket_mode = 0000\n", r"\[daemon\] control_socket_mode: expected the mode of a socket .*found 0000"),
                ("", "control_socket_mode = 0777\n", r"\[daemon\] control_socket_mode: expected the mode of a socket .*nothing for others, found 0777"),
                ("[nonsense]\n", "", r"unknown section \[nonsense\]")):
            with self.subTest(complaint):
                self.assertRegex(self.complaints(lines, keys), complaint)
        warned = self.complaints(f"{store}{shared}\n")
        self.assertRegex(warned, r"warning: \[store.other\] root: .*group or others may write it")

    def test_a_state_directory_that_holds_no_files(self):
        link = self.system.directory / "link"
        link.symlink_to("/no/such")
        for state, complaint in (("/proc", "make a file in /proc"), (link, "a symbolic link that leads nowhere"), ("/", "expected a directory of its own, found /")):
            done = self.start(config=self.config_with(f"state_dir = {self.system.state}", f"state_dir = {state}"), arguments=["--check-config"])
            self.assertEqual((done.returncode in (75, 78), complaint in done.stderr), (True, True), done.stderr)

    def test_check_and_start_agree_about_an_address_in_use(self):
        self.system.start_daemon()
        other = self.another_installation()
        for arguments in ([], ["--check-config"]):
            self.refused("another process is already listening there; stop it first", status=75, config=other, arguments=arguments)
        self.assertEqual(self.system.daemon.stop(), 0)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = "127.0.0.1:%d" % taken.getsockname()[1]
            # Found before any plugin is tried: this one would take 60 s.
            slow = self.system.install("broken.so", BUILD / "fixtures" / "broken_slow_create.so")
            self.system.extra = f"[plugin.broken]\nfile = {slow}\n[plugins]\nprobe_timeout_s = 60\n"
            self.system.daemon_keys = f"metrics_listen = {where}\n"
            for arguments in ([], ["--check-config"]):
                self.refused(f"[daemon] metrics_listen: listen on {where}: Address already in use; stop what listens there", status=75, arguments=arguments)
            self.system.daemon_keys = self.system.extra = ""

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_files_of_another_user_are_not_trusted(self):
        config = self.config_with("[daemon]", "[daemon]")
        for path in (config, self.system.keys):
            os.chown(path, NOBODY, NOBODY)
            for program in ("export-workerd", "export-httpd"):
                self.refused(f"{path}: expected one of root, found one of nobody; run chown root {path}", program=program, config=config)
            os.chown(path, 0, 0)
        folder = self.system.directory / "folder"
        folder.mkdir()
        moved = config.rename(folder / "moved.ini")
        for mode, owner, told in ((0o777, 0, f"which group or others may write; run chmod go-w {folder}"), (0o755, NOBODY, f"of nobody; run chown root {folder}")):
            folder.chmod(mode)
            os.chown(folder, owner, owner)
            self.refused(told, config=moved)

    def test_an_empty_configuration(self):
        empty = self.system.directory / "empty.ini"
        empty.write_text("")
        for program in ("export-workerd", "export-httpd"):
            self.refused("expected sections such as [daemon], found an empty file", program=program, config=empty)

    def test_check_config_opens_what_is_named(self):
        weak = self.system.secret("weak", "short\n")
        shared = self.system.secret("shared", "a webhook secret of enough bytes\n")
        shared.chmod(0o644)
        nonsense = self.system.directory / "nonsense"
        nonsense.write_text("nonsense\n")
        for lines, complaint in (
                (f"[auth]\nroles_file = {nonsense}\n", r"\[auth\] roles_file: .*nonsense"),
                ("[auth]\nroles_file = /no/roles.ini\n", r"\[auth\] roles_file: .*/no/roles.ini"),
                (f"[webhook.acme]\nurl = http://127.0.0.1/\nsecret_file = {weak}\n", r"\[webhook.acme\]: .*at least 16 bytes"),
                (f"[webhook.acme]\nurl = http://127.0.0.1/\nsecret_file = {shared}\n", r"\[webhook.acme\]: .*chmod"),
                ("[plugin.other]\nfile = /no/other.so\n", r"\[plugin.other\] file: .*nothing at /no;"),
                (f"[plugin.other]\nfile = {nonsense}\ngolden_file = /no/golden\n", r"\[plugin.other\] golden_file: .*/no/golden"),
                (f"[store.other]\nkind = local\nroot = {nonsense}\nbase_url = http://h\nkey_file = {self.system.keys}\n", r"\[store.other\] root: expected a directory, found a file"),
                (f"[store.other]\nkind = local\nroot = {self.system.exports}-2\nbase_url = http://h\nkey_file = {weak}\n", r"\[store.other\]: .*weak")):
            self.assertRegex(self.complaints(lines), complaint)

    def test_check_config_tries_the_addresses_unless_a_daemon_has_them(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertRegex(self.complaints(daemon_keys=f"metrics_listen = 127.0.0.1:{port}\n", status=75), rf"metrics_listen: listen on 127.0.0.1:{port}: .*in use.*; stop what listens")
        self.system.daemon_keys = f"metrics_listen = 127.0.0.1:{port}\n"
        self.system.start_daemon()
        self.addCleanup(self.system.daemon.stop)
        done = self.start(arguments=["--check-config"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("note: a daemon runs with this state_dir", done.stderr)

    def test_check_config_knows_the_databases(self):
        self.system.state.mkdir(mode=0o750)
        (self.system.state / "jobs.db").write_bytes(b"not a database, but long enough to be one" * 30)
        self.assertRegex(self.complaints(), r"\[daemon\] state_dir: .*jobs.db: ")
        (self.system.state / "jobs.db").unlink()
        with sqlite3.connect(self.system.state / "auth.db") as newer:
            newer.executescript("CREATE TABLE t (x); PRAGMA application_id = 0x45574b31; PRAGMA user_version = 99;")
        newer.close()
        self.assertRegex(self.complaints(), "auth.db: expected schema version [0-9]+ or older, found 99; .*newer version")

    def test_check_config_says_all_at_once(self):
        said = self.complaints("[plugin.one]\nfile = /no/one.so\n[plugin.two]\nfile = /no/two.so\n")
        self.assertRegex(said, r"(?s)\[plugin.one\] file: .*\n.*\[plugin.two\] file: ")

    def test_check_config_refuses_what_the_start_refuses(self):
        for program, section, lines in (
                ("export-workerd", "[daemon]", ("data_endpoint = abc", "notice_endpoint = abc", "metrics_listen = abc")),
                ("export-httpd", "[http]", ("daemons = abc", "log_level = abc", "curve_key_file = /k"))):
            for line in lines:
                config = self.config_with(section, f"{section}\n{line}")
                checked = self.start(program=program, config=config, arguments=["--check-config"])
                started = self.start(program=program, config=config)
                self.assertEqual((checked.returncode, checked.stderr), (78, started.stderr), line)
                self.assertIn(f": {section} ", checked.stderr)

    def test_the_sample_configuration_is_good(self):
        # A copy: in a work tree others may be allowed to write it.
        sample = self.system.directory / "sample.ini"
        sample.write_text((SOURCE / "etc" / "export-worker.ini").read_text())
        done = self.start(config=sample, arguments=["--check-syntax"])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_command_lines(self):
        for program in ("export-workerd", "export-httpd"):
            for words in ([], ["--confg", "x"], ["word"]):
                done = subprocess.run([str(BUILD / "bin" / program), *words], capture_output=True, text=True, timeout=20)
                self.assertEqual(done.returncode, 64)
                self.assertIn("--help", done.stderr)

    def test_bad_configurations(self):
        self.refused("No such file", config="/no/such.ini")
        self.refused("unknown key 'satte_dir'; did you mean 'state_dir'?", config=self.config_with("state_dir", "satte_dir"))
        self.refused("[daemn]", config=self.config_with("[daemon]", "[daemn]"))
        self.refused("expected a number from 1 to 64, found 'lots'", config=self.config_with("[daemon]", "[daemon]\nworkers = lots"))
        self.refused("[daemon] log_level: expected one of trace", config=self.config_with("[daemon]", "[daemon]\nlog_level = loud"))
        self.refused("expected ipc:///absolute/path.sock", config=self.config_with("[daemon]", "[daemon]\ndata_endpoint = tcp://127.0.0.1:5555"))
        self.refused("unknown key 'colour' in [plugin.download_url]", config=self.config_with("[plugin.download_url]", "[plugin.download_url]\ncolour = red"))
        self.refused("expected ADDRESS:PORT", program="export-httpd", config=self.config_with("listen = 127.0.0.1:1", "listen = 8080"))
        self.refused("with an IP address", program="export-httpd", config=self.config_with("listen = 127.0.0.1:1", "listen = localhost:8080"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused(f"listen on {where}: ", "in use", status=75, program="export-httpd", config=self.config_with("listen = 127.0.0.1:1", f"listen = {where}"))

    def test_unreadable_key_files(self):
        self.system.keys.chmod(0o644)
        self.refused("others may read", "chmod 640", str(self.system.keys))
        self.refused("others may read", program="export-httpd")
        self.system.keys.chmod(0o600)
        self.system.keys.write_text("k1 tooshort\n")
        self.refused("line 1: expected at least 32 hex digits")
        self.system.keys.unlink()
        self.refused("No such file", "[store.local]")

    def test_a_second_daemon_on_the_same_state(self):
        self.system.start_daemon()
        self.refused("held by another running process", f"pid {self.system.daemon.popen.pid}", status=75)
        # Another state directory, but the same sockets.
        self.refused("already listening", status=75, config=self.another_installation())
        self.assertIsNone(self.system.daemon.popen.poll())

    def test_damaged_foreign_and_newer_databases(self):
        self.system.start_daemon()
        self.system.daemon.stop()
        good = self.system.state / "jobs.db"
        kept = good.read_bytes()
        good.write_bytes(b"x" * len(kept))
        self.refused("jobs.db", "not a database")
        good.write_bytes(kept[:100] + os.urandom(len(kept) - 100))
        self.refused("jobs.db")

        def restore(pragma=None):
            for leftover in self.system.state.glob("jobs.db-*"):
                leftover.unlink()
            good.write_bytes(kept)
            if pragma:
                with contextlib.closing(sqlite3.connect(good)) as database:
                    database.execute(pragma)
                    database.commit()
        restore("PRAGMA user_version = 99")
        self.refused("found 99", "newer version of this program")
        restore("PRAGMA application_id = 42")
        self.refused("found another one's")
        restore()
        history = self.system.state / "plugins.db"
        kept_history = history.read_bytes()
        history.write_bytes(b"x" * len(kept_history))
        self.refused("plugins.db", "restore it from a backup")
        history.write_bytes(kept_history)
        self.system.start_daemon()

    def test_damaged_pages_are_named_by_the_start_and_by_check_config(self):
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)

        def write(database, content):
            for leftover in self.system.state.glob(f"{database.name}-*"):
                leftover.unlink()
            database.write_bytes(content)
        for name in ("auth.db", "jobs.db", "catalog.db", "plugins.db"):
            with self.subTest(name):
                database = self.system.state / name
                kept = database.read_bytes()
                page_bytes = int.from_bytes(kept[16:18], "big")  # SQLite, "The Database Header".
                write(database, kept[:2 * page_bytes] + b"\xff" * 2 * page_bytes + kept[4 * page_bytes:])
                advice = ", or move it away with its -wal and -shm" if name == "plugins.db" else ""
                self.both(f"{database}: ", "restore a backup (exportctl restore DIRECTORY --force)" + advice)
                # The text of a damaged schema is quoted by SQLite.
                write(database, kept.replace(b"CREATE TABLE", b"CREATE T\x1b\xff\x07E"))
                for arguments in ([], ["--check-config"]):
                    done = subprocess.run([BUILD / "bin" / "export-workerd", "--config", self.system.config, *arguments], capture_output=True, timeout=60)
                    self.assertEqual(done.returncode, 78, done.stderr)
                    self.assertIn(f"{database}: ".encode(), done.stderr)
                    self.assertNotRegex(done.stderr, rb"[\x00-\x09\x0b-\x1f\x7f-\xff]")
                write(database, kept)
        self.system.start_daemon()

    def both(self, *needles, status=78):
        """A start and --check-config say the same."""
        for arguments in ([], ["--check-config"]):
            self.refused(*needles, status=status, arguments=arguments)

    def test_a_lost_database_is_no_new_installation(self):
        self.system.start_daemon()
        kept = self.system.make_key()
        self.assertEqual(self.system.daemon.stop(), 0)
        word = self.system.state / "new-databases"
        self.assertFalse(word.exists())
        away = self.system.directory / "away.db"
        for name in ("auth.db", "jobs.db", "catalog.db"):
            with self.subTest(name):
                database = self.system.state / name
                database.rename(away)
                self.both(f"expected auth.db, jobs.db and catalog.db, found {name} missing", "exportctl restore DIRECTORY --force", f"touch {word} and start again")
                self.assertFalse(database.exists())
                database.touch(mode=0o600)
                self.both(f"found {name} without a table")
                self.assertEqual(database.stat().st_size, 0)
                away.rename(database)
        for name in ("auth.db", "jobs.db", "catalog.db"):
            (self.system.state / name).rename(self.system.directory / name)
        self.both("found auth.db, jobs.db, catalog.db missing beside plugins.db;")
        for name in ("auth.db", "jobs.db", "catalog.db"):
            (self.system.directory / name).rename(self.system.state / name)
        self.system.start_daemon()
        self.assertEqual(len(self.system.ctl_json("key", "list")["items"]), 1, kept)
        self.assertEqual(self.system.daemon.stop(), 0)
        # The operator goes on without it.
        (self.system.state / "auth.db").unlink()
        word.touch()
        self.system.start_daemon()
        self.assertIn("new-databases is there: databases that are missing are made anew", self.system.daemon.text())
        self.assertFalse(word.exists())
        self.assertEqual(self.system.ctl_json("key", "list")["items"], [])

    def test_a_first_start_that_died_goes_on(self):
        self.system.start_daemon(faults="database.before_migration:kill:5", must_start=False)
        self.assertEqual(self.system.wait_for_death(), -9)
        self.assertTrue((self.system.state / "new-databases").exists())
        self.assertFalse(all((self.system.state / name).exists() for name in ("auth.db", "jobs.db", "catalog.db")))
        self.system.start_daemon()
        self.assertFalse((self.system.state / "new-databases").exists())

    def test_an_empty_state_directory_beside_the_exports_of_a_registry(self):
        """As one whose volume is not mounted."""
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        mark, = self.system.exports.glob(".export-worker-*")
        away = self.system.state.rename(self.system.directory / "away")
        self.system.state.mkdir(mode=0o750)
        self.both(f"expected the databases of registry {mark.name.removeprefix('.export-worker-')}, whose exports are in {self.system.exports}",
                  "mount the volume of state_dir, or restore a backup", status=75)
        self.assertEqual(list(self.system.state.glob("*.db")), [])
        shutil.rmtree(self.system.state)
        away.rename(self.system.state)
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        # The operator gives the registry up: its exports stay away until the mark is made, too.
        shutil.rmtree(self.system.state)
        self.system.state.mkdir(mode=0o750)
        (self.system.state / "new-databases").touch()
        self.system.start_daemon()
        alarm, = wait_until("the alarm", self.system.alarms)
        self.assertIn("has the mark of another registry", alarm)
        pathlib.Path(re.search(r"touch (\S+?);", alarm)[1]).touch()
        wait_until("the end of the alarm", lambda: self.system.alarms() == [])

    def test_directories_in_the_place_of_files(self):
        self.system.state.mkdir(mode=0o750)
        lock = self.system.state / "lock"
        for make in (lock.mkdir, lambda: os.mkfifo(lock, 0o600)):
            make()
            self.refused(f"lock {lock}: expected a regular file or nothing, found something else; remove it")
            lock.rmdir() if lock.is_dir() else lock.unlink()
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        for name in ("auth.db", "jobs.db", "catalog.db", "plugins.db"):
            with self.subTest(name):
                database = self.system.state / name
                kept = database.rename(self.system.directory / name)
                database.mkdir()
                self.both(f"{database}: expected a database file, found a directory; move it away")
                database.rmdir()
                kept.rename(database)

    def test_check_config_looks_at_the_disk(self):
        disk = FailingDisk(self.system.directory)
        disk.breaks(f"statvfs ENOSPC {self.system.directory}*")
        done = self.start(arguments=["--check-config"], env=disk.env)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertRegex(done.stderr, rf"\[daemon\] state_dir: {self.system.state}: 0 KiB are free, and a start needs 1024 KiB; make room")
        # test_service.py has the warning before it comes to that.

    def test_check_config_looks_for_stores_that_are_not_mounted(self):
        self.system.start_daemon()
        self.system.import_generated(5)
        self.system.export()
        self.assertEqual(self.system.daemon.stop(), 0)
        away = self.system.exports.rename(self.system.directory / "away")
        self.system.exports.mkdir(mode=0o750)
        self.system.extra = f"[store.other]\nkind = local\nroot = {self.system.directory}/none\nbase_url = http://127.0.0.1:1\nkey_file = {self.system.keys}\n[export]\nstore = local\n"
        done = self.start(arguments=["--check-config"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"warning: \[store.local\] root: open .*is not where exports were written to, or its volume is not mounted; mount it")
        self.assertRegex(done.stderr, r"warning: \[store.other\] root: .*/none is not there: its links are answered 503")
        done = self.start(program="export-httpd", arguments=["--check-config"])
        self.assertRegex(done.stderr, r"warning: \[store.other\] root: .*/none is not there: its links are answered 503")
        self.system.exports.rmdir()
        away.rename(self.system.exports)
        self.assertNotIn("is not mounted", self.start(arguments=["--check-config"]).stderr)

    def test_check_config_knows_the_names_of_plugins(self):
        config = self.config_with("[plugin.download_url]", "[plugin.download-url]")
        for arguments in ([], ["--check-config"]):
            self.refused("[plugin.download-url]", "calls itself download_url", "correct the section name or the file", config=config, arguments=arguments)
        config.write_text(config.read_text().replace(str(self.system.plugin), str(self.system.keys)))
        self.refused("[plugin.download-url] file: ", config=config, arguments=["--check-config"])

    def quarantine(self, *words, offline=True):
        """Exit status, stdout and stderr of exportctl plugin quarantine."""
        done = self.system.ctl("plugin", "quarantine", *words, *(["--offline"] if offline else []), check=False)
        return done.returncode, done.stdout, done.stderr

    def test_a_first_start_that_was_quarantined_works_after_an_offline_lift(self):
        plugin = self.system.install("broken.so", BUILD / "fixtures" / "broken_slow_create.so")
        sha256 = hashlib.sha256(plugin.read_bytes()).hexdigest()
        self.system.extra = f"[plugin.broken]\nfile = {plugin}\n[plugins]\nprobe_timeout_s = 1\n"
        status, _, error = self.quarantine("list")
        self.assertEqual(status, 1)
        self.assertIn("expected the state directory of a daemon that has run", error)
        self.assertFalse(self.system.state.exists())
        self.refused("[plugin.broken]", "expected an answer within 1000 ms")
        status, listed, _ = self.quarantine("list")
        self.assertEqual(status, 0)
        self.assertRegex(listed, rf"^quarantined {sha256[:16]} \(broken 1\.0\.0\) at 20\S+: .*1000 ms")
        # By its path alone, as JSON.
        done = subprocess.run([BUILD / "bin" / "exportctl", "--json", "plugin", "quarantine", "list", "--offline", "--state-dir", self.system.state],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(json.loads(done.stdout)["items"][0]["sha256"], sha256, done.stderr)
        for digits, needle in ((sha256[:7], "expected 8 to 64 hexadecimal digits"), ("f" * 8, "no quarantined file begins with ffffffff")):
            status, _, error = self.quarantine("lift", digits)
            self.assertEqual(status, 1)
            self.assertIn(needle, error)
        status, lifted, audit = self.quarantine("lift", sha256[:8])
        self.assertEqual(status, 0, audit)
        self.assertIn(f"lifted {sha256[:16]} (broken 1.0.0)", lifted)
        self.assertRegex(audit, rf"audit method=control\.plugin_quarantine_lift outcome=ok .*target={sha256[:8]} .*uid={os.getuid()}")
        self.assertEqual(self.quarantine("list")[1], "no file is quarantined\n")
        self.system.extra = self.system.extra.replace("probe_timeout_s = 1", "probe_timeout_s = 60")
        self.system.start_daemon()
        shown = self.system.ctl_json("plugin", "show", "broken")
        self.assertEqual(shown["sha256"], sha256)
        history = self.system.ctl_json("plugin", "history", "broken")["items"]
        self.assertEqual([(entry["outcome"], entry["sha256"]) for entry in history],
                         [("committed", sha256), ("quarantine_lifted", sha256), ("refused", sha256)])
        # Now a daemon has the state directory.
        for words in (("list",), ("lift", sha256)):
            status, _, error = self.quarantine(*words)
            self.assertEqual(status, 1)
            self.assertIn("while the daemon runs: leave --offline out", error)
        self.assertEqual(self.quarantine("list", offline=False), (0, "no file is quarantined\n", ""))
        status, _, error = self.quarantine("lift", sha256, offline=False)
        self.assertEqual((status, error), (1, f"exportctl: hash: no quarantined file begins with {sha256}; exportctl plugin quarantine list shows them\n"))

    def test_a_lift_through_the_daemon_lets_a_reload_try_again(self):
        self.system.start_daemon()
        crashing = self.system.install("broken.so", BUILD / "fixtures" / "broken_create_crashes.so")
        sha256 = hashlib.sha256(crashing.read_bytes()).hexdigest()
        load = lambda: self.system.ctl("plugin", "load", crashing, check=False).stderr
        self.assertIn("(probe_crash)", load())
        refused = load()
        self.assertIn("(quarantined)", refused)
        self.assertIn(f"exportctl plugin quarantine lift {sha256[:16]} (with --offline while the daemon is stopped)", refused)
        self.assertIn(sha256[:16], self.quarantine("list", offline=False)[1])
        status, lifted, _ = self.quarantine("lift", sha256[:10], offline=False)
        self.assertEqual(status, 0)
        self.assertIn(f"lifted {sha256[:16]} (broken 1.0.0) at ", lifted)
        self.assertIn("audit method=control.plugin_quarantine_lift outcome=ok", self.system.daemon.text())
        self.assertIn("(probe_crash)", load())

    def test_an_offline_lift_leaves_a_database_of_another_version_alone(self):
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        connection = sqlite3.connect(self.system.state / "plugins.db")
        connection.execute("PRAGMA user_version = 999")
        connection.close()
        status, _, error = self.quarantine("list")
        self.assertEqual(status, 1)
        self.assertIn("found 999; it was written by a newer version of this program", error)
        (self.system.state / "plugins.db").write_bytes(b"x" * 8192)
        self.assertIn("file is not a database", self.quarantine("list")[2])

    def test_a_state_directory_of_everybody(self):
        self.system.state.mkdir()
        for mode in (0o777, 0o770, 0o1777):
            self.system.state.chmod(mode)
            self.refused(str(self.system.state), "group or others may write it", f"chmod go-w {self.system.state}")
        self.system.state.chmod(0o750)
        directories = [self.system.state / name for name in ("run", "tmp", "plugins", "plugins/artifacts", "plugins/live")]
        for directory in (*directories, self.system.exports):
            with self.subTest(directory=directory):
                directory.mkdir()
                directory.chmod(0o777)
                self.refused("group or others may write it", f"chmod go-w {directory}\n")
                directory.chmod(0o750)
        self.system.start_daemon()

    def test_kept_plugin_files_of_version_0_1(self):
        old, now = (self.system.state / "plugins" / name for name in ("artefacts", "artifacts"))
        old.mkdir(parents=True, mode=0o750)
        (old / "kept.so").write_bytes(b"x")
        self.system.start_daemon()
        self.assertFalse(old.exists())
        self.assertTrue((now / "kept.so").exists())

    def test_bad_plugin_files(self):
        good = self.system.plugin
        path = self.system.directory / "plugin.so"
        config = self.config_with(str(good), str(path))
        self.refused("[plugin.download_url]", "nothing at", config=config)
        path.write_bytes(b"")
        self.refused("is empty", config=config)
        whole = good.read_bytes()
        path.write_bytes(whole[:len(whole) // 2])
        self.refused("ends early", config=config)
        path.write_bytes(b"#!/bin/sh\necho hello\n")
        self.refused("ELF magic", config=config)
        shutil.copy(BUILD / "fixtures" / "minimal_c.so", path)
        self.refused("calls itself minimal", config=config)
        shutil.copy(good, path)
        path.chmod(0o777)
        self.refused("writable by group or others", config=config)

    def test_a_store_that_cannot_work_fails_the_start_not_the_first_request(self):
        self.system.secret("secret", "c2VjcmV0\n")
        def store(kind, *lines):
            text = "\n".join(lines).replace("SECRET", f"{self.system.directory}/secret")
            return self.config_with("[plugin.download_url]", f"[store.bucket]\nkind = {kind}\n{text}\n[plugin.download_url]")
        self.refused("[store.bucket]", "endpoint", "not-a-url", config=store(
            "s3", "prefix = s3://merchant/", "region = eu-central-1", "endpoint = not-a-url", "access_key_id = A",
            "secret_access_key_file = SECRET"))
        # What only shows when something is signed.
        self.refused("self_test", "[store.bucket]", "version", config=store(
            "azure", "prefix = az://exports/", "account = acct", "account_key_file = SECRET", "sas_version = 1999-01-01"))

    def test_a_stale_socket_is_replaced(self):
        self.system.start_daemon()
        self.system.daemon.stop(9)
        self.assertTrue((self.system.state / "run" / "data.sock").exists())
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 0)
        self.assertFalse((self.system.state / "run" / "data.sock").exists())


if __name__ == "__main__":
    unittest.main()
