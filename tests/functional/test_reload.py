"""Plugins replaced by operators: the command line, SIGHUP, a watched file, a death in the middle, and who is told what."""
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
import unittest

import msgpack

from functional.harness import BUILD, FULL, SANITIZED, SOURCE, FailingDisk, System, free_port, wait_until

A = BUILD / "plugins" / "download_url.so"
B = BUILD / "fixtures" / "download_url_b.so"
STUCK = "broken_hangs_later.so"


def short_hash(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def broken(name):
    return BUILD / "fixtures" / f"broken_{name}.so"


class AbandonedGenerationTest(unittest.TestCase):  # The first class in the alphabet: its end comes ten seconds later.
    def test_show_names_who_holds_the_old_generation(self):
        system = System()
        system.port = 1
        plugin = system.install("broken.so", BUILD / "fixtures" / STUCK)
        system.extra = f"[plugin.broken]\nfile = {plugin}\n[plugins]\nbake_s = 0\ndrain_s = 3\n"
        system.start_daemon()
        wire = system.wire()
        try:
            for _ in range(400):
                self.assertTrue(wire.call("broken.do", {})["ok"])
            held = wire.call("broken.do", {}, deadline_ms=200)
            self.assertEqual(held["error"]["code"], "deadline_exceeded")
            good = system.install("good.so", BUILD / "fixtures" / "broken_nothing.so")
            done = system.ctl("plugin", "reload", "broken", "--file", good)
            self.assertIn("COMMITTED", done.stdout)
            self.assertRegex(done.stdout, r"(?m)^stuck      1 requests in generation 1; exportctl plugin show broken names them$")
            self.assertTrue(wire.call("broken.do", {})["ok"])
            shown = system.ctl("plugin", "show", "broken").stdout
            self.assertRegex(shown, rf"generation 1 is held by worker \d+: request {held['id']}, for \d+ ms")
            wait_until("the alarm", lambda: "is stuck in request" in system.ctl("status").stdout)
            # It blocks nothing: the next reload goes through.
            other = system.install("other.so", BUILD / "fixtures" / "broken_longer_descriptor.so")
            self.assertIn("COMMITTED", system.ctl("plugin", "reload", "broken", "--file", other).stdout)
            states = [g["state"] for g in system.ctl_json("plugin", "show", "broken")["generations"]]
            self.assertEqual((states[0], states[-1]), ("active", "stuck"))
        finally:
            wire.close()
            system.daemon.popen.send_signal(signal.SIGTERM)
            # The drain waits ten seconds for the stuck request; the other tests need not wait with it.
            unittest.addModuleCleanup(self.check_end, system)

    def check_end(self, system):
        # Leaving a stuck plugin behind has its own exit status.
        self.assertEqual(system.daemon.stop(), 70)
        system.close()


class ReloadTest(unittest.TestCase):
    extra = "[plugins]\nbake_s = 600\n"

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.extra = self.extra
        self.configure()
        self.system.start()

    def configure(self):
        """Before the start."""

    def prepare_job(self):
        self.system.import_generated(20)
        self.key = self.system.make_key()
        self.job = self.system.export()["job_id"]

    def ctl(self, *arguments):
        return self.system.ctl(*arguments, check=False)

    def plugin(self, name="download_url"):
        return self.system.ctl_json("plugin", "show", name)

    def served_by(self):
        response = self.system.mint(self.job, self.key)
        self.assertEqual(response.status, 200, response.body)
        return response.headers["X-Served-By"]


class OperatorTest(ReloadTest):
    def test_a_reload_from_command_to_commit(self):
        self.prepare_job()
        self.assertRegex(self.served_by(), r"^download_url/1\.0\.0; generation=1; build=[0-9a-f]{12}$")
        new = self.system.install("new.so", B)
        dry = self.ctl("plugin", "reload", "download_url", "--file", new, "--dry-run")
        self.assertIn(": a reload would publish it; nothing has changed", dry.stdout)
        self.assertIn("generation=1", self.served_by())
        done = self.ctl("plugin", "reload", "download_url", "--file", new)
        self.assertEqual(done.returncode, 0, done.stderr)
        for stage in ("staging", "inspection", "probe", "loading", "publishing"):
            self.assertRegex(done.stdout, rf"(?m)^{stage} +ok +[0-9.]+ ms")
        self.assertRegex(done.stdout, r"(?m)^swap .* nothing lost$")
        self.assertRegex(done.stdout, r"(?m)^BAKING     download_url 1\.0\.0-b, generation 2, [0-9a-f]{16}; generation 1 stays warm")
        self.assertIn("download_url/1.0.0-b; generation=2", self.served_by())
        self.assertIn("baking", self.ctl("plugin", "list").stdout)
        busy = self.ctl("plugin", "reload", "download_url")
        self.assertEqual(busy.returncode, 1)
        self.assertIn("busy: plugin download_url bakes generation 2", busy.stderr)
        self.assertIn("COMMITTED", self.ctl("plugin", "commit", "download_url").stdout)
        states = lambda: [g["state"] for g in self.plugin()["generations"]]
        wait_until("the old generation to be parked", lambda: states() == ["active", "parked"])
        back = self.ctl("plugin", "rollback", "download_url")
        self.assertIn("COMMITTED  download_url 1.0.0, generation 3", back.stdout, back.stderr)
        self.assertIn("download_url/1.0.0; generation=3", self.served_by())
        history = self.ctl("plugin", "history", "download_url").stdout
        for word in ("start", "operator", "baking", "committed", "would_publish"):
            self.assertIn(word, history)
        unchanged = self.ctl("plugin", "reload", "download_url")
        self.assertIn("UNCHANGED", unchanged.stdout)
        for words, status, told in ((("history", "nope"), 1, "no plugin 'nope'"), (("rollback", "download_url", "--to", ""), 64, "--to: expected")):
            refused = self.ctl("plugin", *words)
            self.assertEqual(refused.returncode, status, refused.stderr)
            self.assertIn(told, refused.stderr)

    def test_every_outcome_names_version_and_hash(self):
        old, new = short_hash(A), short_hash(B)
        file = self.system.install("new.so", B)
        no_plugin = self.system.install("text.so", SOURCE / "LICENSE")
        serving = f"download_url 1.0.0, generation 1, {old} goes on serving"
        self.assertRegex(self.ctl("plugin", "list").stdout, rf"(?m)^download_url +1\.0\.0 .* {old} ")
        for words, stdout, stderr in (
                (("reload", "--file", file, "--dry-run"), f"ACCEPTED   download_url 1.0.0-b, {new}: a reload would publish it", ""),
                (("reload",), f"UNCHANGED  download_url 1.0.0, generation 1, {old}: ", ""),
                (("reload", "--dry-run"), f"UNCHANGED  download_url 1.0.0, generation 1, {old}: ", ""),
                (("commit",), serving, f"REFUSED    download_url 1.0.0, generation 1, {old} at commit (not_baking)"),
                (("rollback",), serving, "REFUSED    download_url at staging (unknown_hash)"),
                (("reload", "--file", no_plugin), serving, f"REFUSED    download_url, {short_hash(no_plugin)} at inspection (not_elf)"),
                (("reload", "--file", no_plugin, "--dry-run"), serving, f"REFUSED    download_url, {short_hash(no_plugin)} at inspection (not_elf)"),
                (("reload", "--file", "/no/such/file.so"), "", "exportctl: open /no/such/file.so: No such file or directory"),
                (("reload", "--file", file), f"BAKING     download_url 1.0.0-b, generation 2, {new}; generation 1 stays warm", ""),
                (("reload",), "", f"busy: plugin download_url bakes generation 2 (1.0.0-b, {new}); wait"),
                (("commit",), f"COMMITTED  download_url 1.0.0-b, generation 2, {new}", ""),
                (("rollback",), f"COMMITTED  download_url 1.0.0, generation 3, {old}", "")):
            done = self.ctl("plugin", words[0], "download_url", *words[1:])
            self.assertIn(stdout, done.stdout, (words, done.stderr))
            self.assertIn(stderr, done.stderr, (words, done.stdout))
        rows = [row for row in self.ctl("plugin", "history", "download_url").stdout.splitlines() if "download_url" in row][::-1]
        named = [re.search(rf"download_url +(\S+) +\S+ +({old}|{new}|{short_hash(no_plugin)}|-) ", row).groups() for row in rows]
        self.assertEqual(named[:4], [("1.0.0", old), ("1.0.0-b", new), ("1.0.0", old), ("-", "-")], rows)  # Start, dry run, commit, rollback.
        self.assertEqual(named[4:6], [("-", short_hash(no_plugin))] * 2, rows)  # No plugin twice.
        self.assertEqual(set(named[6:]), {("1.0.0-b", new), ("1.0.0", old)}, rows)

    def test_an_operator_takes_a_baking_generation_back(self):
        self.prepare_job()
        new = self.system.install("new.so", B)
        self.ctl("plugin", "reload", "download_url", "--file", new)
        self.assertIn("generation=2", self.served_by())
        back = self.ctl("plugin", "rollback", "download_url")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("generation=1", self.served_by())
        # Taken back by hand is no quarantine.
        self.assertIn("BAKING", self.ctl("plugin", "reload", "download_url", "--file", new).stdout)

    def test_a_sighup_during_a_bake_does_not_hold_up_a_rollback(self):
        self.prepare_job()
        new = self.system.install("new.so", B)
        self.ctl("plugin", "reload", "download_url", "--file", new)
        self.assertIn("generation=2", self.served_by())
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        self.system.daemon.wait_for_log("plugin download_url: the reload for SIGHUP waits for the end of the bake")
        back = self.ctl("plugin", "rollback", "download_url")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("generation=1", self.served_by())
        self.assertEqual(self.plugin()["generations"][0]["state"], "active")
        cancelled = [entry for entry in self.system.ctl_json("plugin", "history", "download_url")["items"] if entry["trigger"] == "SIGHUP"]
        self.assertEqual([(entry["outcome"], entry["code"]) for entry in cancelled], [("refused", "superseded")])
        self.assertIn("a later rollback or commit", self.ctl("plugin", "history", "download_url").stdout)

    def test_two_operators_at_once(self):
        self.ctl("plugin", "load", self.system.install("broken.so", broken("nothing")))
        slow = self.system.install("slow.so", broken("slow_create"))
        first = subprocess.Popen([BUILD / "bin" / "exportctl", "--config", self.system.config, "plugin", "reload", "broken", "--file", slow],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # Under way from its first line on, for two more seconds: one in the probe, one here. Asked earlier, the second
        # operator could be the first to be served.
        self.assertIn("staging", first.stdout.readline())
        second = self.ctl("plugin", "reload", "broken", "--file", slow)
        self.assertEqual(second.returncode, 1)
        self.assertRegex(second.stderr, r"busy: plugin broken is being worked on \(report \d+, asked for by operator\)")
        # Another plugin's turn comes after it.
        other = self.ctl("plugin", "reload", "download_url", "--file", self.system.install("new.so", B), "--dry-run")
        self.assertEqual(other.returncode, 0, other.stderr)
        out, err = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, out + err)

    def test_a_slow_create_delays_nobody(self):
        self.prepare_job()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        slow = self.system.install("slow.so", broken("slow_create"))
        loading = subprocess.Popen([BUILD / "bin" / "exportctl", "--config", self.system.config, "plugin", "load", slow],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        longest = 0
        while loading.poll() is None:
            begun = time.monotonic()
            self.assertTrue(wire.call("download_url.get", {"job_id": self.job}, self.key)["ok"])
            longest = max(longest, time.monotonic() - begun)
        self.assertEqual(loading.returncode, 0)
        self.assertLess(longest, 2.0 if SANITIZED else 0.5)  # create() takes a second, twice.

    def test_metrics_and_status_tell_of_reloads(self):
        self.ctl("plugin", "reload", "download_url", "--file", self.system.install("new.so", B))
        self.ctl("plugin", "reload", "download_url", "--file", self.system.install("bad.so", broken("no_note")), "--dry-run")
        text = self.ctl("metrics").stdout
        values = {}
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) (export_worker|process)_\w+ ")
                continue
            match = re.fullmatch(r'((?:export_worker|process)_\w+(?:\{[^}]*\})?) ([0-9.e+-]+)', line)
            self.assertIsNotNone(match, line)
            values[match.group(1)] = float(match.group(2))
        outcomes = sum(v for n, v in values.items() if n.startswith("export_worker_requests_total"))
        self.assertEqual(values["export_worker_requests_accepted_total"], outcomes + values["export_worker_requests_in_flight"])
        self.assertEqual(values['export_worker_plugin_generation{plugin="download_url"}'], 2)
        self.assertEqual(values['export_worker_plugin_images{plugin="download_url",state="warm"}'], 1)
        self.assertEqual(values['export_worker_plugin_reloads_total{outcome="refused_not_our_plugin"}'], 1)
        self.assertTrue(self.system.ctl_json("status")["requests"]["balanced"])


class TrustTest(ReloadTest):
    def refused(self, path):
        done = self.ctl("--json", "plugin", "reload", "download_url", "--file", path)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return json.loads(done.stderr)["error"]["message"]

    def refused_once_sent(self, path, code):
        report = json.loads(self.ctl("--json", "plugin", "reload", "download_url", "--file", path).stdout)
        self.assertEqual((report["outcome"], report["refusal"]["code"]), ("refused", code), report)
        return report["refusal"]["text"]

    def test_links_and_directories_others_may_write(self):
        good = self.system.install("good.so", B)
        link = self.system.directory / "plugins" / "link.so"
        link.symlink_to(good)
        self.assertIn("symbolic link", self.refused(link))
        folder = self.system.directory / "shared"
        folder.mkdir()
        folder.chmod(0o775)
        shutil.copy(B, folder / "p.so")
        self.assertIn("chmod go-w", self.refused(folder / "p.so"))
        good.chmod(0o666)
        self.assertIn("writable by group or others", self.refused(good))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_only_root_and_the_daemons_user_send_code(self):
        """The bytes of a file do not say who could have written them; the kernel says who sends them."""
        program = self.system.directory / "exportctl"
        shutil.copy(BUILD / "bin" / "exportctl", program)
        self.system.directory.chmod(0o755)
        for path in (self.system.state, self.system.state / "run"):
            path.chmod(0o755)
        socket = self.system.state / "run" / "control.sock"
        socket.chmod(0o666)
        self.addCleanup(socket.chmod, 0o600)
        own = self.system.directory / "own"
        own.mkdir()
        shutil.copy(B, own / "p.so")
        for path in (own, own / "p.so"):
            os.chown(path, 65534, 65534)
        words = [program, "--config", self.system.config, "plugin"]
        for more, text in ((["reload", "download_url", "--file", own / "p.so"], "found uid 65534; run exportctl with sudo"),
                           (["load", own / "p.so"], "found uid 65534; run exportctl with sudo")):
            done = subprocess.run([*words, *more], user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, text in done.stderr), (1, True), done.stderr)
        self.assertIn("found one of uid 65534", self.refused(own / "p.so"))

    def test_a_file_that_only_the_caller_sees_is_loaded(self):
        """In a mount namespace of its own, as the daemon under PrivateTmp= has another one."""
        hidden = self.system.directory / "hidden"
        hidden.mkdir()
        script = 'mount -t tmpfs none "$1" && install -m 0755 "$2" "$1/new.so" && shift 2 && exec "$@"'
        words = [BUILD / "bin" / "exportctl", "--config", self.system.config, "--json", "plugin", "reload", "download_url", "--file", hidden / "new.so", "--no-bake"]
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", hidden, B, *words], capture_output=True, text=True, timeout=60)
        if "unshare failed" in done.stderr or "mount:" in done.stderr:
            self.skipTest("no mount namespaces here: " + done.stderr.strip())
        report = json.loads(done.stdout)
        self.assertEqual((done.returncode, report["outcome"], report["file"]), (0, "committed", str(hidden / "new.so")), done.stderr)
        self.assertFalse((hidden / "new.so").exists())
        entry = json.loads(self.ctl("--json", "plugin", "history", "download_url").stdout)["items"][0]
        self.assertEqual((entry["file"], entry["sha256"]), (str(hidden / "new.so"), hashlib.sha256(B.read_bytes()).hexdigest()))
        self.assertEqual(list((self.system.state / "plugins" / "artifacts").glob("*.part")), [])
        # It stands against the configured file, as one that was named by a path did.
        self.assertEqual(self.plugin()["pinned"], "reload --file")
        self.assertIn("COMMITTED", self.ctl("plugin", "reload", "download_url", "--no-bake").stdout)

    def test_a_file_swapped_all_the_time_is_judged_and_loaded_as_one(self):
        """What was hashed is what was judged is what runs, whatever happens to the path."""
        self.prepare_job()
        path = self.system.install("swapped.so", B)
        stopping = threading.Event()
        def swap():
            while not stopping.is_set():
                self.system.install("swapped.so", A)
                self.system.install("swapped.so", B)
                self.system.install("swapped.so", broken("ctor_aborts"))
        swapper = threading.Thread(target=swap)
        swapper.start()
        builds = {}
        loaded = 0
        try:
            # Which of the three it meets is luck: goes on until enough were taken.
            for _ in range(100):
                if loaded >= (8 if FULL else 4) and len(builds) == 2:
                    break
                done = self.ctl("--json", "plugin", "reload", "download_url", "--file", path, "--no-bake")
                report = json.loads(done.stdout)
                if report["outcome"] == "refused":
                    self.assertIn(report["refusal"]["code"], ("wrong_name", "io", "not_elf"))
                    continue
                loaded += 1
                builds[report["sha256"]] = report["build_id"]
                self.assertEqual(self.plugin()["build_id"][:12], self.served_by().split("build=")[1])
        finally:
            stopping.set()
            swapper.join()
        for path in (A, B):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
            self.assertIn(builds.pop(digest), notes)
        self.assertEqual(builds, {})

    def test_an_overwritten_source_file_does_not_touch_what_runs(self):
        self.prepare_job()
        with open(self.system.plugin, "r+b") as source:  # The same inode, other bytes.
            source.truncate(100)
        self.assertIn("generation=1", self.served_by())
        self.assertIn("ends early", self.refused_once_sent(self.system.plugin, "not_elf"))
        self.assertIn("generation=1", self.served_by())


class FullDiskTest(ReloadTest):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.disk = FailingDisk(self.system.directory)
        self.system.port = 1
        self.system.start_daemon(self.disk.env)

    def test_a_full_disk_while_staging_refuses_and_leaves_nothing(self):
        new = self.system.install("new.so", B)
        before = sorted((self.system.state / "plugins").rglob("*.*"))
        self.disk.breaks(f"write ENOSPC {self.system.state}/plugins/*")
        done = self.ctl("plugin", "reload", "download_url", "--file", new)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(sorted((self.system.state / "plugins").rglob("*.*")), before)
        self.disk.works()
        self.assertIn("BAKING", self.ctl("plugin", "reload", "download_url", "--file", new).stdout)


class SignalTest(ReloadTest):
    extra = "[plugins]\nbake_s = 0\n"

    def hup(self):
        before = self.plugin()["generation"]
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        return before

    def test_keys_stores_and_settings_are_read_again(self):
        self.prepare_job()
        self.assertIn("key=k1", self.system.mint(self.job, self.key).json["download_url"])
        old = self.system.keys.read_text()
        self.system.keys.write_text(f"k2 {secrets.token_hex(32)}\n{old}")
        before = self.hup()
        wait_until("the new key to sign", lambda: "key=k2" in self.system.mint(self.job, self.key).json["download_url"])
        # Credentials reach the generation that serves: no new one is needed for them.
        self.assertEqual(self.plugin()["generation"], before)
        # A new store, with its credentials.
        self.system.secret("s3", "s3cret\n")
        self.system.extra += f"""[store.bucket]
kind = s3
prefix = s3://merchant/
region = eu-central-1
access_key_id = AKIA
secret_access_key_file = {self.system.directory}/s3
"""
        worker = self.system.wire()
        self.addCleanup(worker.close)
        job = worker.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        worker.call("jobs.report_progress", {"job_id": job, "mark_completed": True,
                                             "metadata_patch": {"file_url": "s3://merchant/acme/x.csv"}}, self.key)
        self.assertEqual(self.system.mint(job, self.key).status, 409)
        self.system.config  # Writes the file.
        self.hup()
        wait_until("the new store to be signed for", lambda: self.system.mint(job, self.key).status == 200)
        self.assertIn("X-Amz-Signature=", self.system.mint(job, self.key).json["download_url"])

    def test_a_changed_key_file_is_taken_by_itself(self):
        self.prepare_job()
        old = self.system.keys.read_text()
        before = self.system.mint(self.job, self.key).json["download_url"]
        self.system.keys.write_text(f"k2 {secrets.token_hex(32)}\n{old}")
        wait_until("the new key to sign", lambda: "key=k2" in self.system.mint(self.job, self.key).json["download_url"])
        for url in (before, self.system.mint(self.job, self.key).json["download_url"]):
            self.assertEqual(self.system.fetch(url).status, 200)
        self.system.keys.write_text("rubbish\n")
        def told():
            store = self.system.ctl_json("status")["stores"][0]
            return store if store["error"] else None
        store = wait_until("the bad file to be told of", told)
        self.assertTrue(store["usable"])
        self.assertNotIn("rubbish", store["error"])
        self.assertIn("key=k2", self.system.mint(self.job, self.key).json["download_url"])

    def test_nothing_changed_is_nothing_done(self):
        before = self.hup()
        self.system.daemon.wait_for_log("SIGHUP: reading")
        self.system.daemon.wait_for_log(r"plugin download_url: nothing to do \(report \d+, asked for by SIGHUP\)")
        self.assertEqual(self.plugin()["generation"], before)

    def test_a_bad_configuration_changes_nothing(self):
        self.prepare_job()
        self.system.extra += "[store.other]\nkind = local\n"
        self.system.config  # Writes the file.
        before = self.hup()
        self.system.daemon.wait_for_log(r"SIGHUP: nothing has changed: .*\[store.other\]")
        self.assertEqual(self.plugin()["generation"], before)
        self.assertIn("generation=1", self.served_by())

    def test_what_needs_a_restart_is_named(self):
        self.system.extra += "[export]\nworkers = 3\n"
        config = self.system.config
        config.write_text(config.read_text().replace("[daemon]\n", f"[daemon]\nlog_format = json\nmetrics_listen = 127.0.0.1:{free_port()}\n", 1))
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        for what in (r"\[export\] workers", r"\[daemon\] log_format", r"\[daemon\] metrics_listen"):
            self.system.daemon.wait_for_log(what + " has changed; that needs a restart")

    def test_only_the_store_of_exports_waits_for_a_restart(self):
        config = self.system.config
        config.write_text(config.read_text().replace(f"root = {self.system.exports}", f"root = {self.system.exports}-2\nlink_lifetime_s = 60"))
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        self.system.daemon.wait_for_log(r"\[store.local\] root has changed; that needs a restart")
        self.assertNotIn("link_lifetime_s has changed", self.system.daemon.text())

    def test_a_new_plugin_is_loaded(self):
        minimal = self.system.install("minimal.so", BUILD / "fixtures" / "minimal_c.so")
        self.system.extra += f"[plugin.minimal]\nfile = {minimal}\n"
        self.system.config  # Writes the file.
        self.hup()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        wait_until("the new method", lambda: wire.call("minimal.echo", {"a": 1})["ok"])


class WatchTest(ReloadTest):
    extra = "[plugins]\nbake_s = 0\nwatch = on\n"

    def test_a_replaced_file_is_taken_by_itself_and_a_bad_one_is_not(self):
        self.prepare_job()
        self.system.install("download_url.so", B)
        wait_until("the new build to answer", lambda: "1.0.0-b" in self.served_by())
        self.system.install("download_url.so", broken("no_note"))
        wait_until("the refusal", lambda: "not_our_plugin" in json.dumps(self.system.ctl_json("plugin", "history")["items"][0]))
        self.assertIn("1.0.0-b", self.served_by())


class DeathTest(ReloadTest):
    def test_kill_9_while_baking_starts_the_committed_file(self):
        self.prepare_job()
        committed = self.plugin()["sha256"]
        new = self.system.install("new.so", B)
        self.assertIn("BAKING", self.ctl("plugin", "reload", "download_url", "--file", new).stdout)
        self.assertIn("1.0.0-b", self.served_by())
        self.system.daemon.stop(signal.SIGKILL)
        self.system.start_daemon()
        shown = wait_until("the daemon", lambda: self.plugin())
        self.assertEqual(shown["sha256"], committed)
        wait_until("the shim", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertIn("download_url/1.0.0;", self.served_by())
        again = self.ctl("plugin", "reload", "download_url", "--file", new)
        self.assertIn("the daemon died while it was baking", again.stderr)
        self.assertIn("--lift-quarantine", again.stderr)
        lifted = self.ctl("plugin", "reload", "download_url", "--file", new, "--lift-quarantine", "--no-bake")
        self.assertIn("COMMITTED", lifted.stdout, lifted.stderr)
        # Committed, it survives a kill, although the configured file is another one.
        self.system.daemon.stop(signal.SIGKILL)
        self.system.start_daemon()
        wait_until("the shim", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertIn("1.0.0-b", self.served_by())

    def test_kill_9_at_any_moment_of_a_reload_starts_something_committed(self):
        self.prepare_job()
        new = self.system.install("new.so", B)
        for pause_ms in (0, 5, 10, 20, 40, 60, 80, 120) if FULL else (5, 40, 120):
            reload = subprocess.Popen([BUILD / "bin" / "exportctl", "--config", self.system.config, "plugin", "reload", "download_url",
                                       "--file", new, "--no-bake"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause_ms / 1000)  # sleep: the moment is the subject; a condition would choose it
            self.system.daemon.stop(signal.SIGKILL)
            reload.wait(30)
            self.system.start_daemon()
            wait_until("the shim", lambda: self.system.http("GET", "/readyz").status == 200)
            self.assertRegex(self.served_by(), r"download_url/1\.0\.0(-b)?; generation=1")
            self.assertEqual(self.plugin()["sha256"], self.plugin()["committed_sha256"])
            live = list((self.system.state / "plugins" / "live").iterdir())
            self.assertEqual(len(live), 1, live)
            self.ctl("plugin", "rollback", "download_url")


class DaemonOnlyTest(unittest.TestCase):
    """Plugins that behave in the probe and not in the daemon."""

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.port = 1  # No shim here.

    def configure(self, fixture, keys="bake_s = 0"):
        plugin = self.system.install("broken.so", BUILD / "fixtures" / fixture)
        self.system.extra = f"[plugin.broken]\nfile = {plugin}\n[plugins]\n{keys}\n"

    def dies_at_start(self):
        self.system.start_daemon(must_start=False)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGABRT)

    def dies_of_reload(self, path):
        self.system.ctl("plugin", "reload", "broken", "--file", path, check=False)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGABRT)

    def alarms(self):
        """Those about what went wrong; what an operator has pinned is not."""
        return [alarm for alarm in self.system.alarms() if "pinned to" not in alarm]

    def quarantined(self):
        return [q["reason"] for q in self.system.ctl_json("plugin", "history", "broken")["quarantined"]]

    def call(self, method="broken.do", params=None):
        wire = self.system.wire()
        try:
            return wire.call(method, params or {})
        finally:
            wire.close()

    def test_a_start_that_dies_twice_in_a_plugin_goes_on_without_it(self):
        self.configure("daemon_create_crashes.so")
        self.dies_at_start()
        self.dies_at_start()
        self.assertIn("it is tried once more", self.system.daemon.text())
        self.system.start_daemon()
        self.assertEqual(self.quarantined(), ["the daemon died 2 times in a row inside load, create, describe or self_test"])
        self.assertRegex(self.alarms()[0], "^plugin broken: not loaded; unavailable methods: broken.do; .*quarantined")
        away = self.call()["error"]
        self.assertEqual((away["code"], away["retryable"], away["executed"]), ("plugin_unavailable", True, "no"))
        self.assertRegex(away["message"], "^plugin broken is not loaded, so 'broken.do' is unavailable; .*exportctl status")
        self.assertEqual(self.call("broken.other")["error"]["code"], "unknown_method")
        self.assertTrue(self.system.ctl_json("plugin", "show", "download_url")["methods"])
        self.system.install("broken.so", broken("nothing"))
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken").stdout)
        self.assertTrue(self.call()["ok"])
        self.assertEqual(self.alarms(), [])

    def test_a_new_file_that_ends_the_daemon_twice_gives_way_to_the_committed_one(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        committed = self.system.ctl_json("plugin", "show", "broken")["sha256"]
        self.system.daemon.stop()
        self.configure("daemon_create_crashes.so")
        self.dies_at_start()
        self.dies_at_start()
        for _ in range(2):  # The alarm outlives the next start.
            self.system.start_daemon()
            self.assertEqual(self.system.ctl_json("plugin", "show", "broken")["sha256"], committed)
            self.assertIn("instead of the configured file", self.alarms()[0])
            self.assertTrue(self.call()["ok"])
            self.system.daemon.stop()

    def test_a_file_whose_probe_kills_the_daemon_twice_gives_way_to_the_committed_one(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        committed = self.system.ctl_json("plugin", "show", "broken")["sha256"]
        self.system.daemon.stop()
        self.configure("probe_kills_daemon.so")
        for _ in range(2):
            self.system.start_daemon(must_start=False)
            self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.assertIn("died during the probe of", self.system.daemon.text())
        self.system.start_daemon()
        self.assertEqual(self.system.ctl_json("plugin", "show", "broken")["sha256"], committed)
        self.assertRegex(self.alarms()[0], "the daemon died 2 times in a row during its probe")
        self.assertEqual(self.quarantined(), [])
        outcomes = [item["outcome"] for item in self.system.ctl_json("plugin", "history", "broken")["items"]]
        self.assertEqual(outcomes.count("crashed"), 2)

    def test_a_reload_that_ends_the_daemon_twice_is_refused_the_third_time(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        bad = self.system.install("bad.so", BUILD / "fixtures" / "daemon_create_crashes.so")
        self.dies_of_reload(bad)
        self.system.start_daemon()
        self.assertEqual(self.quarantined(), [])  # It may have been an operator's kill -9.
        self.dies_of_reload(bad)
        self.system.start_daemon()
        refused = self.system.ctl("plugin", "reload", "broken", "--file", bad, check=False)
        self.assertIn("times in a row inside load, create", refused.stderr)
        self.assertTrue(self.call()["ok"])

    def test_a_file_that_ends_the_daemon_when_it_is_retired_is_quarantined(self):
        self.configure("daemon_destroy_crashes.so")
        self.system.start_daemon()
        good = self.system.install("good.so", broken("nothing"))
        self.dies_of_reload(good)
        self.system.start_daemon()
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken", "--file", self.system.directory / "plugins" / "broken.so").stdout)
        self.dies_of_reload(good)
        self.system.start_daemon()
        self.assertEqual(self.quarantined(), ["the daemon died 2 times in a row inside quiesce or destroy"])

    def test_a_file_that_ends_the_daemon_at_every_stop_stays_if_there_is_none_before_it(self):
        self.configure("daemon_destroy_crashes.so")
        for _ in range(3):
            self.system.start_daemon()
            self.assertTrue(self.call()["ok"])
            self.assertEqual(self.system.daemon.stop(), -signal.SIGABRT)
        self.system.start_daemon()
        self.assertRegex(self.alarms()[0], "the daemon died 3 times in a row inside quiesce or destroy of [0-9a-f]{16}; there is no committed file")
        self.assertEqual(self.quarantined(), [])
        good = self.system.install("good.so", broken("nothing"))
        self.system.ctl("plugin", "reload", "broken", "--file", good, check=False)
        self.assertEqual(self.system.wait_for_death(), -signal.SIGABRT)
        # Now there is another one.
        self.system.start_daemon()
        self.assertEqual(self.quarantined(), ["the daemon died 4 times in a row inside quiesce or destroy"])
        self.assertTrue(self.call()["ok"])

    def test_a_build_that_answers_otherwise_is_told_of(self):
        self.configure("broken_nothing.so", "bake_s = 600\nbake_shadow = 5")
        self.system.start_daemon()
        for build, different in (("answers_otherwise", 5), ("longer_descriptor", 0)):
            new = self.system.install("new.so", broken(build))
            self.assertIn("BAKING", self.system.ctl("plugin", "reload", "broken", "--file", new).stdout)
            for _ in range(7):
                self.assertTrue(self.call(params={"a": 1})["ok"])
            baking = self.system.ctl_json("plugin", "show", "broken")["generations"][0]
            members = {"broken.do /a": 5} if different else {}
            self.assertEqual(baking["shadow"], {"compared": 5, "different": different, "members": members})
            self.assertEqual(baking["handled"], 7)  # Copies count nowhere.
            said = [alarm for alarm in self.alarms() if "answers 5 of 5 requests otherwise than the one before it" in alarm]
            self.assertEqual(len(said), 1 if different else 0)
            self.system.ctl("plugin", "rollback", "broken")

    def test_nothing_that_comes_by_itself_undoes_a_rollback(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        first = self.system.ctl_json("plugin", "show", "broken")["sha256"]
        self.configure("broken_longer_descriptor.so")
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken").stdout)
        self.assertIn("COMMITTED", self.system.ctl("plugin", "rollback", "broken").stdout)
        # A new setting reaches what was gone back to.
        self.system.extra = self.system.extra.replace("[plugins]", "colour = blue\n[plugins]")
        _ = self.system.config  # Writes it.
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: self.system.ctl_json("plugin", "show", "broken")["generation"] == 4)
        for _ in range(2):
            shown = self.system.ctl_json("plugin", "show", "broken")
            self.assertEqual((shown["sha256"], shown["pinned"]), (first, "rollback"))
            self.assertEqual(self.system.daemon.stop(), 0)
            self.system.start_daemon()
        self.assertRegex("".join(self.system.alarms()), "plugin broken: pinned to [0-9a-f]{16} by rollback")
        self.assertIn("UNPINNED", self.system.ctl("plugin", "unpin", "broken").stdout)
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.start_daemon()
        self.assertNotEqual(self.system.ctl_json("plugin", "show", "broken")["sha256"], first)

    def reloads_another_plugin(self):
        new = self.system.install("new.so", B)
        self.assertRegex(self.system.ctl("plugin", "reload", "download_url", "--file", new).stdout, "COMMITTED|UNCHANGED")

    def test_a_start_gives_a_load_up_that_hangs(self):
        self.configure("daemon_create_hangs.so", "bake_s = 0\nprobe_timeout_s = 2")
        for _ in range(3):  # No death, so nothing is quarantined.
            self.system.start_daemon()
            hangs, away = self.alarms()
            self.assertRegex(hangs, "^plugin broken: load, create, describe or self_test of [0-9a-f]{16} does not return for [0-9]+ s; restart")
            self.assertRegex(away, "^plugin broken: not loaded; unavailable methods: broken.do; .*raise probe_timeout_s")
            self.assertEqual(self.quarantined(), [])
            self.reloads_another_plugin()
            self.assertEqual(self.system.daemon.stop(), 70)

    def test_a_reload_that_hangs_blocks_no_other(self):
        self.configure("broken_nothing.so", "bake_s = 0\nprobe_timeout_s = 2")
        self.system.start_daemon()
        bad = self.system.install("bad.so", BUILD / "fixtures" / "daemon_create_hangs.so")
        refused = self.system.ctl("plugin", "reload", "broken", "--file", bad, check=False)
        self.assertIn("its thread is left behind", refused.stderr)
        self.assertTrue(self.call()["ok"])
        self.reloads_another_plugin()
        self.assertEqual(len(self.alarms()), 1)
        self.assertEqual(self.system.daemon.stop(), 70)

    def test_a_retired_plugin_that_hangs_blocks_no_reload(self):
        self.configure("daemon_destroy_hangs.so", "bake_s = 0\nprobe_timeout_s = 2")
        self.system.start_daemon()
        good = self.system.install("good.so", broken("nothing"))
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken", "--file", good).stdout)
        alarms = wait_until("the alarm", self.alarms)
        self.assertRegex(alarms[0], "quiesce or destroy of [0-9a-f]{16} does not return")
        self.reloads_another_plugin()
        self.assertTrue(self.call()["ok"])
        self.assertEqual(self.system.daemon.stop(), 70)

    def test_a_plugin_that_hangs_at_the_end_does_not_hold_up_the_stop(self):
        self.configure("daemon_destroy_hangs.so")
        self.system.start_daemon()
        self.assertEqual(self.system.daemon.stop(), 70)
        self.assertIn("quiesce or destroy of", self.system.daemon.text())

    def crashes_in_handle(self):
        wire = self.system.wire()
        wire.socket.send(msgpack.packb({"v": 1, "method": "broken.do", "params": {"a": 1}}))
        self.assertEqual(self.system.wait_for_death(), -signal.SIGABRT)
        wire.close()

    def test_two_crashes_in_handle_bring_the_committed_file_before_back(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        good = self.system.ctl_json("plugin", "show", "broken")["sha256"]
        self.configure("daemon_handle_crashes.so")
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken").stdout)
        self.crashes_in_handle()
        self.system.start_daemon()
        self.assertRegex(self.alarms()[0], r"^plugin broken: [0-9a-f]{16} has ended the daemon 1 times within 60 min inside handle\(\); at 2 ")
        self.assertEqual(self.quarantined(), [])
        self.assertTrue(self.call()["ok"])
        self.crashes_in_handle()
        self.system.start_daemon()
        self.assertEqual(self.quarantined(), ["it ended the daemon 2 times within 60 min inside handle()"])
        self.assertEqual(self.system.ctl_json("plugin", "show", "broken")["sha256"], good)
        self.assertIn("instead of the configured file", self.alarms()[0])
        self.assertTrue(self.call(params={"a": 1})["ok"])

    def test_two_crashes_on_a_thread_of_its_own_bring_the_committed_file_before_back(self):
        self.configure("broken_nothing.so")
        self.system.start_daemon()
        good = self.system.ctl_json("plugin", "show", "broken")["sha256"]
        self.configure("daemon_own_thread_aborts.so")
        self.assertIn("COMMITTED", self.system.ctl("plugin", "reload", "broken").stdout)
        self.crashes_in_handle()
        self.system.start_daemon()
        self.assertRegex(self.alarms()[0], r"^plugin broken: [0-9a-f]{16} has ended the daemon 1 times within 60 min in its code outside ")
        self.assertEqual(self.system.ctl_json("plugin", "history", "broken")["items"][-1]["outcome"], "committed")
        self.assertIn("crashed", [item["outcome"] for item in self.system.ctl_json("plugin", "history", "broken")["items"]])
        self.crashes_in_handle()
        self.system.start_daemon()
        self.assertEqual(self.system.ctl_json("plugin", "show", "broken")["sha256"], good)
        self.assertTrue(self.call(params={"a": 1})["ok"])

    def test_a_plugin_that_crashes_in_handle_stays_if_there_is_none_before_it(self):
        self.configure("daemon_handle_crashes.so")
        for _ in range(3):
            self.system.start_daemon()
            self.crashes_in_handle()
        self.system.start_daemon()
        self.assertRegex(self.alarms()[0], "3 times within 60 min .*there is no committed file to go back to")
        self.assertEqual(self.quarantined(), [])
        self.assertTrue(self.call()["ok"])

    def test_kill_9_is_no_crash_of_a_plugin(self):
        self.configure("broken_nothing.so")
        for _ in range(3):
            self.system.start_daemon()
            self.assertTrue(self.call()["ok"])
            self.system.daemon.stop(signal.SIGKILL)
        self.system.start_daemon()
        self.assertEqual((self.alarms(), self.quarantined()), ([], []))


if __name__ == "__main__":
    unittest.main()
