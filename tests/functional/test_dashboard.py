"""A live Prometheus scrapes the daemon and the shim: every query of the dashboard has data, and every rule can be evaluated."""
import json
import math
import unittest
import urllib.parse
import urllib.request

from functional.harness import SOURCE, Process, SystemTest, free_port, wait_until
from functional.skips import need

DASHBOARD = json.loads((SOURCE / "etc" / "grafana" / "export-worker.json").read_text())
RATE_INTERVAL = "10s"  # Grafana's $__rate_interval: four scrapes and more.


class Prometheus:
    def __init__(self, directory, jobs):
        """`jobs`: the port of each."""
        self.port = free_port()
        config = directory / "prometheus.yml"
        # YAML takes JSON.
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(SOURCE / "etc" / "prometheus" / "export-worker.rules.yml")],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in jobs.items()]}))
        self.process = Process([need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'prometheus'}",
                                f"--web.listen-address=127.0.0.1:{self.port}"], directory / "prometheus.log")
        self.process.wait_for_log("Server is ready to receive web requests")

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def values(self, query):
        """Those of an instant query that are numbers."""
        values = [float(row["value"][1]) for row in self.get("query", query=query)["result"]]
        return [value for value in values if not math.isnan(value)]


class DashboardTest(SystemTest):
    @classmethod
    def configure(cls, system):
        need("prometheus")
        cls.port = free_port()
        system.daemon_keys = f"metrics_listen = 127.0.0.1:{cls.port}\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(20)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]
        cls.prometheus = Prometheus(system.directory, {"export-worker": cls.port, "export-httpd": system.port})
        cls.addClassCleanup(cls.prometheus.process.stop)

    def make_traffic(self):
        """Some of everything, so that rates over the last seconds have something to say."""
        link = self.system.mint(self.job, self.key).json["download_url"]
        self.assertEqual(self.system.fetch(link).status, 200)
        self.assertEqual(self.system.http("GET", "/nope").status, 404)
        self.system.export()

    def has_data(self, query):
        self.make_traffic()
        return self.prometheus.values(query.replace("$__rate_interval", RATE_INTERVAL))

    def test_every_query_has_data_or_says_when_it_has_none(self):
        asked = 0
        for panel in DASHBOARD["panels"]:
            for target in panel["targets"]:
                with self.subTest(panel["title"], query=target["expr"]):
                    asked += 1
                    if "Empty" in panel["description"]:
                        self.has_data(target["expr"])  # It can be evaluated.
                    else:
                        wait_until("data", lambda: self.has_data(target["expr"]))
        self.assertGreater(asked, 30)

    def test_what_the_panels_show_is_what_happened(self):
        for _ in range(2):
            self.make_traffic()
        for query in ("export_worker_jobs_ended_total{outcome='completed'}", "export_worker_export_attempt_seconds_count",
                      "export_httpd_download_bytes_total"):
            wait_until(query, lambda: self.prometheus.values(f"{query} > 2"))
        # One of each daemon and shim.
        wait_until("both programs", lambda: len(self.prometheus.values("export_worker_build_info")) == 2)
        self.assertEqual(len(self.prometheus.values("process_resident_memory_bytes * on (instance) group_left (program) export_worker_build_info")), 2)

    def test_every_rule_can_be_evaluated_and_is_silent_here(self):
        def evaluated():
            rules = [rule for group in self.prometheus.get("rules")["groups"] for rule in group["rules"]]
            return rules if all(rule["health"] != "unknown" for rule in rules) else None
        rules = wait_until("an evaluation of every rule", evaluated)
        self.assertGreater(len(rules), 20)
        self.assertEqual([(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"], [])
        self.assertEqual([rule["name"] for rule in rules if rule["state"] == "firing"], [])


if __name__ == "__main__":
    unittest.main()
