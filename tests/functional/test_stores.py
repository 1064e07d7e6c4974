"""Exports that go to object stores, links minted over HTTP, files fetched with curl from who verifies the signature."""
import hashlib
import json
import re
import signal
import subprocess
import unittest
import urllib.parse

from functional.harness import BUILD, FULL, PATIENCE_S, SANITIZED, System, need_node, wait_until
from functional.stores import S3, Azure


class StoreTest:
    """The same for every store; the emulator says what differs."""
    emulator_class = None
    modules = ()

    @classmethod
    def setUpClass(cls):
        need_node(*cls.modules)
        cls.emulator = cls.emulator_class()
        cls.addClassCleanup(cls.emulator.close)
        cls.plain = None

    def start(self, export="", **store):
        """A system with these settings; without any it is the same one for all tests of the class."""
        if export or store:
            self.system = self.started(self.addCleanup, export, **store)
        else:
            type(self).plain = self.plain or self.started(self.addClassCleanup)
            self.system = self.plain
        self.key = self.system.make_key()

    def started(self, add_cleanup, export="", **store):
        system = System()
        add_cleanup(system.close)
        system.extra = f"[export]\nstore = remote\n{export}\n{self.emulator.config(system, **store)}"
        return system.start()

    def curl(self, url, *arguments):
        done = subprocess.run(["curl", "-s", "-D", "-", "-o", str(self.system.directory / "download"), "--max-time", "60",
                               *arguments, url], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        status = int(re.match(r"HTTP/1.1 (\d+)", done.stdout).group(1))
        headers = {name.lower(): value.strip() for name, value in re.findall(r"(?m)^([\w-]+): (.*)$", done.stdout)}
        return status, headers, (self.system.directory / "download").read_bytes()

    def mint(self, job):
        response = self.system.mint(job, self.key)
        self.assertEqual(response.status, 200, response.body)
        return response.json

    def export(self, **request):
        job = self.system.submit(self.key, **request)
        ended = wait_until("the export to end", lambda: self.system.job_when(job, "completed", "failed"), PATIENCE_S * 3)
        self.assertEqual(ended["status"], "completed", ended["error_message"])
        return ended

    def key_of(self, job_id):
        """"acme/JOB.EPOCH-CLAIM.csv" of a finished export."""
        file_url = self.system.ctl_json("job", "show", job_id)["metadata"]["file_url"]
        return re.search(rf"acme/{job_id}\.1-[0-9a-f]{{8}}\.csv", file_url).group()

    def check(self, job):
        metadata = self.system.ctl_json("job", "show", job["job_id"])["metadata"]
        link = self.mint(job["job_id"])
        status, headers, body = self.curl(link["download_url"])
        self.assertEqual(status, 200, body[:500])
        self.assertEqual(hashlib.sha256(body).hexdigest(), metadata["sha256"])
        self.assertEqual(len(body), metadata["bytes"])
        return link, headers

    def test_a_small_export_from_upload_to_download(self):
        self.start()
        self.system.import_generated(50)
        job = self.export(format="csv", filename="products of today.csv")
        link, headers = self.check(job)
        self.assertEqual(link["filename"], "products of today.csv")
        self.assertEqual(headers["content-disposition"], 'attachment; filename="products of today.csv"')
        self.assertIn("text/csv", headers["content-type"])
        self.assertIn(self.key_of(job["job_id"]), " ".join(self.emulator.objects()))

    def test_a_name_in_any_script_arrives(self):
        self.start()
        self.system.import_generated(5)
        link, headers = self.check(self.export(format="csv", filename="Prix (été) – 50% «A»'s!*.csv"))
        self.assertEqual(link["filename"], "Prix (été) – 50% «A»'s!*.csv")
        self.assertIn("filename*=UTF-8''Prix%20%28%C3%A9t%C3%A9%29%20%E2%80%93%2050%25%20%C2%ABA%C2%BB%27s!%2A.csv",
                      headers["content-disposition"])

    def import_large(self, mebibytes):
        """Few products with much text: large files without long imports."""
        path = self.system.directory / "large.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for number in range(mebibytes * 32):
                text = hashlib.sha256(str(number).encode()).hexdigest() * 512  # 32 KiB
                file.write(json.dumps({"key": f"sku-{number:06}", "productType": "book", "properties": {"description": text}}) + "\n")
        self.system.ctl("catalog", "import", "--organization", "acme", path)

    # What follows the organization in the object's key; a browser can fetch each.
    strange = ("a b.csv", "a+b.csv", "50%.csv", "a%2Fb.csv", "q?x#y&z=1.csv", "x//y.csv", "caf\u00e9.csv", "cafe\u0301.csv", "\U0001f7e2.csv",
               "~!*'();:@$,[].csv", "..a/b...csv")

    def test_strange_keys_are_exact(self):
        self.start()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        for number, name in enumerate(n for n in self.strange if n not in self.emulator.cannot):
            data = f"file number {number}\n"
            key = f"{self.emulator.key_prefix}acme/{name}"
            signed = subprocess.run([BUILD / "bin" / "exportctl", "sign"], input=json.dumps(self.emulator.put_request(key)) + "\n",
                                    capture_output=True, text=True)
            put = self.curl(json.loads(signed.stdout)["url"], "-X", "PUT", *self.emulator.put_headers, "--data-binary", data)
            self.assertEqual(put[0] // 100, 2, (key, put))
            for file_url in (self.emulator.raw_url + key, self.emulator.web_url + urllib.parse.quote(key)):
                job = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
                wire.call("jobs.report_progress", {"job_id": job, "mark_completed": True, "metadata_patch": {"file_url": file_url}}, self.key)
                status, _, body = self.curl(self.mint(job)["download_url"])
                self.assertEqual((status, body.decode()), (200, data), file_url)

    def test_a_large_export_goes_up_in_parts(self):
        self.start(part_mib=5)
        self.import_large(16)
        job = self.export(format="jsonl")
        metadata = self.system.ctl_json("job", "show", job["job_id"])["metadata"]
        self.assertGreater(metadata["bytes"], 15 * 1024 * 1024)  # At least four parts.
        self.check(job)

    def test_a_link_that_was_touched_is_refused(self):
        self.start()
        self.system.import_generated(5)
        url = self.mint(self.export(format="csv")["job_id"])["download_url"]
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qsl(parts.query)
        signature = next(i for i, (name, _) in enumerate(query) if name in ("X-Amz-Signature", "sig"))
        for index, (name, value) in enumerate(query):
            touched = list(query)
            flipped = ("A" if value[0] != "A" else "B") + value[1:]
            touched[index] = (name, flipped)
            status, _, body = self.curl(parts._replace(query=urllib.parse.urlencode(touched, quote_via=urllib.parse.quote)).geturl())
            self.assertIn(status, (400, 403), (name, body[:300]))
        touched = [pair for i, pair in enumerate(query) if i != signature]
        status, _, _ = self.curl(parts._replace(query=urllib.parse.urlencode(touched, quote_via=urllib.parse.quote)).geturl())
        self.assertIn(status, (400, 403, 404))
        other_file = parts._replace(path=re.sub(r"\.1-", ".2-", parts.path)).geturl()
        self.assertIn(self.curl(other_file)[0], (403, 404))

    def test_a_link_ends_when_it_says(self):
        self.start(link_lifetime_s=2)
        self.system.import_generated(5)
        link = self.mint(self.export(format="csv")["job_id"])
        self.assertEqual(link["expires_in_seconds"], 2)
        self.assertEqual(self.curl(link["download_url"])[0], 200)
        wait_until("the link to end", lambda: self.curl(link["download_url"])[0] in (400, 401, 403))

    def test_a_window_gives_the_same_link_again(self):
        self.start(link_window_s=3600)
        self.system.import_generated(5)
        job = self.export(format="csv")["job_id"]
        first, second = self.mint(job), self.mint(job)
        if first["download_url"] != second["download_url"]:  # The hour has just turned: it does so once.
            first, second = second, self.mint(job)
        self.assertEqual(first["download_url"], second["download_url"])
        self.assertGreaterEqual(second["expires_in_seconds"], 900)
        self.assertEqual(self.curl(first["download_url"])[0], 200)

    def test_explain_shows_what_was_signed_and_only_to_operators(self):
        self.start()
        self.system.import_generated(5)
        job = self.export(format="csv")["job_id"]
        explained = self.system.ctl_json("link", job, "--explain")
        self.assertEqual(self.curl(explained["download_url"])[0], 200)
        self.assertEqual(explained["explanation"]["store"], "remote")
        self.assertIn(self.key_of(job), explained["explanation"]["string_to_sign"] + explained["explanation"]["canonical_request"])
        for_people = self.system.ctl("link", job, "--explain").stdout
        self.assertIn("string_to_sign:\n", for_people)
        wire = self.system.wire()
        self.addCleanup(wire.close)
        self.assertEqual(wire.call("download_url.explain", {"job_id": job}, self.key)["error"]["code"], "permission_denied")

    def memory_kib(self, name):
        with open(f"/proc/{self.system.daemon.popen.pid}/status") as file:
            return int(re.search(rf"{name}:\s+(\d+) kB", file.read()).group(1))

    def test_kill_9_in_the_middle_of_an_upload_leaves_one_file(self):
        self.start(part_mib=5)
        self.import_large(64 if FULL else 24)
        before = self.emulator.received()
        job = self.system.submit(self.key, format="jsonl")
        wait_until("the upload to be under way", lambda: self.emulator.received() > before)
        # The store stands still with some of the parts, and the daemon dies waiting for it.
        self.emulator.process.popen.send_signal(signal.SIGSTOP)
        self.system.daemon.stop(signal.SIGKILL)
        self.emulator.process.popen.send_signal(signal.SIGCONT)
        self.assertEqual([o for o in self.emulator.objects() if job in o], [])
        self.system.start_daemon()
        idle_kib = self.memory_kib("VmRSS")
        wait_until("the shim to see it again", lambda: self.system.http("GET", "/readyz").status == 200)
        wait_until("the job to be done", lambda: self.system.job_when(job, "completed"), PATIENCE_S * 3)
        self.check({"job_id": job})
        self.assertEqual(len([o for o in self.emulator.objects() if job in o]), 1)
        self.assertIn("a process that died", self.system.daemon.text())
        if not SANITIZED:  # All of it went through, two buffers of a part and the catalog's cache at a time.
            self.assertLess(self.memory_kib("VmHWM") - idle_kib, 64 * 1024)

    def test_a_store_that_is_away_fails_the_attempt_and_not_the_daemon(self):
        self.start(export="retry_base_ms = 500")
        self.system.import_generated(5)
        self.system.secret("s3_secret", "wrong\n")
        self.system.secret("azure_key", "d3Jvbmc=\n")
        wait_until("the wrong key to be taken", lambda: "new credentials" in self.system.daemon.text())
        job = self.system.submit(self.key, format="csv", max_attempts=3 if FULL else 2)
        failed = wait_until("the job to fail", lambda: self.system.job_when(job, "failed"), PATIENCE_S * 2)
        self.assertRegex(failed["error_message"], r"40[13]")
        self.assertNotIn("ignature=", failed["error_message"])


class S3Test(StoreTest, unittest.TestCase):
    emulator_class = S3
    modules = ("s3rver", "@smithy/signature-v4")

    def test_the_sweep_deletes_orphans_and_nothing_else(self):
        self.start(export="sweep_interval_s = 1\norphan_grace_s = 1\n")
        self.system.import_generated(5)
        job = self.export(format="csv")["job_id"]
        orphan, stranger = f"exports/acme/{job}.7.csv", "exports/acme/somebody-elses.1.csv"
        self.emulator.put_beside(orphan, b"late")
        self.emulator.put_beside(stranger, b"mine")
        wait_until("the orphan to be swept", lambda: orphan not in self.emulator.objects())
        self.assertIn(stranger, self.emulator.objects())
        self.assertIn(f"exports/{self.key_of(job)}", self.emulator.objects())

    def test_other_spellings_of_a_location_are_the_same_object(self):
        self.start()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        def link_to(file_url):
            made = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
            wire.call("jobs.report_progress", {"job_id": made, "mark_completed": True, "metadata_patch": {"file_url": file_url}}, self.key)
            return self.system.mint(made, self.key)
        key = "exports/acme/of-a-worker.csv"
        self.emulator.put_beside(key, b"a worker's own\n")
        for spelling in (f"s3://{S3.bucket}/{key}", f"http://127.0.0.1:{self.emulator.port}/{S3.bucket}/{key}",
                         f"http://127.0.0.1:{self.emulator.port}/{S3.bucket}/{key.replace('exports', '%65xports')}"):
            response = link_to(spelling)
            self.assertEqual(response.status, 200, (spelling, response.body))
            self.assertEqual(self.curl(response.json["download_url"])[0], 200)
        for refused in (f"s3://{S3.bucket}/exports/other/x.csv", f"s3://{S3.bucket}/{key}/../x", f"s3://elsewhere/{key}",
                        f"http://127.0.0.1:{self.emulator.port}/{S3.bucket}/{key}?versionId=1"):
            response = link_to(refused)
            self.assertEqual(response.status, 409, (refused, response.body))
            self.assertIn("cannot be signed", response.json["detail"])


class AzureTest(StoreTest, unittest.TestCase):
    emulator_class = Azure
    modules = ("azurite",)


if __name__ == "__main__":
    unittest.main()
