"""Somebody else's workers: they create jobs, report a file_url, and get signed links for it."""
import unittest
import urllib.parse

from functional.harness import SystemTest


class PipelineTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.secret("secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n")
        system.secret("token", "session/token+=\n")
        system.extra = f"""
[store.bucket]
kind = s3
prefix = s3://merchant-exports/
region = eu-central-1
endpoint = http://minio:9000
public_endpoint = https://files.example.com
addressing = path
access_key_id = AKIAIOSFODNN7EXAMPLE
secret_access_key_file = {system.directory}/secret
session_token_file = {system.directory}/token
link_lifetime_s = 120
[store.shared]
kind = s3
prefix = s3://shared/
region = us-east-1
organization_prefix = off
access_key_id = AKIAIOSFODNN7EXAMPLE
secret_access_key_file = {system.directory}/secret
"""

    @classmethod
    def prepare(cls, system):
        cls.key = system.make_key()

    def setUp(self):
        self.wire = self.system.wire()
        self.addCleanup(self.wire.close)

    def finished_job(self, file_url, filename="report.csv"):
        job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 3}, self.key)["result"]["job_id"]
        self.wire.call("jobs.report_progress", {"job_id": job, "mark_started": True, "processed_items": 1, "stage": "writing"}, self.key)
        done = self.wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True, "processed_items": 3,
                                                       "metadata_patch": {"file_url": file_url, "filename": filename}}, self.key)
        self.assertTrue(done["ok"], done)
        self.assertEqual(done["result"]["status"], "completed")
        return job

    def link(self, job):
        return self.wire.call("download_url.get", {"job_id": job}, self.key)

    def test_an_s3_file_gets_a_presigned_url(self):
        result = self.link(self.finished_job("s3://merchant-exports/acme/2024/a b+c.csv", "Bericht €.csv"))["result"]
        url = urllib.parse.urlsplit(result["download_url"])
        query = dict(urllib.parse.parse_qsl(url.query))
        self.assertEqual((url.scheme, url.netloc, url.path), ("https", "files.example.com", "/merchant-exports/acme/2024/a%20b%2Bc.csv"))
        self.assertEqual(result["expires_in_seconds"], 120)
        self.assertEqual(query["X-Amz-Expires"], "120")
        self.assertEqual(query["X-Amz-Security-Token"], "session/token+=")
        self.assertEqual(query["response-content-disposition"], "attachment; filename=\"Bericht _.csv\"; filename*=UTF-8''Bericht%20%E2%82%AC.csv")
        self.assertTrue(query["X-Amz-Credential"].endswith("/eu-central-1/s3/aws4_request"))
        self.assertEqual(self.signature_of(result["download_url"], "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "eu-central-1"), query["X-Amz-Signature"])

    def signature_of(self, url, secret, region):
        """SigV4 from its definition, with nothing but Python's standard library."""
        import hashlib
        import hmac
        parts = urllib.parse.urlsplit(url)
        pairs = [p for p in parts.query.split("&") if not p.startswith("X-Amz-Signature=")]
        canonical = "\n".join(["GET", parts.path, "&".join(sorted(pairs, key=lambda p: p.split("=", 1))), f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
        date = dict(urllib.parse.parse_qsl(parts.query))["X-Amz-Date"]
        scope = f"{date[:8]}/{region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("AWS4" + secret).encode()
        for part in (date[:8], region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def test_a_local_file_of_another_worker_downloads(self):
        (self.system.exports / "acme").mkdir(parents=True, exist_ok=True)
        (self.system.exports / "acme" / "their own.csv").write_text("a,b\r\n")
        job = self.finished_job(f"file://{self.system.exports}/acme/their%20own.csv")
        result = self.link(job)["result"]
        self.assertEqual(self.system.fetch(result["download_url"]).body, b"a,b\r\n")
        (self.system.exports / "acme" / "their own.csv").unlink()
        gone = self.link(job)
        self.assertEqual(gone["error"]["code"], "gone")
        self.assertEqual(self.system.fetch(result["download_url"]).status, 410)
        self.assertEqual(self.system.mint(job, self.key).status, 410)

    def test_the_file_of_an_export_belongs_to_its_job_alone(self):
        self.system.import_generated(3)
        export = self.system.export()
        file_url = export["metadata"]["file_url"]
        for spelling in (file_url, file_url.replace("/acme/", "/%61cme/"), f"s3://shared/acme/{file_url.rsplit('/', 1)[1]}"):
            job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
            for method, params in (("jobs.report_progress", {"job_id": job, "mark_completed": True, "metadata_patch": {"file_url": spelling}}),
                                   ("jobs.create", {"job_type": "export", "total_items": 0, "metadata": {"file_url": spelling}})):
                error = self.wire.call(method, params, self.key)["error"]
                self.assertEqual((error["code"], error["executed"]), ("invalid_argument", "no"), spelling)
                self.assertIn(f"found the one of export {export['job_id']}; ask for links of that job", error["message"])
            self.assertEqual(self.wire.call("jobs.get", {"job_id": job}, self.key)["result"]["status"], "pending")
        self.assertTrue(self.link(export["job_id"])["ok"])

    def test_only_what_a_store_matches_below_the_own_organization_is_signed(self):
        for file_url in ("s3://other-bucket/acme/x.csv", "s3://merchant-exports/umbrella/x.csv", "s3://merchant-exports/acmeX/x.csv",
                         "s3://merchant-exports/acme/../umbrella/x.csv", "file:///etc/passwd", f"file://{self.system.exports}/umbrella/x.csv",
                         f"file://{self.system.exports}/acme/%2e%2e/%2e%2e/link_keys", "https://example.com/x.csv", "nonsense"):
            refused = self.link(self.finished_job(file_url))
            self.assertEqual(refused["error"]["code"], "conflict", file_url)
            self.assertIn("cannot be signed", refused["error"]["message"])
            self.assertNotIn("X-Amz", str(refused))
        self.assertTrue(self.link(self.finished_job("s3://shared/anywhere/x.csv"))["ok"])

    def test_a_completed_job_without_a_file_is_gone(self):
        job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        self.wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True}, self.key)
        self.assertEqual(self.link(job)["error"]["code"], "gone")

    def test_failed_and_cancelled_jobs_say_so(self):
        for field, value, status in (("mark_failed", "boom", "failed"),):
            job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
            self.wire.call("jobs.report_progress", {"job_id": job, field: value}, self.key)
            self.assertIn(status, self.link(job)["error"]["message"])
        job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        self.assertEqual(self.wire.call("jobs.cancel", {"job_id": job}, self.key)["result"]["status"], "cancelled")
        self.assertEqual(self.link(job)["error"]["code"], "conflict")
        late = self.wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True}, self.key)
        self.assertEqual(late["error"]["code"], "conflict")

    def test_another_organization_sees_nothing(self):
        job = self.finished_job("s3://merchant-exports/acme/x.csv")
        other = self.system.make_key("umbrella")
        for method in ("download_url.get", "jobs.get", "jobs.status", "jobs.cancel", "jobs.report_progress"):
            reply = self.wire.call(method, {"job_id": job}, other)
            self.assertEqual(reply["error"]["code"], "not_found", method)
        self.assertEqual(self.wire.call("jobs.list", {}, other)["result"]["total"], 0)

    def test_bad_reports_name_the_field(self):
        job = self.wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        for params, field in (({"mark_compleeted": True}, "unknown field"), ({"processed_items": -1}, "processed_items"),
                              ({"metadata_patch": []}, "metadata_patch"), ({"error": {"message": "x"}}, "entity_key"),
                              ({"mark_completed": True, "mark_failed": "x"}, "mark_completed")):
            reply = self.wire.call("jobs.report_progress", {"job_id": job, **params}, self.key)
            self.assertEqual(reply["error"]["code"], "invalid_argument", params)
            self.assertIn(field, reply["error"]["message"])
        self.assertEqual(self.wire.call("jobs.create", {"job_type": "export"}, self.key)["error"]["code"], "invalid_argument")


if __name__ == "__main__":
    unittest.main()
