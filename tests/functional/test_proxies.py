"""The proxy configurations of docs/proxy.md, started as they stand there (names, paths and ports aside)."""
import json
import os
import re
import ssl
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, Process, System, free_port, wait_until
from functional.skips import full_form, need
from functional.slow_readers import slow_readers_get_every_byte

PAGE = (SOURCE / "docs" / "proxy.md").read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.S).group(1)


class ProxiesTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.socket = self.system.directory / "run" / "httpd.sock"
        shown = re.search(r"## Behind a proxy.*?```ini\n\[http\]\n(.*?)```", PAGE, re.S).group(1)
        self.system.http_keys = "".join(f"{line}\n" for line in shown.splitlines() if not line.startswith("listen"))
        self.system.http_keys += "metrics_from = 127.0.0.1 ::1 unix\n"
        config = self.system.config.read_text().replace("listen = 127.0.0.1:0", f"listen = unix:{self.socket}")
        self.file = self.system.directory / "proxied.ini"
        self.file.write_text(config.replace("base_url = http://127.0.0.1:0", "base_url = https://api.example.com"))
        self.daemon = Process([BUILD / "bin" / "export-workerd", "--config", self.file], self.system.directory / "daemon.log")
        self.addCleanup(self.daemon.stop)
        self.daemon.wait_for_log("ready: data on")
        self.shim = Process([BUILD / "bin" / "export-httpd", "--config", self.file], self.system.directory / "shim.log")
        self.addCleanup(self.shim.stop)
        self.shim.wait_for_log("ready: unix:")
        self.ctl = [BUILD / "bin" / "exportctl", "--config", self.file]
        catalog = self.system.directory / "c.jsonl"
        self.operator("catalog", "generate", "--products", 3000, "--seed", 1, "--output", catalog)
        self.operator("catalog", "import", "--organization", "acme", catalog)
        self.key = json.loads(self.operator("--json", "key", "create", "--organization", "acme", "--permission", "product:read,job:read,job:create"))["key"]
        self.job = json.loads(self.operator("--json", "export", "submit", "--organization", "acme", "--wait"))["job_id"]
        self.port = free_port()
        self.certificate = self.system.directory / "tls.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.example.com", "-addext",
                        "subjectAltName=DNS:api.example.com", "-keyout", self.system.directory / "tls.key", "-out", self.certificate], check=True, capture_output=True)

    def operator(self, *arguments):
        return subprocess.run([*map(str, self.ctl), *map(str, arguments)], check=True, capture_output=True, text=True, timeout=120).stdout

    def curl(self, target, *flags):
        """Status and body, through the proxy."""
        done = subprocess.run(["curl", "-s", "--max-time", "20", "--cacert", self.certificate, "--resolve", f"api.example.com:{self.port}:127.0.0.1",
                               "-w", "\n%{http_code}", f"https://api.example.com:{self.port}{target}", *map(str, flags)], capture_output=True, timeout=60)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    def check(self, unknown_length):
        wait_until("the proxy", lambda: self.curl("/livez")[0] == 200)
        bearer = ("-H", f"Authorization: Bearer {self.key}")
        status, body = self.curl(f"/api/products/export/{self.job}/download-url", *bearer)
        self.assertEqual(status, 200, body)
        link = json.loads(body)["download_url"]
        self.assertTrue(link.startswith("https://api.example.com/exports/"))
        path = link.removeprefix("https://api.example.com")
        status, whole = self.curl(path)
        self.assertEqual((status, len(whole) > 100_000), (200, True))
        self.assertEqual(self.curl(path, "-r", "100-199"), (206, whole[100:200]))
        self.assertEqual(self.curl("/api/jobs/", *bearer, "-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/json",
                                   "-d", '{"job_type": "crawl", "total_items": 1}')[0], unknown_length)
        json_type = ("-H", "Content-Type: application/json")
        self.assertEqual(self.curl("/api/jobs/", *bearer, *json_type, "-d", '{"job_type": "crawl", "total_items": 1}')[0], 200)
        # Slashes are mended under the public name, and numbers are not for those who come through.
        self.assertEqual(self.curl("/api/jobs", "-L", *bearer)[0], 200)
        self.assertEqual(self.curl("/metrics")[0], 404)
        large = self.system.directory / "large"
        large.write_bytes(b"x" * 1_100_000)
        self.assertIn(self.curl("/api/jobs/", *bearer, *json_type, "--data-binary", f"@{large}")[0], (413, 400))  # Caddy cuts it off itself.
        # The client's address is the proxy's word, whatever the client says.
        self.curl("/nope/spoofed", "-H", "X-Forwarded-For: 203.0.113.99")
        line = wait_until("the access log", lambda: re.search(r".*target=/nope/spoofed.*", self.shim.text())).group(0)
        self.assertIn("client=127.0.0.1", line)
        self.assertEqual(self.curl("/livez", "-H", "Transfer-Encoding: chunked")[0], 200)
        self.assertEqual(self.curl("/metrics")[0], 404)  # Although the proxy's address is listed.

    def start_nginx(self):
        program = need("nginx")
        server = block("nginx").replace("unix:/run/export-worker/httpd.sock", f"unix:{self.socket}").replace("listen 443", f"listen 127.0.0.1:{self.port}")
        server = server.replace("/etc/ssl/api.example.com.pem", str(self.certificate)).replace("/etc/ssl/api.example.com.key", str(self.system.directory / "tls.key"))
        config = self.system.directory / "nginx.conf"
        paths = "".join(f"{kind}_temp_path {self.system.directory}/nginx-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\npid {self.system.directory}/nginx.pid;\nerror_log stderr;\n"
                          f"events {{}}\nhttp {{\naccess_log off;\n{paths}{server}}}\n")
        nginx = Process([program, "-c", config, "-p", self.system.directory], self.system.directory / "nginx.log")
        self.addCleanup(nginx.stop)
        wait_until("the proxy", lambda: self.curl("/livez")[0] == 200)

    def test_nginx(self):
        self.start_nginx()
        self.check(unknown_length=200)

    @full_form
    def test_slow_readers_behind_nginx(self):
        self.start_nginx()
        catalog = self.system.directory / "large.jsonl"
        self.operator("catalog", "generate", "--products", 60_000, "--seed", 1, "--output", catalog)
        self.operator("catalog", "import", "--organization", "acme", catalog)
        job = json.loads(self.operator("--json", "export", "submit", "--organization", "acme", "--wait"))["job_id"]
        status, body = self.curl(f"/api/products/export/{job}/download-url", "-H", f"Authorization: Bearer {self.key}")
        self.assertEqual(status, 200, body)
        target = json.loads(body)["download_url"].removeprefix("https://api.example.com")
        slow_readers_get_every_byte(self, self.port, target, "api.example.com", ssl.create_default_context(cafile=self.certificate))

    def test_caddy(self):
        program = need("caddy")
        site = block("caddy").replace("unix//run/export-worker/httpd.sock", f"unix/{self.socket}")
        site = site.replace("api.example.com {", f"https://api.example.com:{self.port} {{\n    bind 127.0.0.1\n    tls {self.certificate} {self.system.directory / 'tls.key'}", 1)
        config = self.system.directory / "Caddyfile"
        config.write_text("{\n    admin off\n    auto_https disable_redirects\n}\n" + site)
        caddy = Process([program, "run", "--config", config, "--adapter", "caddyfile"], self.system.directory / "caddy.log",
                        {"XDG_DATA_HOME": str(self.system.directory), "XDG_CONFIG_HOME": str(self.system.directory), "HOME": str(self.system.directory)})
        self.addCleanup(caddy.stop)
        self.check(unknown_length=411)


if __name__ == "__main__":
    unittest.main()
