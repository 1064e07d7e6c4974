"""Emulators of object stores, as processes on loopback."""
import base64
import email.utils
import hashlib
import hmac
import http.client
import shutil
import time
import urllib.parse

from functional.harness import NODE_MODULES, SOURCE, Process, free_port, scratch_directory, wait_until


class Emulator:
    """Started once, stopped by close(); keeps its data in a directory of its own."""

    def __init__(self):
        self.directory = scratch_directory("export-worker-store-")
        self.port = free_port()
        self.process = Process(["node", *self.arguments()], self.directory / "log",
                               {"NODE_PATH": str(NODE_MODULES)})
        wait_until(f"{type(self).__name__} to listen", self.answers)

    def answers(self):
        if self.process.popen.poll() is not None:
            raise AssertionError(self.process.text())
        try:
            self.request("GET", "/")
            return True
        except OSError:
            return False

    def request(self, method, target, headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def close(self):
        self.process.popen.kill()
        self.process.popen.wait()
        self.process.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class S3(Emulator):
    """s3rver behind a gate that verifies every signature and expiry (tests/node/s3_gate.js says why)."""
    bucket = "merchant-exports"
    key_prefix, raw_url = "exports/", "s3://merchant-exports/"
    put_headers = ()
    cannot = ("x//y.csv",)  # It keeps objects as files, and a file system knows no empty name.
    key_id = "AKIA/+EXAMPLE"  # Compatible stores allow such.
    secret = "s3/cret+"

    def arguments(self):
        return [SOURCE / "tests/node/s3_gate.js", str(self.port), self.directory / "data", self.bucket, self.key_id, self.secret]

    @property
    def web_url(self):
        return f"http://127.0.0.1:{self.port}/{self.bucket}/"

    def put_request(self, key):
        return {"provider": "s3", "method": "PUT", "bucket": self.bucket, "key": key, "region": "us-east-1", "addressing": "path",
                "endpoint": f"http://127.0.0.1:{self.port}", "access_key_id": self.key_id, "secret_access_key": self.secret,
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "expires_in": 60}

    def config(self, system, **more):
        secret = system.secret("s3_secret", self.secret + "\n")
        keys = "".join(f"{key} = {value}\n" for key, value in more.items())
        return f"""[store.remote]
kind = s3
prefix = s3://{self.bucket}/exports/
region = us-east-1
endpoint = http://127.0.0.1:{self.port}
addressing = path
access_key_id = {self.key_id}
secret_access_key_file = {secret}
{keys}"""

    def objects(self):
        root = self.directory / "data" / self.bucket
        return sorted(str(p.relative_to(root)).removesuffix("._S3rver_object") for p in root.rglob("*._S3rver_object"))

    def received(self):
        """Bytes of parts that are there."""
        root = self.directory / "data" / self.bucket / "._S3rver_uploads"
        return sum(p.stat().st_size for p in root.rglob("*") if p.is_file())

    def put_beside(self, key, data):
        """An object nobody here has written."""
        path = self.directory / "data" / self.bucket / f"{key}._S3rver_object"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.with_name(path.name.replace("_object", "_object.md5")).write_text(hashlib.md5(data).hexdigest())
        path.with_name(path.name.replace("_object", "_metadata.json")).write_text('{"content-type":"text/csv"}')


class Azure(Emulator):
    """azurite: verifies shared access signatures by making them again."""
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's own, published.
    container = "exports"
    key_prefix, raw_url = "deep/", "az://exports/"
    put_headers = ("-H", "x-ms-blob-type: BlockBlob")
    cannot = ()

    def __init__(self):
        super().__init__()
        created = self.signed("PUT", f"/{self.account}/{self.container}", {"restype": "container"})
        assert created.status == 201, created.body

    def arguments(self):
        return [NODE_MODULES / "azurite/dist/src/blob/main.js", "--blobHost", "127.0.0.1", "--blobPort", str(self.port),
                "--location", self.directory, "--silent", "--disableTelemetry"]

    @property
    def web_url(self):
        return f"http://127.0.0.1:{self.port}/{self.account}/{self.container}/"

    def put_request(self, key):
        return {"provider": "azure", "account": self.account, "account_key": self.key, "container": self.container, "blob": key,
                "endpoint": f"http://127.0.0.1:{self.port}/{self.account}", "version": "2022-11-02", "resource": "b", "permissions": "cw",
                "expiry": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))}

    def config(self, system, **more):
        key = system.secret("azure_key", self.key + "\n")
        keys = "".join(f"{name} = {value}\n" for name, value in more.items())
        return f"""[store.remote]
kind = azure
prefix = az://{self.container}/deep/
account = {self.account}
endpoint = http://127.0.0.1:{self.port}/{self.account}
account_key_file = {key}
{keys}"""

    def signed(self, method, path, query, headers=None):
        """A request with the account key in its header ("Authorize with Shared Key"), for what tests set up and look at."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02", **(headers or {})}
        canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
        resource = f"/{self.account}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        text = f"{method}\n\n\n\n\n\n\n\n\n\n\n\n{canonical_headers}{resource}"
        signature = base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{signature}"
        return self.request(method, f"{path}?{urllib.parse.urlencode(query)}", headers)

    def received(self):
        """Bytes of blocks that are there."""
        return sum(p.stat().st_size for p in (self.directory / "__blobstorage__").rglob("*") if p.is_file())

    def objects(self):
        listed = self.signed("GET", f"/{self.account}/{self.container}", {"restype": "container", "comp": "list"})
        assert listed.status == 200, listed.body
        return sorted(part.split("</Name>")[0] for part in listed.body.decode().split("<Name>")[1:])
