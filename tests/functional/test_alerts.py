"""The alerts in etc/prometheus: each fires when it should and not before, and asks for numbers that there are."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from functional.harness import SOURCE, SystemTest, free_port
from functional.skips import need

RULES = SOURCE / "etc" / "prometheus" / "export-worker.rules.yml"
LINK = '{instance="i",route="/api/products/export/{job_id}/download-url",le="%s"}'
WORKER = '{instance="i",job="export-worker"}'

# Alert, series that raise it, series that do not, in how many minutes. In the notation of promtool: one value a minute.
ALERTS = [
    ("ExportWorkerAlarm", {'export_worker_alarm{instance="i",name="disk"}': "1x9"}, {'export_worker_alarm{instance="i",name="disk"}': "0 1 1 0x9"}, 7),
    ("ExportWorkerMetricsMissing", {"up" + WORKER: "0x9"}, {"up" + WORKER: "1x9", 'up{instance="i",job="other"}': "0x9"}, 5),
    ("ExportWorkerRestarts", {"process_start_time_seconds" + WORKER: "1 2 3 4x30"}, {"process_start_time_seconds" + WORKER: "1 2 3x30"}, 10),
    ("ExportWorkerNoDaemon", {'export_httpd_daemon_up{instance="i",endpoint="a"}': "0x9", 'export_httpd_daemon_up{instance="i",endpoint="b"}': "0x9"},
     {'export_httpd_daemon_up{instance="i",endpoint="a"}': "0x9", 'export_httpd_daemon_up{instance="i",endpoint="b"}': "1x9"}, 5),
    ("ExportWorkerDaemonLost", {'export_httpd_daemon_losses_total{instance="i",endpoint="a"}': "0+1x20"},
     {'export_httpd_daemon_losses_total{instance="i",endpoint="a"}': "0 1 2x20"}, 15),
    ("ExportWorkerErrors", {'export_httpd_requests_total{instance="i",status="5xx"}': "0+10x20", 'export_httpd_requests_total{instance="i",status="2xx"}': "0+90x20"},
     {'export_httpd_requests_total{instance="i",status="5xx"}': "0+1x20", 'export_httpd_requests_total{instance="i",status="2xx"}': "0+99x20"}, 15),
    ("ExportWorkerLinksSlow", {"export_httpd_request_seconds_bucket" + LINK % "0.5": "0+10x30", "export_httpd_request_seconds_bucket" + LINK % "1": "0+100x30",
                               "export_httpd_request_seconds_bucket" + LINK % "+Inf": "0+100x30"},
     {"export_httpd_request_seconds_bucket" + LINK % "0.5": "0+100x30", "export_httpd_request_seconds_bucket" + LINK % "+Inf": "0+100x30"}, 20),
    ("ExportWorkerConnectionsRefused", {'export_httpd_connections_refused_total{instance="i"}': "0+20x20"}, {'export_httpd_connections_refused_total{instance="i"}': "0+5x20"}, 12),
    ("ExportWorkerDownloadsIncomplete", {'export_httpd_downloads_incomplete_total{instance="i"}': "0+1x40"},
     {'export_httpd_downloads_incomplete_total{instance="i"}': "0 9x40"}, 35),
    ("ExportWorkerOverloaded", {'export_worker_requests_refused_total{instance="i",reason="overloaded"}': "0 0 3x20"},
     {'export_worker_requests_refused_total{instance="i",reason="overloaded"}': "3x20", 'export_worker_requests_refused_total{instance="i",reason="expired"}': "0+1x20"}, 5),
    ("ExportWorkerWorkersStalled", {'export_worker_workers_stalled{instance="i"}': "1x20"}, {'export_worker_workers_stalled{instance="i"}': "1 1 0 1 0x20"}, 8),
    ("ExportWorkerJobsWait", {'export_worker_jobs_oldest_wait_seconds{instance="i"}': "1000x20"}, {'export_worker_jobs_oldest_wait_seconds{instance="i"}': "800x20"}, 8),
    ("ExportWorkerExportsFail", {'export_worker_export_attempts_total{instance="i",outcome="failed"}': "0+1x60", 'export_worker_export_attempts_total{instance="i",outcome="completed"}': "0+1x60"},
     {'export_worker_export_attempts_total{instance="i",outcome="failed"}': "0+1x60", 'export_worker_export_attempts_total{instance="i",outcome="completed"}': "0+9x60"}, 50),
    ("ExportWorkerRetentionLate", {'export_worker_retention_lag_seconds{instance="i"}': "7200x40"}, {'export_worker_retention_lag_seconds{instance="i"}': "600x40"}, 20),
    ("ExportWorkerRetentionBehind", {'export_worker_retention_backlog{instance="i",kind="jobs"}': "20000x80"},
     {'export_worker_retention_backlog{instance="i",kind="jobs"}': "20000x30 0x50"}, 65),
    ("ExportWorkerNoticesWait", {'export_worker_notices_pending{instance="i"}': "2000x60"}, {'export_worker_notices_pending{instance="i"}': "2000x20 0x40"}, 45),
    ("ExportWorkerWebhookGivenUp", {'export_worker_webhook_attempts_total{instance="i",outcome="given_up"}': "0 1x60"},
     {'export_worker_webhook_attempts_total{instance="i",outcome="given_up"}': "1x60", 'export_worker_webhook_attempts_total{instance="i",outcome="retry"}': "0+1x60"}, 10),
    ("ExportWorkerDiskLow", {'export_worker_free_bytes{instance="i",directory="/s"}': "9e8x20"}, {'export_worker_free_bytes{instance="i",directory="/s"}': "2e9x20"}, 8),
    ("ExportWorkerDatabaseErrors", {'export_worker_database_write_errors_total{instance="i",database="jobs"}': "0 2x20"},
     {'export_worker_database_write_errors_total{instance="i",database="jobs"}': "2x20"}, 5),
    ("ExportWorkerCredentialsEnd", {'export_worker_store_credentials_expiry_seconds{instance="i",store="s"}': "1000x30"},
     {'export_worker_store_credentials_expiry_seconds{instance="i",store="s"}': "90000x30"}, 15),
    ("ExportWorkerCredentialsUnusable", {'export_worker_store_credentials_usable{instance="i",store="s"}': "0x20"},
     {'export_worker_store_credentials_usable{instance="i",store="s"}': "1x20"}, 8),
    ("ExportWorkerSessionKeysOld", {'export_worker_session_keys_fetched_timestamp_seconds{instance="i"}': "-90000x30"},
     {'export_worker_session_keys_fetched_timestamp_seconds{instance="i"}': "0x30"}, 15),
    ("ExportWorkerCredentialsRefused", {'export_worker_credentials_refused_total{instance="i",reason="invalid"}': "0+900x30"},
     {'export_worker_credentials_refused_total{instance="i",reason="invalid"}': "0+60x30"}, 20),
    ("ExportWorkerDescriptorsShort", {"process_open_fds" + WORKER: "900x20", "process_max_fds" + WORKER: "1000x20"},
     {"process_open_fds" + WORKER: "700x20", "process_max_fds" + WORKER: "1000x20"}, 8),
    ("ExportWorkerPluginFaults", {'export_worker_plugin_faults_total{instance="i",plugin="p"}': "0 1x20"}, {'export_worker_plugin_faults_total{instance="i",plugin="p"}': "1x20"}, 5),
    ("ExportWorkerPluginTakenBack", {'export_worker_plugin_reloads_total{instance="i",outcome="rolled_back"}': "0 1x40"},
     {'export_worker_plugin_reloads_total{instance="i",outcome="committed"}': "0 1x40"}, 5),
    ("ExportWorkerConfigurationRefused", {'export_worker_configuration_good{instance="i"}': "0x9"}, {'export_worker_configuration_good{instance="i"}': "1x9"}, 4),
]


def rules():
    return re.findall(r"^ +- alert: (\S+)\n +expr: '(.*)'$", RULES.read_text(), re.M)


def promtool(*arguments, stdin=None):
    return subprocess.run([need("prometheus", "promtool"), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60)


class RulesTest(unittest.TestCase):
    def test_the_rules_are_sound(self):
        done = promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules())} rules found", done.stdout)

    def test_every_alert_fires_when_it_should_and_not_before(self):
        self.assertEqual([name for name, _ in rules()], [name for name, *_ in ALERTS], "a row in ALERTS for each, in this order")
        for expected in (True, False):
            failed = self.judge(expected)
            self.assertEqual(failed, "", f"{'silent' if expected else 'loud'} alerts")

    def judge(self, fires):
        """What promtool says when each alert gets its series; "" when all do as they should."""
        said = ""
        with tempfile.TemporaryDirectory(prefix="export-worker-rules-") as directory:
            for name, raising, quiet, minutes in ALERTS:
                series = raising if fires else quiet
                # YAML takes JSON. ALERTS{} has the state of every alert; promtool compares values and labels.
                test = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [{
                    "interval": "1m", "input_series": [{"series": key, "values": value} for key, value in series.items()],
                    "promql_expr_test": [{"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)', "eval_time": f"{minutes}m",
                                          "exp_samples": [{"labels": "{}", "value": 1 if fires else 0}]}]}]}
                path = pathlib.Path(directory) / f"{name}.yml"
                path.write_text(json.dumps(test))
                done = promtool("test", "rules", path)
                if done.returncode != 0:
                    said += f"{name}: {done.stdout}{done.stderr}\n"
        return said


class PageTest(SystemTest):
    @classmethod
    def configure(cls, system):
        cls.port = free_port()
        system.daemon_keys = f"metrics_listen = 127.0.0.1:{cls.port}\n"

    def pages(self):
        done = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{self.port}/metrics"], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout, self.system.http("GET", "/metrics").body.decode()

    def test_promtool_finds_nothing_to_say_about_either_page(self):
        for page in self.pages():
            # The library's own family does not follow the conventions; nothing of ours is left out.
            ours = "\n".join(line for line in page.splitlines() if "exposer_" not in line) + "\n"
            done = promtool("check", "metrics", stdin=ours)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_every_rule_asks_for_what_there_is_before_anything_happens(self):
        page = "".join(self.pages())
        there = set(re.findall(r"^([a-z_]+)(?:\{| )", page, re.M))
        for name, expression in rules():
            for metric, labels in re.findall(r"\b((?:export_worker|export_httpd|process)_[a-z_]+)(\{[^{}]*(?:\{job_id\})?[^{}]*\})?", expression):
                # Of sessions and of credentials that end, there are none here.
                if metric in ("export_worker_session_keys_fetched_timestamp_seconds", "export_worker_store_credentials_expiry_seconds"):
                    continue
                self.assertIn(metric, there, name)
                for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                    if label != "job":
                        self.assertRegex(page, rf'(?m)^{metric}\{{[^}}]*{label}="{re.escape(value)}"', f"{name}: not born at 0")


if __name__ == "__main__":
    unittest.main()
