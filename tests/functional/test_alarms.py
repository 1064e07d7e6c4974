"""What goes wrong anywhere is an alarm in status, metrics and /readyz: it says since when and what to do, and ends when it is mended."""
import http.server
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import threading
import unittest

from functional.harness import SOURCE, FailingDisk, System, wait_until
from functional.skips import sqlite_only
from functional.identity import SigningKey, jwks


class Peer:
    """Answers everything with `status`; tests change it."""

    def __init__(self, test):
        self.status, self.body = 500, b""
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(peer.status)
                self.send_header("Content-Length", str(len(peer.body)))
                self.end_headers()
                self.wfile.write(peer.body)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class AlarmTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.disk = FailingDisk(self.system.directory)

    def start(self, extra=""):
        self.system.extra = extra
        self.system.start_shim()
        self.system.start_daemon(self.disk.env)
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(self.named(), [])
        # Counters and gauges that alerts look at are there before anything happens.
        self.assertRegex(self.system.ctl("metrics").stdout, r'(?s)\nexport_worker_alarms 0\n.*\nexport_worker_alarm\{name="disk"\} 0\n')

    def named(self):
        return [alarm["name"] for alarm in self.system.ctl_json("status")["alarms"]]

    def at_readyz(self):
        return json.loads(self.system.http("GET", "/readyz").body).get("alarms", [])

    def raised(self, name, subject, cause):
        """The alarm comes, everywhere; it comes back as status shows it."""
        found = wait_until(f"the alarm {name}", lambda: [a for a in self.system.ctl_json("status")["alarms"] if a["name"] == name])
        self.assertEqual(len(found), 1, found)
        self.assertEqual(found[0]["subject"], subject)
        self.assertRegex(found[0]["cause"], cause)
        self.assertTrue(found[0]["remedy"], found)
        self.assertRegex(found[0]["since"], r"^20\d\d-\d\d-\d\dT")
        self.assertRegex(self.system.ctl("metrics").stdout, rf'\nexport_worker_alarm{{name="{name}"}} 1\n')
        wait_until("/readyz to name it", lambda: name in self.at_readyz())
        self.assertRegex(self.system.ctl("status").stdout, rf"\nALARM: {re.escape(' '.join(filter(None, (name, subject))))}: ")
        again, = [a for a in self.system.ctl_json("status")["alarms"] if a["name"] == name]
        self.assertEqual(again["since"], found[0]["since"])
        return found[0]

    def over(self, name):
        wait_until(f"the end of the alarm {name}", lambda: name not in self.named())
        wait_until("/readyz to forget it", lambda: name not in self.at_readyz())
        self.assertRegex(self.system.daemon.text(), rf"alarm {name}[^\n]*: over")

    def test_the_page_explains_every_name(self):
        self.start()
        names = re.findall(r'^export_worker_alarm\{name="([a-z_]+)"\} 0$', self.system.ctl("metrics").stdout, re.M)
        explained = re.findall(r"^\| `(?!name`)([a-z_]+)` \| .* \| .* \|$", (SOURCE / "docs" / "operations.md").read_text().split("\n## Alarms\n")[1].split("\n## ")[0], re.M)
        self.assertEqual(sorted(names), sorted(explained))

    def test_a_refused_configuration(self):
        self.start()
        self.system.daemon_keys = "nonsense = 1\n"
        self.system.config  # noqa: B018 - writes it.
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: "SIGHUP: nothing has changed" in self.system.daemon.text())
        # exportctl reads the same file, so it is good again while the daemon still remembers.
        self.system.daemon_keys = ""
        self.raised("configuration", "", "nonsense")
        self.system.daemon.popen.send_signal(signal.SIGHUP)
        self.over("configuration")

    def test_a_full_disk(self):
        self.start()
        self.disk.breaks(f"statvfs ENOSPC {self.system.state}")
        self.raised("disk", str(self.system.state), "^0 MiB are free, expected [0-9]+ MiB$")
        self.disk.works()
        self.over("disk")

    @sqlite_only
    def test_a_database_that_cannot_be_written(self):
        self.start()
        self.system.import_generated(5)
        self.disk.breaks("pwrite64 EIO *catalog.db-wal", "fdatasync EIO *catalog.db-wal")
        more = self.system.directory / "more.jsonl"
        self.system.ctl("catalog", "generate", "--products", 5, "--seed", 7, "--output", more)
        done = self.system.ctl("catalog", "import", "--organization", "acme", more, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.raised("database", f"{self.system.state}/catalog.db", "catalog.db: ")
        self.disk.works()
        self.system.import_generated(5, seed=2)
        self.over("database")

    def start_with_sessions(self, keys, provider):
        secret = self.system.secret("provider_secret", "hush\n")
        self.system.extra = (f"[auth]\nroles_file = {self.system.sample_roles()}\nissuer = i\naudience = a\njwks_url = {keys.url}/jwks\n"
                             f"session_url = {provider.url}/ask\nsession_user = u\nsession_secret_file = {secret}\n")
        self.system.start_shim()
        self.system.start_daemon()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)

    def test_session_keys_that_cannot_be_fetched(self):
        peer = Peer(self)
        self.start_with_sessions(peer, peer)
        self.raised("session_keys", "", "fetch .*/jwks: expected status 200, found 500")

    def test_a_provider_of_sessions_that_does_not_answer(self):
        keys, provider = Peer(self), Peer(self)
        keys.status, keys.body = 200, jwks(SigningKey(self.system.directory, "one")).encode()
        self.start_with_sessions(keys, provider)
        wait_until("the keys", lambda: self.named() == [])
        for number in range(5):
            self.refused(f"stranger-token-{number:032}")
        self.raised("session_provider", "", "has failed 5 times in a row")
        self.assertRegex(self.system.ctl("metrics").stdout, r"\nexport_worker_session_keys_fetched_timestamp_seconds [1-9]")

    def refused(self, token):
        status = self.system.http("GET", "/api/jobs/none/status", {"Cookie": f"stytch_session={token}"}).status
        self.assertIn(status, (401, 503))
        return True

    def test_a_webhook_that_takes_nothing(self):
        receiver = Peer(self)
        secret = self.system.secret("hook_secret", "a webhook secret of enough bytes\n")
        self.start(f"[webhook.acme]\nurl = {receiver.url}/hook\nsecret_file = {secret}\nallow_private = on\n")
        self.system.import_generated(5)
        for _ in range(3):
            self.system.ctl("export", "submit", "--organization", "acme")
        self.raised("webhook", "acme", "does not take notices, last answer: .*500")
        receiver.status = 200
        self.system.ctl("export", "submit", "--organization", "acme")
        self.over("webhook")

    def test_descriptors_that_run_out(self):
        self.start()
        process = self.system.daemon.popen.pid
        before = resource.prlimit(process, resource.RLIMIT_NOFILE)
        used = len(list(pathlib.Path(f"/proc/{process}/fd").iterdir()))
        resource.prlimit(process, resource.RLIMIT_NOFILE, (used + 3, before[1]))
        self.raised("descriptors", "", f"[0-9]+ of {used + 3} are open; at the limit no connection is accepted")
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
        self.over("descriptors")

    def test_a_store_that_is_not_mounted(self):
        self.start()
        self.system.import_generated(5)
        job = self.system.export()["job_id"]
        key = self.system.make_key()
        link = self.system.mint(job, key).json["download_url"]
        wire = self.system.wire()
        self.addCleanup(wire.close)

        def no_new_link(where):
            answer = self.system.mint(job, key)
            self.assertEqual((answer.status, bool(answer.headers["Retry-After"])), (503, True), where)
            error = wire.call("download_url.get", {"job_id": job}, key)["error"]
            self.assertEqual((error["code"], error["retryable"], error["executed"]), ("unavailable", True, "no"), where)
            self.assertGreater(error["retry_after_ms"], 0)

        away = self.system.exports.rename(self.system.directory / "away")
        self.system.exports.mkdir(mode=0o750)  # As an empty mount point.
        alarm = self.raised("store", "local", "is not where exports were written to, or its volume is not mounted")
        answer = self.system.fetch(link)
        self.assertEqual((answer.status, bool(answer.headers["Retry-After"])), (503, True), "not 410, which is for ever")
        no_new_link("an empty mount point")
        foreign = self.system.exports / ".export-worker-of-another"
        foreign.touch()
        no_new_link("the store of another registry")
        foreign.unlink()
        self.system.exports.rmdir()
        no_new_link("no directory")
        self.system.exports.touch()
        no_new_link("a file instead")
        self.system.exports.unlink()
        self.system.exports.mkdir(mode=0o750)
        waiting = json.loads(self.system.ctl("--json", "export", "submit", "--organization", "acme", "--max-attempts", "1").stdout)["job_id"]
        for words in (["fsck"], ["fsck", "--apply"]):
            done = self.system.ctl(*words, check=False)
            self.assertEqual((done.returncode, "its volume is not mounted; mount it" in done.stderr), (1, True), done)
        self.assertEqual(self.system.daemon.stop(), 0)
        self.system.start_daemon()
        self.raised("store", "local", "is not where exports were written to")
        self.assertEqual(list(self.system.exports.iterdir()), [])
        self.system.exports.rmdir()
        away.rename(self.system.exports)
        self.over("store")
        # It waited through a stop, too, and its one attempt was not used up.
        wait_until("the export that waited", lambda: self.system.ctl_json("job", "show", waiting)["status"] == "completed")
        self.assertEqual(self.system.ctl_json("fsck")["problems"], 0)
        self.assertEqual(self.system.ctl("link", job).returncode, 0)
        self.assertEqual(self.system.fetch(link).status, 200)
        # The operator says that the files are gone for good, as the alarm tells it.
        mark = re.search(r"touch (\S+)$", alarm["cause"])[1]
        shutil.rmtree(self.system.exports)
        self.system.exports.mkdir(mode=0o750)
        self.raised("store", "local", "its volume is not mounted")
        pathlib.Path(mark).touch()
        wait_until("the end of the alarm", lambda: "store" not in self.named())
        self.assertEqual(self.system.fetch(link).status, 410)
        self.assertEqual(self.system.mint(job, key).status, 410)
        self.assertEqual(self.system.ctl_json("fsck", "--apply", "--max-withdrawn", 2)["repaired"], 2)

    def test_exports_that_all_fail(self):
        self.start("[export]\nretry_base_ms = 100\nretry_max_s = 1\n")
        self.system.import_generated(5)
        self.disk.breaks(f"write ENOSPC {self.system.exports}/*")
        self.system.ctl("export", "submit", "--organization", "acme", "--max-attempts", "100")
        alarm = self.raised("exports", "", rf"^the last [0-9]+ attempts have failed, the last one: .*{self.system.exports}.*No space left on device")
        self.assertEqual(alarm["remedy"], "look at the store of [export] and at the disk under state_dir; jobs that are pending are tried again by themselves, "
                                          "failed ones with exportctl job retry")
        self.assertIn(f"ALARM: exports: {alarm['cause']}", self.system.ctl("status").stdout)
        self.disk.works()
        self.over("exports")

    @sqlite_only
    def test_a_log_that_grows(self):
        self.start()
        log = self.system.state / "catalog.db-wal"
        before = log.stat().st_size
        os.truncate(log, 128 << 20)  # SQLite does not look behind the last commit.
        self.raised("database_log", "catalog.db", "its write-ahead log has 128 MiB, expected less than 128 MiB")
        os.truncate(log, before)
        self.over("database_log")


if __name__ == "__main__":
    unittest.main()
