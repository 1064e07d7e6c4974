"""Temporary credentials end to end: links that end with them and say so, renewal, and what is never shown."""
import datetime
import http.server
import json
import threading
import time
import unittest

from functional.harness import System, wait_until

SECRET = "sEcReT/of+the=store"
TOKEN = "tOkEn/of+the=session"


class Hands:
    """Hands out credentials as a container's service does; tests set how long they live and whether it answers."""

    def __init__(self):
        self.lifetime_s, self.number, self.status, self.asked = 3600, 0, 200, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                end = datetime.datetime.fromtimestamp(time.time() + outer.lifetime_s, datetime.timezone.utc)
                body = json.dumps({"AccessKeyId": f"AKIA{outer.number}", "SecretAccessKey": SECRET, "Token": TOKEN,
                                   "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode() if outer.status == 200 else b""
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/credentials"


class TemporaryCredentialsTest(unittest.TestCase):
    def setUp(self):
        self.hands = Hands()
        self.addCleanup(self.hands.server.shutdown)
        self.system = System()
        self.addCleanup(self.system.close)

    def start(self, **keys):
        self.system.extra = """[store.bucket]
kind = s3
prefix = s3://merchant-exports/
region = eu-central-1
credentials = container
""" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        self.system.start_shim()
        self.system.start_daemon({"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.hands.url})
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.key = self.system.make_key()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        self.job = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        wire.call("jobs.report_progress", {"job_id": self.job, "mark_completed": True,
                                           "metadata_patch": {"file_url": "s3://merchant-exports/acme/x.csv"}}, self.key)

    def mint(self):
        return self.system.mint(self.job, self.key)

    def store(self):
        return next(s for s in self.system.ctl_json("status")["stores"] if s["name"] == "bucket")

    def test_a_link_ends_with_its_credentials_and_says_so(self):
        self.hands.lifetime_s = 600
        self.start(link_lifetime_s=3600)
        link = self.mint().json
        self.assertLessEqual(link["expires_in_seconds"], 600)
        self.assertGreater(link["expires_in_seconds"], 500)
        self.assertIn(f"X-Amz-Expires={link['expires_in_seconds']}&", link["download_url"])
        self.assertIn("X-Amz-Security-Token=", link["download_url"])

    def test_refuse_gives_no_link_that_would_end_early(self):
        self.hands.lifetime_s = 600
        self.start(link_lifetime_s=3600, expiry_policy="refuse")
        response = self.mint()
        self.assertEqual(response.status, 503)
        self.assertIn("Retry-After", response.headers)
        self.hands.lifetime_s = 7200
        self.system.daemon.popen.send_signal(1)  # SIGHUP: ask again now.
        wait_until("a whole link", lambda: self.mint().status == 200)
        self.assertEqual(self.mint().json["expires_in_seconds"], 3600)

    def test_refresh_first_renews_so_that_links_live_whole(self):
        self.hands.lifetime_s = 600
        self.start(link_lifetime_s=3600, expiry_policy="refresh-first")
        self.hands.lifetime_s, self.hands.number = 50_000, 1
        wait_until("the renewal", lambda: "AKIA1" in self.mint().json["download_url"])
        self.assertEqual(self.mint().json["expires_in_seconds"], 3600)

    def test_nobody_there_is_503_until_somebody_is(self):
        self.hands.status = 500
        self.start()
        self.assertEqual(self.mint().status, 503)
        self.assertFalse(self.store()["usable"])
        self.assertIn("500", self.store()["error"])
        self.assertIn('export_worker_store_credentials_usable{store="bucket"} 0', self.system.ctl("metrics").stdout)
        self.hands.status = 200
        wait_until("credentials", lambda: self.mint().status == 200)
        self.assertTrue(self.store()["usable"])

    def test_what_serves_goes_on_while_renewing_fails(self):
        self.hands.lifetime_s = 200  # Less than it is renewed ahead of.
        self.start()
        self.hands.status = 500
        before = self.hands.asked
        wait_until("a failed renewal", lambda: self.store()["error"])
        self.assertGreater(self.hands.asked, before)
        self.assertEqual(self.mint().status, 200)
        self.assertTrue(self.store()["usable"])

    def test_secrets_are_nowhere_to_be_seen(self):
        self.start()
        self.mint()
        self.system.ctl("link", self.job)
        self.hands.status = 500
        self.system.daemon.popen.send_signal(1)
        self.system.daemon.wait_for_log("nothing has changed")
        pid = self.system.daemon.popen.pid
        with open(f"/proc/{pid}/cmdline") as file:
            command_line = file.read()
        for text in (self.system.daemon.text(), self.system.shim.text(), self.system.ctl("status").stdout,
                     json.dumps(self.system.ctl_json("status")), self.system.ctl("metrics").stdout, command_line,
                     json.dumps(self.system.ctl_json("job", "show", self.job))):
            for secret in (SECRET, TOKEN, "X-Amz-Signature", "tOkEn%2Fof"):
                self.assertNotIn(secret, text)
        # And a crash writes no memory to disk.
        for process in (self.system.daemon, self.system.shim):
            with open(f"/proc/{process.popen.pid}/limits") as file:
                self.assertRegex(file.read(), r"Max core file size\s+0\s+0 ")


if __name__ == "__main__":
    unittest.main()
