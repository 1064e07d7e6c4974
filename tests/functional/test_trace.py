"""One trace id follows an export: from the request over HTTP through every stage, a restart and a retry, to its notice."""
import json
import re
import secrets
import unittest

from functional.harness import PATIENCE_S, System, need_node, wait_until
from functional.stores import S3
from functional.test_notices import SECRET, Receiver


class TraceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_node("s3rver")
        cls.store = S3()
        cls.addClassCleanup(cls.store.close)

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.receiver = Receiver(200)
        self.addCleanup(self.receiver.close)
        secret = self.system.secret("hook_secret", SECRET + "\n")
        self.system.daemon_keys = self.system.http_keys = "log_format = json\n"
        self.system.extra = ("[export]\nstore = remote\n" + self.store.config(self.system) +
                             f"[webhook.acme]\nurl = {self.receiver.url}\nsecret_file = {secret}\nallow_private = on\n")
        self.trace_id = secrets.token_hex(16)

    def start_daemon(self, faults=None):
        self.system.start_daemon(faults=faults)
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)

    def submit(self, **request):
        self.key = self.system.make_key()
        answer = self.system.api("POST", "/api/products/export-async", self.key, request, traceparent=f"00-{self.trace_id}-{secrets.token_hex(8)}-01")
        self.assertEqual(answer.status, 202, answer.body)
        self.assertEqual(answer.headers["traceparent"].split("-")[1], self.trace_id)
        return answer.json["job_id"]

    def lines(self, process, needle):
        """Of the log, those that name `needle`, as objects."""
        return [json.loads(line) for line in process.text().splitlines() if needle in line and line.startswith("{")]

    def ended(self, job):
        wait_until("the export to end", lambda: self.system.job_when(job, "completed"), PATIENCE_S * 3)
        return wait_until("the notice", lambda: [json.loads(body) for _, _, body in self.receiver.seen if job.encode() in body])[-1]

    def check_stages(self, job, *stages):
        """Every line of the job has the trace id, and there is one of each stage."""
        found = self.lines(self.system.daemon, f"job {job}: ")
        self.assertEqual({line.get("trace_id") for line in found}, {self.trace_id}, found)
        messages = [line["message"].removeprefix(f"job {job}: ") for line in found]
        for stage in stages:
            self.assertTrue(any(re.match(stage, message) for message in messages), f"{stage}: {messages}")

    def test_from_the_request_to_the_notice(self):
        self.system.start_shim()
        self.start_daemon()
        self.system.import_generated(20)
        job = self.submit(format="csv")
        notice = self.ended(job)
        self.assertEqual(notice["job"]["trace_id"], self.trace_id)
        wait_until("the line of the delivery", lambda: f"job {job}: notice" in self.system.daemon.text())
        self.check_stages(job, "submitted$", "attempt 1 with epoch", "stored acme/", "published 20 products", "notice [0-9]+ to the webhook of acme: 200")
        request, = (line for line in self.lines(self.system.shim, self.trace_id) if line["method"] == "POST")
        self.assertEqual(request["target"], "/api/products/export-async")
        self.assertEqual(self.system.api("GET", f"/api/jobs/{job}", self.key).json["trace_id"], self.trace_id)
        events = self.system.api("GET", f"/api/jobs/{job}/events", self.key).json["items"]
        self.assertEqual({event["trace_id"] for event in events}, {self.trace_id})
        self.assertEqual([event["kind"] for event in events][:3], ["submitted", "claimed", "published"])

    def test_a_restart_and_a_retry_go_on_under_the_same_id(self):
        self.system.start_shim()
        self.start_daemon("run.before_completion:kill")
        self.system.import_generated(20)
        job = self.submit(format="csv")
        self.system.wait_for_death()
        self.check_stages(job, "submitted$", "stored acme/")
        self.start_daemon()
        self.assertEqual(self.ended(job)["job"]["trace_id"], self.trace_id)
        self.check_stages(job, "attempt 1 with epoch 2", "stored acme/", "published 20 products")

        self.receiver.seen.clear()
        self.system.ctl("organization", "set", "acme", "--hold")
        again = self.submit(format="csv")
        self.system.ctl("job", "cancel", again)
        self.system.ctl("organization", "set", "acme", "--release")
        self.system.ctl("job", "retry", again)
        wait_until("the retried export", lambda: self.system.job_when(again, "completed"), PATIENCE_S * 3)
        self.check_stages(again, "submitted$", "attempt 1 with epoch", "published 20 products")
        events = self.system.ctl_json("job", "events", again)["items"]
        self.assertIn(("retried", self.trace_id), [(event["kind"], event["trace_id"]) for event in events])

    def test_a_request_without_a_trace_has_none(self):
        self.system.port = 1
        self.system.start_daemon()
        self.system.import_generated(5)
        job = self.system.export()["job_id"]
        self.assertIsNone(self.system.ctl_json("job", "show", job)["trace_id"])
        line, = (line for line in self.lines(self.system.daemon, f"job {job}: ") if line["message"].endswith("submitted"))
        self.assertNotIn("trace_id", line)


if __name__ == "__main__":
    unittest.main()
