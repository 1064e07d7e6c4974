"""Backups that exportctl fetches, and restores: with real programs that die, lie and run out of disk."""
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import threading
import unittest

from functional.harness import BUILD, FailingDisk, System, wait_until

NOBODY = 65534
DATABASES = ["auth.db", "catalog.db", "jobs.db", "plugins.db"]
FAULTS_DAEMON = BUILD / "tests" / "bin" / "export-workerd-faults"
# Where a restore may die: (fault, whether the daemon then starts with the backup).
RESTORE_POINTS = [("restore.copied:kill", False), ("restore.staged:kill", True), ("restore.old_moved:kill:1", True), ("restore.new_moved:kill:3", True),
                  ("restore.old_moved:kill:5", True), ("restore.old_kept:kill", True)]


class BackupCase(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.target = self.system.directory / "backup"

    def ctl(self, *words, env=None, **more):
        return subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, *words], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **(env or {})}, **more)

    def begin(self, *words, **env):
        return subprocess.Popen([BUILD / "bin" / "exportctl", "--config", self.system.config, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, **env})

    def refused(self, text, *words, status=1, **more):
        done = self.ctl(*words, **more)
        self.assertEqual((done.returncode, text in done.stderr), (status, True), (words, done.stdout, done.stderr))

    def jobs(self):
        return sorted(job["job_id"] for job in self.system.ctl_json("job", "list", "--limit", "500")["items"])

    def copies(self):
        """What the daemon keeps for backups."""
        return list((self.system.state / "backup").rglob("*.db"))

    def state_files(self):
        return {path: path.stat().st_ino for path in [*self.system.state.glob("*.db*"), self.system.state / "plugins"]}


class BackupTest(BackupCase):
    def test_a_backup_belongs_to_its_caller(self):
        self.addCleanup(os.umask, os.umask(0))
        self.system.start_daemon()
        self.system.import_generated(50)
        self.target.mkdir(mode=0o755)
        told = self.system.ctl_json("backup", self.target)
        manifest = json.loads((self.target / "manifest.json").read_text())
        self.assertEqual(manifest["files"], told["files"])
        names = [file["name"] for file in manifest["files"]]
        self.assertEqual(sorted(names)[:4], DATABASES)
        plugin = hashlib.sha256(self.system.plugin.read_bytes()).hexdigest()
        self.assertEqual(names[4:], [f"plugins/artifacts/{plugin}.so"])
        for file in manifest["files"]:
            content = (self.target / file["name"]).read_bytes()
            self.assertEqual((len(content), hashlib.sha256(content).hexdigest()), (file["bytes"], file["sha256"]))
        for path in (self.target, *self.target.rglob("*")):
            info = path.stat()
            self.assertEqual((info.st_uid, stat.S_IMODE(info.st_mode)), (os.geteuid(), 0o700 if path.is_dir() else 0o600), path)
        self.assertEqual(self.copies(), [])

    def test_nothing_is_overwritten(self):
        self.system.start_daemon()
        self.system.ctl("backup", self.target)
        before = {path: path.stat().st_ino for path in self.target.rglob("*")}
        self.refused("found a backup; name another directory", "backup", self.target)
        for inside in ("", "tmp/x", "restore/new"):
            self.refused("expected a directory outside of a daemon's state_dir", "backup", self.system.state / inside)
        self.refused("Not a directory", "backup", self.system.config / "below")
        self.assertEqual({path: path.stat().st_ino for path in self.target.rglob("*")}, before)
        self.assertEqual(self.copies(), [])
        unfinished = self.system.directory / "unfinished"
        unfinished.mkdir()
        shutil.copy(self.target / "jobs.db", unfinished)
        self.refused(f"found a backup that was cut off; delete it (rm -r {unfinished}) or name another directory", "backup", unfinished)
        (unfinished / "notes.txt").touch()
        self.refused("found one with notes.txt; name another directory", "backup", unfinished)

    def test_a_volume_that_is_not_mounted_is_not_filled_elsewhere(self):
        self.system.start_daemon()
        away = self.system.directory / "volume"
        for target in (away / "monday", f"{away}/monday/", away / "a" / "b"):
            self.refused("; mount its volume, correct the path, or make it first (mkdir -p)", "backup", target)
        self.assertFalse(away.exists())
        away.mkdir()
        self.system.ctl("backup", f"{away}/monday/")
        self.assertTrue((away / "monday" / "manifest.json").exists())

    def test_a_daemon_that_dies_leaves_nothing(self):
        self.system.start_daemon(faults="backup.before_read:kill:2")
        self.refused("nothing was kept in", "backup", self.target, status=69)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.assertFalse(self.target.exists())
        self.assertNotEqual(self.copies(), [])
        self.system.start_daemon()
        self.assertEqual(self.copies(), [])
        self.system.ctl("backup", self.target)

    def test_a_daemon_that_dies_while_it_copies_leaves_nothing(self):
        self.system.start_daemon(faults="backup.before_rename:kill:2")
        self.assertEqual(self.ctl("backup", self.target).returncode, 69)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.assertFalse(self.target.exists())
        self.system.start_daemon()
        self.assertFalse((self.system.state / "backup").exists())

    def test_an_exportctl_that_dies_leaves_nothing_that_looks_complete(self):
        self.system.start_daemon(faults="backup.before_read:pause:3")
        fetching = self.begin("backup", self.target)
        self.system.paused_at("backup.before_read")
        fetching.kill()
        fetching.communicate()
        self.system.let_go("backup.before_read")
        self.assertFalse((self.target / "manifest.json").exists())
        self.refused("expected a new or empty directory", "backup", self.target)
        self.system.ctl("backup", self.system.directory / "other")
        self.assertRegex(self.system.daemon.text(), "backup: its exportctl has ended; its copies are deleted")
        self.assertEqual(self.copies(), [])
        self.assertEqual(self.system.daemon.stop(), 0)
        self.refused("cut off: use another one", "restore", self.target)

    def test_a_backup_right_after_one_that_was_killed(self):
        """The daemon still makes the copies of the first."""
        self.system.start_daemon(faults="backup.before_rename:pause:2")
        killed = self.begin("backup", self.target)
        self.system.paused_at("backup.before_rename")
        killed.kill()
        again = self.begin("backup", self.system.directory / "other")
        self.system.daemon.wait_for_log(r"audit method=control\.backup_begin outcome=conflict")
        self.system.let_go("backup.before_rename")
        _, told = again.communicate(timeout=60)
        self.assertEqual(again.returncode, 0, told)
        killed.communicate()

    def test_one_at_a_time(self):
        self.system.start_daemon(faults="backup.before_read:pause:3")
        fetching = self.begin("backup", self.target)
        self.system.paused_at("backup.before_read")
        waiting = self.begin("backup", self.system.directory / "other")
        self.system.let_go("backup.before_read")
        told = waiting.communicate(timeout=60)[1]
        first = fetching.communicate(timeout=60)[1]
        self.assertEqual((fetching.returncode, first), (0, ""))
        if waiting.returncode != 0:  # Otherwise the first one had ended before.
            self.assertIn("a backup is under way since", told)

    def test_a_limit_of_file_sizes_is_an_error(self):
        self.system.start_daemon()
        self.system.import_generated(500)
        done = self.ctl("backup", self.target, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
        self.assertEqual((done.returncode, "File too large; nothing was kept in" in done.stderr), (1, True), done)
        self.assertFalse(self.target.exists())

    def test_ctrl_c_ends_it_on_both_sides(self):
        self.system.start_daemon(faults="backup.before_read:pause:3")
        fetching = self.begin("backup", self.target)
        self.system.paused_at("backup.before_read")
        fetching.send_signal(signal.SIGINT)
        self.system.let_go("backup.before_read")
        _, told = fetching.communicate(timeout=60)
        self.assertEqual((fetching.returncode, "nothing was kept in" in told), (130, True), told)
        self.assertFalse(self.target.exists())
        self.system.ctl("backup", self.target)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_the_caller_writes_where_the_caller_may(self):
        self.system.start_daemon()
        program = self.system.directory / "exportctl"
        shutil.copy(BUILD / "bin" / "exportctl", program)
        for path in (self.system.directory, self.system.state, self.system.state / "run"):
            path.chmod(0o755)
        (self.system.state / "run" / "control.sock").chmod(0o666)
        own, closed = self.system.directory / "own", self.system.directory / "closed"
        own.mkdir()
        os.chown(own, NOBODY, NOBODY)
        closed.mkdir(mode=0o700)
        for target, text in ((closed / "backup", "Permission denied"), (own / "backup", "")):
            done = subprocess.run([program, "--config", self.system.config, "backup", target], user=NOBODY, group=NOBODY, extra_groups=[],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, text in done.stderr), (1 if text else 0, True), done.stderr)
        self.assertEqual(list(closed.iterdir()), [])
        for path in (own / "backup", *(own / "backup").rglob("*")):
            self.assertEqual(path.stat().st_uid, NOBODY)

    def test_a_full_disk_on_either_side_is_an_error(self):
        disk = FailingDisk(self.system.directory)
        self.system.start_daemon(disk.env)
        disk.breaks(f"write ENOSPC {self.target}/catalog.db")
        self.refused("No space left on device; nothing was kept in", "backup", self.target, env=disk.env)
        disk.breaks(f"write ENOSPC {self.target}/manifest.json*")
        self.refused("No space left on device; nothing was kept in", "backup", self.target, env=disk.env)
        disk.breaks(f"pwrite64 ENOSPC {self.system.state}/backup/*")
        self.refused("nothing was kept in", "backup", self.target)
        disk.breaks(f"statvfs ENOSPC {self.system.state}*")
        self.refused("free space and try again; nothing was kept in", "backup", self.target)
        self.assertFalse(self.target.exists())
        self.assertEqual(self.copies(), [])
        disk.works()
        self.system.ctl("backup", self.target)


class RestoreTest(BackupCase):
    def make_backup(self):
        """A backup with one job, in a daemon that has another one by now; the jobs of both."""
        self.system.start_daemon()
        self.system.import_generated(20)
        self.system.export()
        self.system.ctl("backup", self.target)
        kept = self.jobs()
        self.system.export()
        now = self.jobs()
        self.assertEqual(self.system.daemon.stop(), 0)
        return kept, now

    def test_a_backup_under_load_is_restored_and_its_links_work(self):
        self.system.start()
        self.system.import_generated(500)
        key = self.system.make_key()
        done = self.system.export()
        stopping = threading.Event()

        def load():
            while not stopping.is_set():
                self.system.ctl("export", "submit", "--organization", "acme")
        loader = threading.Thread(target=load)
        loader.start()
        try:
            self.system.ctl("backup", self.target)
            wait_until("exports after the backup", lambda: len(self.jobs()) > 3)
        finally:
            stopping.set()
            loader.join()
        self.refused("stop it first", "restore", self.target, "--force")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.refused("found jobs.db, catalog.db, auth.db, plugins.db, plugins; --force", "restore", self.target)
        restored = self.ctl("restore", self.target, "--force")
        # An export that ran at the time of the backup has left a file that its job does not know.
        self.assertIn(restored.returncode, (0, 65), restored.stderr)
        self.assertIn(f"restored 5 files of {self.target}", restored.stdout)
        self.assertIn("files checked", restored.stdout)
        before = list(self.system.state.glob("before-restore-*"))
        self.assertEqual(len(before), 1)
        self.assertIn(str(before[0]), restored.stdout)
        self.assertEqual(sorted(path.name for path in before[0].glob("*.db")), DATABASES)
        self.assertTrue((before[0] / "plugins" / "artifacts").is_dir())
        self.system.start_daemon()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertNotIn("not stopped in good order", self.system.daemon.text())
        self.assertIn(done["job_id"], self.jobs())
        link = self.system.mint(done["job_id"], key)
        self.assertEqual(link.status, 200, link.body)
        self.assertEqual(self.system.fetch(link.json["download_url"]).status, 200)
        self.assertEqual(self.system.export()["processed_items"], 500)

    def test_the_alarm_of_a_deleted_database_says_how_its_data_is_rescued(self):
        """What the alarm says is done; every piece of the advice is needed."""
        self.system.start_daemon()
        self.system.import_generated(20)
        kept = [self.system.export()["job_id"]]
        key = self.system.make_key()
        for name in ("jobs.db", "auth.db"):
            for path in self.system.state.glob(f"{name}*"):
                path.unlink()
        alarms = wait_until("the alarms", lambda: (lambda found: found if len(found) == 2 else None)(
            [alarm for alarm in self.system.ctl_json("status")["alarms"] if alarm["name"] == "database"]))
        for alarm in alarms:
            self.assertIn("was deleted or replaced while the daemon runs", alarm["cause"])
            self.assertRegex(alarm["remedy"], "exportctl backup DIRECTORY; then stop it, exportctl restore DIRECTORY --force, and start it")
            self.assertNotIn("next write", alarm["remedy"])
        kept.append(self.system.export()["job_id"])
        later = self.system.make_key()
        self.system.ctl("backup", self.target)
        self.assertEqual(self.system.daemon.stop(), 0)
        done = self.ctl("restore", self.target, "--force")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.system.start_daemon()
        self.assertEqual(self.jobs(), sorted(kept))
        wire = self.system.wire()
        self.assertEqual([wire.call("jobs.list", {}, each)["ok"] for each in (key, later)], [True, True])
        wire.close()
        self.assertEqual(self.system.alarms(), [])

    def test_a_new_machine_needs_no_force(self):
        kept, _ = self.make_backup()
        shutil.rmtree(self.system.state)
        self.refused("install -d", "restore", self.target)
        self.system.state.mkdir(mode=0o750)
        latest = self.system.directory / "latest"
        latest.symlink_to(self.target)
        told = json.loads(self.ctl("--json", "restore", latest).stdout)
        self.assertEqual((told["before"], told["fsck"]["problems"], told["state_dir"]), (None, 0, str(self.system.state)))
        self.system.start_daemon()
        self.assertEqual(self.jobs(), kept)

    def test_fsck_tells_what_is_missing(self):
        self.make_backup()
        for path in self.system.files():
            path.unlink()
        done = self.ctl("restore", self.target, "--force")
        self.assertEqual((done.returncode, "missing" in done.stdout, "1 problems" in done.stdout), (65, True, True), done.stdout)

    def test_what_is_no_private_backup_is_refused(self):
        self.make_backup()
        before = self.state_files()
        for path, mode in ((self.target, 0o755), (self.target / "auth.db", 0o640), (self.target / "manifest.json", 0o622), (self.target / "plugins", 0o777)):
            kept = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode)
            self.refused(f"run chmod go= {path}", "restore", self.target, "--force")
            path.chmod(kept)
        moved = self.target / "auth.db.moved"
        (self.target / "auth.db").rename(moved)
        (self.target / "auth.db").symlink_to(moved)
        self.refused("auth.db", "restore", self.target, "--force")
        (self.target / "auth.db").unlink()
        self.refused("names it: use another backup", "restore", self.target, "--force")
        moved.rename(self.target / "auth.db")
        if os.geteuid() == 0:
            os.chown(self.target / "jobs.db", NOBODY, NOBODY)
            self.refused("expected one of root, found one of nobody", "restore", self.target, "--force")
        self.assertEqual(self.state_files(), before)

    def test_what_is_not_as_the_manifest_says_is_refused(self):
        self.make_backup()
        before = self.state_files()
        extra = self.target / "jobs.db-wal"
        extra.touch(mode=0o600)
        self.refused("expected only what manifest.json names, found jobs.db-wal; move it away", "restore", self.target, "--force")
        extra.unlink()
        manifest = self.target / "manifest.json"
        kept = manifest.read_text()
        version = json.loads(kept)["version"]
        for newer in ("9.9.9", f"{version.split('.')[0]}.{int(version.split('.')[1]) + 1}.0", "1"):
            manifest.write_text(kept.replace(f'"version":"{version}"', f'"version":"{newer}"'))
            self.refused(f"expected a backup of version {version} or older, found one of {newer}; install that version first", "restore", self.target, "--force")
        self.assertEqual(self.state_files(), before)
        manifest.write_text(kept.replace(f'"version":"{version}"', f'"version":"{version}.1"'))
        self.assertEqual(self.ctl("restore", self.target, "--force").returncode, 0)

    def test_a_backup_of_another_installation_is_called_so(self):
        self.make_backup()
        shutil.rmtree(self.system.state)
        shutil.rmtree(self.system.exports)
        self.system.start_daemon()  # Another registry, with a store of its own.
        self.assertEqual(self.system.daemon.stop(), 0)
        before = self.state_files()
        self.refused("another installation; use a backup of this one", "restore", self.target, "--force")
        self.assertEqual(self.state_files(), before)
        shutil.rmtree(self.system.state)
        self.system.state.mkdir(mode=0o750)
        self.refused("has the mark of another registry", "restore", self.target)

    def test_damage_is_found_before_anything_changes(self):
        self.make_backup()
        before = self.state_files()
        good = (self.target / "catalog.db").read_bytes()
        for bad, text in ((good[:-1] + bytes([good[-1] ^ 1]), "expected SHA-256"), (good[:-1], f"expected {len(good)} bytes, found {len(good) - 1}")):
            (self.target / "catalog.db").write_bytes(bad)
            self.refused(text, "restore", self.target, "--force")
        (self.target / "catalog.db").write_bytes(good)
        manifest = self.target / "manifest.json"
        kept = manifest.read_text()
        for bad in ("", "{}", kept.replace('"auth.db"', '"../auth.db"'), kept.replace('"format":1', '"format":2')):
            manifest.write_text(bad)
            self.refused("manifest.json: ", "restore", self.target, "--force")
        manifest.unlink()
        self.refused("cut off: use another one", "restore", self.target, "--force")
        self.refused("No such file", "restore", self.target / "nothing", "--force")
        error = json.loads(self.ctl("--json", "restore", self.target, "--force").stderr)["error"]
        self.assertEqual((error["code"], error["status"], "cut off" in error["message"]), ("refused", 1, True), error)
        self.assertEqual(self.state_files(), before)
        self.assertFalse((self.system.state / "restore.part").exists())

    def test_a_full_disk_changes_nothing(self):
        _, now = self.make_backup()
        disk = FailingDisk(self.system.directory)
        disk.breaks(f"write ENOSPC {self.system.state}/restore.part/*")
        self.refused("No space left on device", "restore", self.target, "--force", env=disk.env)
        self.assertFalse((self.system.state / "restore.part").exists())
        self.system.start_daemon()
        self.assertEqual(self.jobs(), now)

    def test_damaged_pages_are_found_before_anything_changes(self):
        """The daemon has copied them as they were."""
        self.make_backup()
        before = self.state_files()
        database = self.target / "jobs.db"
        pages = bytearray(database.read_bytes())
        pages[4096:5 * 4096] = b"\xff" * 4 * 4096
        database.write_bytes(pages)
        manifest = json.loads((self.target / "manifest.json").read_text())
        for file in manifest["files"]:
            if file["name"] == "jobs.db":
                file["sha256"] = hashlib.sha256(pages).hexdigest()
        (self.target / "manifest.json").write_text(json.dumps(manifest))
        self.refused(f"{database}: expected a whole database, found damaged pages", "restore", self.target, "--force")
        self.assertEqual(self.state_files(), before)

    def test_a_store_that_is_not_mounted_is_not_made(self):
        self.make_backup()
        kept = self.system.exports.rename(self.system.directory / "away")
        done = self.ctl("restore", self.target, "--force")
        self.assertEqual((done.returncode, "the state is restored, but fsck failed: open " in done.stderr, "mount it" in done.stderr), (1, True, True), done.stderr)
        self.assertFalse(self.system.exports.exists())
        kept.rename(self.system.exports)
        self.assertEqual(self.ctl("restore", self.target, "--force").returncode, 0)

    def test_a_disk_that_fails_half_way_says_how_to_go_on(self):
        kept, _ = self.make_backup()
        disk = FailingDisk(self.system.directory)
        disk.breaks(f"fsync EIO {self.system.state}/restore/old")
        done = self.ctl("restore", self.target, "--force", env=disk.env)
        self.assertEqual((done.returncode, "the next start of the daemon, or exportctl restore, finishes it" in done.stderr), (1, True), done.stderr)
        self.system.start_daemon()
        self.assertEqual(self.jobs(), kept)

    def test_a_restore_that_dies_leaves_the_old_state_or_the_new_one(self):
        kept, now = self.make_backup()
        for fault, has_backup in RESTORE_POINTS:
            with self.subTest(fault):
                died = self.ctl("restore", self.target, "--force", "--daemon", FAULTS_DAEMON, env={"EXPORT_WORKER_FAULTS": fault})
                self.assertEqual(died.returncode, -signal.SIGKILL, died.stderr)
                self.system.start_daemon()
                self.assertEqual(self.jobs(), kept if has_backup else now)
                for name in ("restore", "restore.part"):
                    self.assertFalse((self.system.state / name).exists())
                self.system.export()
                now = self.jobs()
                self.assertEqual(self.system.daemon.stop(), 0)
        self.assertEqual(len(list(self.system.state.glob("before-restore-*"))), len(RESTORE_POINTS) - 1)

    def test_the_next_restore_finishes_one_that_died(self):
        kept, _ = self.make_backup()
        died = self.ctl("restore", self.target, "--force", "--daemon", FAULTS_DAEMON, env={"EXPORT_WORKER_FAULTS": "restore.new_moved:kill:2"})
        self.assertEqual(died.returncode, -signal.SIGKILL)
        done = self.ctl("restore", self.target, "--force")
        self.assertEqual((done.returncode, "is finished" in done.stderr), (0, True), done.stderr)
        self.assertEqual(len(list(self.system.state.glob("before-restore-*"))), 2)
        self.system.start_daemon()
        self.assertEqual(self.jobs(), kept)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_restores_for_the_user_of_the_state_directory(self):
        self.make_backup()
        self.system.directory.chmod(0o755)
        for path in (self.system.state, *self.system.state.rglob("*"), self.system.exports, *self.system.exports.rglob("*"), self.system.keys):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        done = self.ctl("restore", self.target, "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        for path in (*self.system.state.glob("*.db"), *(self.system.state / "plugins").rglob("*")):
            self.assertEqual((path.stat().st_uid, path.stat().st_mode & 0o077), (NOBODY, 0), path)
        os.chown(self.system.state, 1, 1)
        programs = self.system.directory / "bin"
        programs.mkdir(mode=0o755)
        for name in ("exportctl", "export-workerd"):
            shutil.copy(BUILD / "bin" / name, programs)
        refused = subprocess.run([programs / "exportctl", "--config", self.system.config, "restore", self.target], user=NOBODY, group=NOBODY, extra_groups=[],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual((refused.returncode, "run this as root or as" in refused.stderr), (1, True), refused.stderr)


if __name__ == "__main__":
    unittest.main()
