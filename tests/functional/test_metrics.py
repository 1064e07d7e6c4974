"""The numbers of both programs: scraped, well-formed, and what the dashboard asks for exists."""
import json
import re
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, SystemTest, free_port


class MetricsOffTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.http_keys = "# No metrics_from.\n"

    def test_nobody_is_answered_unless_listed(self):
        self.assertEqual(self.system.http("GET", "/metrics").status, 404)


class MetricsTest(SystemTest):
    @classmethod
    def configure(cls, system):
        cls.port = free_port()
        system.daemon_keys = f"metrics_listen = 127.0.0.1:{cls.port}\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(20)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]
        for _ in range(30):
            system.mint(cls.job, cls.key)
        system.fetch(system.mint(cls.job, cls.key).json["download_url"])
        system.http("GET", "/nope")

    def daemon_page(self):
        done = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{self.port}/metrics"], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout

    def pages(self):
        return self.daemon_page() + self.system.http("GET", "/metrics").body.decode()

    def test_names_follow_the_conventions_and_every_family_is_explained(self):
        for page in (self.daemon_page(), self.system.http("GET", "/metrics").body.decode()):
            helped = set(re.findall(r"^# HELP (\S+) \S", page, re.M))
            types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
            self.assertEqual(helped, set(types))
            for name, kind in types.items():
                self.assertRegex(name, r"^(export_worker|export_httpd|process|exposer)_[a-z_]+$")  # exposer_: the library's own.
                self.assertEqual(kind == "counter", name.endswith("_total"), name)
                if kind == "histogram":
                    self.assertTrue(name.endswith("_seconds"), name)
            self.assertLess(len(page.splitlines()), 1000, "few labels, few series")

    def value(self, pattern):
        return float(re.search(rf"(?m)^{pattern} (\S+)", self.pages()).group(1))

    def test_every_hop_is_counted(self):
        for name in ("export_worker_request_queue_seconds", "export_worker_request_handling_seconds", "export_worker_request_seconds", "export_httpd_daemon_seconds"):
            self.assertGreaterEqual(self.value(f"{name}_count"), 30, name)
            self.assertGreater(self.value(f"{name}_sum"), 0, name)
            buckets = [float(v) for v in re.findall(rf"{name}_bucket{{le=\"\S+\"}} (\S+)", self.pages())]
            self.assertGreater(len(buckets), 5, name)
            self.assertEqual(buckets, sorted(buckets), "cumulative")
        self.assertGreaterEqual(self.value(r'export_httpd_requests_total{method="GET",route="/api/products/export/{job_id}/download-url",status="2xx"}'), 31)
        self.assertGreaterEqual(self.value(r'export_httpd_requests_total{method="any",route="none",status="4xx"}'), 1)
        self.assertGreater(self.value("export_httpd_download_bytes_total"), 1000)

    def test_the_plugin_counts_what_it_mints_and_what_it_cannot_sign(self):
        def counted(name):
            return self.value(f'export_worker_plugin_events_total{{plugin="download_url",counter="{name}"}}')
        minted, unsignable = counted("minted_total"), counted("unsignable_total")
        self.assertEqual(self.system.mint(self.job, self.key).status, 200)
        self.assertEqual((counted("minted_total"), counted("unsignable_total")), (minted + 1, unsignable))
        wire = self.system.wire()
        self.addCleanup(wire.close)
        foreign = wire.call("jobs.create", {"job_type": "export", "total_items": 0}, self.key)["result"]["job_id"]
        wire.call("jobs.report_progress", {"job_id": foreign, "mark_completed": True, "metadata_patch": {"file_url": "s3://nobody/x.csv"}}, self.key)
        self.assertEqual(self.system.mint(foreign, self.key).status, 409)
        self.assertEqual((counted("minted_total"), counted("unsignable_total")), (minted + 1, unsignable + 1))

    def test_the_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads((SOURCE / "etc" / "grafana" / "export-worker.json").read_text())
        pages = self.pages()
        there = set(re.findall(r"^# TYPE (\S+) ", pages, re.M))
        asked = set()
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                asked |= set(re.findall(r"\b((?:export_worker|export_httpd|process)_[a-z_]+)", target["expr"]))
        asked = {re.sub(r"_bucket$", "", name) for name in asked}
        self.assertGreater(len(asked), 20)
        self.assertEqual(asked - there, set())

    def test_an_address_that_is_taken_is_said_at_the_start(self):
        config = self.system.directory / "taken.ini"
        config.write_text(self.system.config.read_text().replace(f"state_dir = {self.system.state}", f"state_dir = {self.system.directory / 'other'}")
                          .replace(f"root = {self.system.exports}", f"root = {self.system.directory / 'other-exports'}"))
        done = subprocess.run([BUILD / "bin" / "export-workerd", "--config", config], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 75)
        self.assertIn(f"[daemon] metrics_listen: listen on 127.0.0.1:{self.port}", done.stderr)


if __name__ == "__main__":
    unittest.main()
