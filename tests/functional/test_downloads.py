"""Local links: which store they open, what clients and proxies may make of their spelling, and what the answer says of the file."""
import base64
import hashlib
import os
import re
import unittest
import urllib.parse

from functional.harness import SystemTest, free_port

NAME = "a (1)'s:~*!,;=@$&+ü.csv"
BODY = b"a,b\r\n1,2\r\n"


class DownloadsTest(SystemTest):
    """Two stores share a key file; the other one signs files of every organization."""

    @classmethod
    def configure(cls, system):
        system.port = free_port()
        cls.other = system.directory / "other"
        (cls.other / "acme").mkdir(parents=True)
        (system.exports / "acme").mkdir(parents=True)
        system.extra = f"""
[store.other]
kind = local
root = {cls.other}
base_url = http://127.0.0.1:{system.port}
key_file = {system.keys}
organization_prefix = off
"""

    @classmethod
    def prepare(cls, system):
        cls.key = system.make_key()

    def finished_job(self, root, name, **metadata):
        job = self.system.api("POST", "/api/jobs/", self.key, {"job_type": "export", "total_items": 1}).json["job_id"]
        metadata = {"file_url": f"file://{root}/acme/{urllib.parse.quote(name, safe='/!')}", "filename": "report (été).csv", **metadata}
        done = self.system.api("POST", f"/api/jobs/{job}/progress", self.key,
                               {"mark_started": True, "mark_completed": True, "processed_items": 1, "metadata_patch": metadata})
        self.assertEqual(done.status, 200, done.body)
        return job

    def link(self, root, name, **metadata):
        answer = self.system.mint(self.finished_job(root, name, **metadata), self.key)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["download_url"]

    def test_a_link_opens_only_its_own_store(self):
        (self.system.exports / "acme" / "same.csv").write_bytes(b"ours")
        (self.other / "acme" / "same.csv").write_bytes(b"of the other store")
        ours, theirs = self.link(self.system.exports, "same.csv"), self.link(self.other, "same.csv")
        self.assertEqual(self.system.fetch(ours).body, b"ours")
        self.assertEqual(self.system.fetch(theirs).body, b"of the other store")
        (self.other / "acme" / "same.csv").unlink()
        self.assertEqual(self.system.fetch(theirs).status, 410)
        self.assertIn("store=other", theirs)
        self.assertEqual(self.system.fetch(theirs.replace("store=other", "store=local")).status, 403)

    def test_a_link_is_good_however_its_percent_encoding_is_spelled(self):
        (self.system.exports / "acme" / NAME).write_bytes(BODY)
        link = self.link(self.system.exports, NAME)
        parts = urllib.parse.urlsplit(link)
        def small(text):
            return re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), text)
        for path, query in ((parts.path, parts.query),
                            (small(parts.path), small(parts.query)),
                            # What RFC 3986 lets stand in a path and a query: yarl (aiohttp), mod_proxy without nocanon.
                            (urllib.parse.quote(urllib.parse.unquote(parts.path), safe="/:@!$&'()*+,;=~"), parts.query),
                            (parts.path, parts.query.replace("%28", "(").replace("%29", ")").replace("%20", "+").replace("%2F", "/")),
                            # Everything but letters and digits encoded.
                            (re.sub(r"[~.]", lambda m: f"%{ord(m.group()):02X}", parts.path), parts.query)):
            answer = self.system.http("GET", f"{path}?{query}")
            self.assertEqual((answer.status, answer.body), (200, BODY), (path, query))
        for path, query in ((parts.path.replace("acme/", "acme%2F"), parts.query), (parts.path, f"{parts.query}&store=local"),
                            (parts.path.replace("%281", "%25281"), parts.query)):
            self.assertIn(self.system.http("GET", f"{path}?{query}").status, (400, 403), (path, query))

    def test_no_link_is_minted_that_the_shim_refuses(self):
        for name in ("a\\b.csv", "/".join(["!" * 235] * 3)):
            path = self.system.exports / "acme" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(BODY)
            answer = self.system.mint(self.finished_job(self.system.exports, name), self.key)
            self.assertEqual(answer.status, 409, answer.body)
            self.assertRegex(answer.json["detail"], "backslash|at most 2048 bytes")

    def test_the_answer_says_what_the_job_says_of_its_file(self):
        path = self.system.exports / "acme" / "report"
        path.write_bytes(BODY)
        digest = hashlib.sha256(BODY)
        link = self.link(self.system.exports, "report", content_type="text/tab-separated-values; charset=utf-8", sha256=digest.hexdigest())
        repr_digest = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        for method, headers, status in (("GET", {}, 200), ("HEAD", {"Range": "bytes=2-3"}, 200), ("GET", {"Range": "Bytes=2-3"}, 206)):
            answer = self.system.fetch(link, headers, method)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["Content-Type"], "text/tab-separated-values; charset=utf-8")
            self.assertEqual(answer.headers["Repr-Digest"], repr_digest)
        self.assertEqual(answer.body, BODY[2:4])
        tag = answer.headers["ETag"]
        os.utime(path, (0, 0))
        self.assertEqual(self.system.fetch(link).headers["ETag"], tag)
        # A worker may say anything; what is no content type and no digest is as if it had said nothing.
        for said in ({"content_type": "text/html\r\nSet-Cookie: x", "sha256": "abc"}, {"content_type": {"a": 1}, "sha256": 7}, {}):
            answer = self.system.fetch(self.link(self.system.exports, "report", **said))
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/octet-stream"))
            self.assertIsNone(answer.headers["Repr-Digest"])

    def test_an_export_of_the_daemon_has_its_digest(self):
        self.system.import_generated(20)
        answer = self.system.fetch(self.system.mint(self.system.export()["job_id"], self.key).json["download_url"])
        self.assertEqual(answer.headers["Content-Type"], "text/csv; charset=utf-8")
        self.assertEqual(answer.headers["Repr-Digest"], f"sha-256=:{base64.b64encode(hashlib.sha256(answer.body).digest()).decode()}:")


if __name__ == "__main__":
    unittest.main()
