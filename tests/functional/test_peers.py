"""exportctl sign beside the providers' own SDKs, byte for byte, on a few hundred random keys and names with a frozen clock."""
import json
import os
import random
import subprocess
import unittest
import urllib.parse

from functional.harness import BUILD, NODE_MODULES, SOURCE, need_node

AT = "2032-05-24T10:11:12Z"  # In the future: one SDK refuses to sign for the past.
COUNT = 250


def make_key(kind):
    done = subprocess.run(["openssl", "genpkey", *kind], capture_output=True, text=True, check=True)
    return done.stdout


class PeersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_node("@aws-sdk/client-s3", "@aws-sdk/s3-request-presigner", "@google-cloud/storage", "@azure/storage-blob",
                  "@aws-sdk/cloudfront-signer")
        cls.rsa = make_key(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        cls.random = random.Random(20261124)

    def run_lines(self, command, lines):
        done = subprocess.run(command, input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True,
                              timeout=300, env={**os.environ, "NODE_PATH": str(NODE_MODULES)})
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), len(lines), done.stderr[-2000:])
        return answers

    def sign(self, lines):
        return self.run_lines([str(BUILD / "bin" / "exportctl"), "sign"], lines)

    def ask_peer(self, lines):
        return self.run_lines(["node", str(SOURCE / "tests/node/sign_peers.js")], lines)

    # --- material ---
    def text(self, least=1, most=20, alphabet=None):
        alphabet = alphabet or ("abcXYZ019" "-._~" " !\"$&'()*+,:;<=>@[]^`{|}%?#" "äé€ñ中文字🟢é")
        return "".join(self.random.choice(alphabet) for _ in range(self.random.randint(least, most)))

    def key(self):
        """Any key a browser can fetch: no '.' or '..' segment, no slash in front (two SDKs drop it)."""
        while True:
            key = "/".join(self.text(1, 12) for _ in range(self.random.randint(1, 4)))
            if not any(segment in (".", "..") for segment in key.split("/")):
                return key

    def disposition(self):
        name = self.text(1, 15).replace('"', "_")
        return f"attachment; filename=\"{name.encode('ascii', 'replace').decode().replace('%', '_')}\"; filename*=UTF-8''{urllib.parse.quote(name, safe='')}"

    @staticmethod
    def parts(url):
        """What must be the same: everything but the order of the parameters, which every server ignores."""
        base, _, query = url.partition("?")
        return base, sorted(query.split("&"))

    def same(self, line, ours, peers, message=""):
        self.assertIn("url", peers, (line, peers))
        self.assertIn("url", ours, (line, ours))
        self.assertEqual(self.parts(ours["url"]), self.parts(peers["url"]), (line, message))

    def test_s3_presigner(self):
        lines = []
        for index in range(COUNT):
            query = {"response-content-disposition": self.disposition()} if index % 2 else {}
            if index % 5 == 0:
                query["versionId"] = self.text(1, 10)
            if index % 7 == 0:
                query["response-content-type"] = "text/csv; charset=utf-8"
            lines.append({"provider": "s3", "method": "HEAD" if index % 11 == 0 else "GET", "bucket": "merchant-exports", "key": self.key(),
                          "region": self.random.choice(["us-east-1", "eu-central-1", "ap-southeast-4"]),
                          "endpoint": self.random.choice([None, "https://files.example.com:9000", "http://minio:9000"]),
                          "addressing": self.random.choice(["virtual", "path"]), "access_key_id": "AKIA" + self.text(1, 8, "ABC+/="),
                          "secret_access_key": self.text(10, 30), "session_token": self.random.choice([None, self.text(20, 60, "abc+/=")]),
                          "at": AT, "expires_in": self.random.randint(1, 604800), "query": query})
        peers = self.ask_peer(lines)
        for line, answer in zip(lines, peers):
            # What the SDK adds of its own accord is signed like any other parameter; nobody needs it.
            added = dict(urllib.parse.parse_qsl(answer["url"].partition("?")[2]))
            for name in ("X-Amz-Content-Sha256", "x-amz-checksum-mode", "x-id"):
                if name in added:
                    line["query"][name] = added[name]
        for line, ours, theirs in zip(lines, self.sign(lines), peers):
            self.same(line, ours, theirs)

    def test_google_cloud_storage(self):
        lines = []
        for index in range(COUNT):
            style = self.random.choice(["path", "virtual", "bucket_bound"])
            lines.append({"provider": "gcs", "method": "PUT" if index % 9 == 0 else "GET", "bucket": "merchant-exports", "object": self.key(), "style": style,
                          "scheme": "https", "bucket_bound_hostname": "files.example.com" if style == "bucket_bound" else None,
                          "client_email": "robot@project.iam.gserviceaccount.com", "private_key_pem": self.rsa, "at": AT,
                          "expires_in": self.random.randint(1, 604800),
                          "headers": {"X-Goog-Meta-Note": "  two   words "} if index % 4 == 0 else {},
                          "query": {"response-content-disposition": self.disposition(), "generation": "12"} if index % 2 else {}})
        for line, ours, theirs in zip(lines, self.sign(lines), self.ask_peer(lines)):
            self.same(line, ours, theirs)

    def test_azure_storage_blob(self):
        lines = []
        for index in range(COUNT):
            delegated = index % 3 == 0
            snapshot = "2026-01-01T00:00:00.0000000Z" if index % 10 == 1 else None
            overrides = {"content_disposition": self.disposition(), "content_type": "text/csv", "cache_control": self.text(1, 9)} if index % 2 else {}
            lines.append({"provider": "azure", "account": "merchantexports", "account_key": "c2VjcmV0LWtleQ==", "endpoint": "https://merchantexports.blob.core.windows.net",
                          "container": "exports", "blob": self.key(), "version": self.random.choice(
                              ["2020-12-06", "2022-11-02", "2025-05-05"] + (["2018-11-09", "2020-02-10"] if not delegated else [])),
                          "resource": "bs" if snapshot else "b", "permissions": self.random.choice(["r", "racwd"]), "snapshot": snapshot,
                          "start": "2026-01-01T00:00:00Z" if index % 4 == 0 else None, "expiry": AT, "ip": self.random.choice([None, "192.0.2.1", "192.0.2.1-192.0.2.9"]),
                          "protocol": self.random.choice([None, "https", "https,http"]), "overrides": overrides,
                          "correlation_id": "c0ffee00-0000-4000-8000-000000000000" if delegated and index % 2 else None,
                          "user_delegation_key": {"signed_oid": "oid", "signed_tid": "tid", "signed_start": "2026-01-01T00:00:00Z",
                                                  "signed_expiry": "2032-06-01T00:00:00Z", "signed_service": "b", "signed_version": "2022-11-02",
                                                  "value": "ZGVsZWdhdGlvbi1rZXk="} if delegated else None})
        for line, ours, theirs in zip(lines, self.sign(lines), self.ask_peer(lines)):
            self.assertIn("url", theirs, (line, theirs))
            # The library leaves ! ' ( ) * bare in the URL; what is signed is the decoded text, so the decoded pairs must agree.
            def decoded(url):
                base, _, query = url.partition("?")
                return urllib.parse.unquote(base), sorted(urllib.parse.unquote(pair) for pair in query.split("&"))
            mine, its = decoded(ours["url"]), decoded(theirs["url"])
            if line["snapshot"]:  # Which one it is stands in the URL beside the token; the library leaves that to its caller.
                mine[1].remove(f"snapshot={line['snapshot']}")
            self.assertEqual(mine, its, line)

    def test_cloudfront_signer(self):
        lines = []
        for index in range(COUNT):
            # In the spelling the library leaves alone; what it does to another one is the next test.
            path = urllib.parse.quote(self.key(), safe="/-._~!*()'")
            query = "?note=" + urllib.parse.quote(self.text(), safe="!*()") if index % 2 else ""
            custom = index % 3 == 0
            lines.append({"provider": "cloudfront", "url": f"https://d111.cloudfront.net/{path}{query}", "policy": "custom" if custom else "canned",
                          "expires_at": 1_900_000_000 + index, "starts_at": 1_800_000_000 if custom else None, "ip": "192.0.2.0/24" if custom else None,
                          "key_pair_id": "K2JCJMDEHXQW5F", "private_key_pem": self.rsa, "hash": "SHA256" if index % 4 == 0 else "SHA1"})
        for line, ours, theirs in zip(lines, self.sign(lines), self.ask_peer(lines)):
            self.same(line, ours, theirs)

    def test_cloudfront_signer_rewrites_urls_and_we_do_not(self):
        """A deviation of the library: "the URL ... exactly as the client requests it" (Amazon CloudFront Developer Guide, canned
        policy, Resource) leaves no room for changes, but it decodes %2A and its like before it signs. What is handed to us is
        signed and returned byte for byte."""
        line = {"provider": "cloudfront", "url": "https://d111.cloudfront.net/a%2Ab%28c", "policy": "canned", "expires_at": 1_900_000_000,
                "key_pair_id": "K1", "private_key_pem": self.rsa, "hash": "SHA1"}
        ours, = self.sign([line])
        theirs, = self.ask_peer([line])
        self.assertTrue(ours["url"].startswith(line["url"] + "?"))
        self.assertTrue(theirs["url"].startswith("https://d111.cloudfront.net/a*b(c?"))
        self.same(line, self.sign([{**line, "url": "https://d111.cloudfront.net/a*b(c"}])[0], theirs)


if __name__ == "__main__":
    unittest.main()
