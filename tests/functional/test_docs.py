"""What the documentation shows is what the programs take."""
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import unittest

from functional.harness import BUILD, SANITIZED, SOURCE, Process, System, wait_until


def anchors(page):
    """What a link can name after '#': the headings, as GitHub writes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_of(metrics):
    """A page of Prometheus as a table: name, labels, type, help."""
    rows = ["| metric | labels | type | is |", "|---|---|---|---|"]
    for name, text in sorted(re.findall(r"(?m)^# HELP (\w+) (.*)$", metrics)):
        kind = re.search(rf"(?m)^# TYPE {name} (\w+)$", metrics).group(1)
        samples = re.findall(rf"(?m)^{name}(?:_bucket|_sum|_count)?{{(.*?)}} ", metrics)
        labels = sorted({label for sample in samples for label in re.findall(r'(\w+)="', sample)} - {"le"})
        rows.append(f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} | {kind} | {text} |")
    return "\n".join(rows) + "\n"


# What others print: the system, SQLite, systemd, a proxy, libzmq.
FOREIGN = "\0".join([*(os.strerror(number) for number in range(1, 134)), "database disk image is malformed", "file is not a database", "start operation timed out",
                     "connect() to unix:", "failed (13: Permission denied)", "Assertion failed: !_io_error"])


ALARM = re.compile(r"ALARM: (\w+)(?: \.\.\.| NAME)?: ")


def literals():
    """Every string of the sources, those that stand side by side as one."""
    out = []
    for folder in ("base", "daemon", "downloads", "exportctl", "http_shim", "plugins", "protocol", "signing"):
        for path in (SOURCE / folder).rglob("*.[ch]pp"):
            code = re.sub(r"(?m)^\s*(//.*|#include .*)$", "", path.read_text())
            for group in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', code):
                out.append("".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', group)))
    return "\0".join(out)


def pieces(message):
    """What of a quoted message is the program's own: not the parts that differ from case to case."""
    alarm = ALARM.match(message)
    rest = message[alarm.end():] if alarm else message
    return ([f'"{alarm[1]}"'] if alarm else []) + [part.strip(" ,;:/.'") for part in re.split(r"\.\.\.|\b(?:N|M|NAME|FILE|USER|ADDRESS|DATABASE|REGISTRY)\b", rest) if len(part.strip(" ,;:/.'")) > 3]


class TroubleshootingTest(unittest.TestCase):
    def test_the_messages_of_the_troubleshooting_page_are_printed(self):
        """Each quoted message, but for its variable parts, is a text of the sources."""
        texts = literals() + "\0" + FOREIGN
        names = set(re.findall(r'"(\w+)"', (SOURCE / "daemon" / "model" / "alarm.hpp").read_text()))
        verbs = tuple(re.findall(r'(?m)^    \{"([a-z ]+)", "', (SOURCE / "exportctl" / "command.cpp").read_text()))
        page = (SOURCE / "docs" / "troubleshooting.md").read_text().split("\n## Programs that do not start\n")[1]
        quoted = [span for cell in re.findall(r"(?m)^\| (.*?) \|", page) for span in re.findall(r"`([^`]+)`", cell)]
        messages = [span for span in quoted if " " in span and " = " not in span and ': "' not in span and not span.startswith(verbs)]
        self.assertGreater(len(messages), 50)
        wrong = [(message, "ALARM: NAME SUBJECT: CAUSE") for message in messages if message.startswith("ALARM") and not ALARM.match(message)]
        for message in messages:
            for piece in pieces(message):
                known = piece.strip('"') in names if piece.startswith('"') else piece in texts
                if not known:
                    wrong.append((message, piece))
        self.assertEqual(wrong, [], "\n".join(map(str, wrong)))


class DocsTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)

    def check_config(self, text):
        path = self.system.directory / "checked.ini"
        path.write_text(text)
        return subprocess.run([BUILD / "bin" / "export-workerd", "--config", path, "--check-syntax"], capture_output=True, text=True)

    def test_every_store_page_has_a_configuration_that_works(self):
        pages = sorted((SOURCE / "docs" / "stores").glob("*.md"))
        self.assertEqual({page.stem for page in pages}, {"README", "s3", "gcs", "azure", "cloudfront", "local"})
        count = 0
        for page in pages:
            for block in re.findall(r"```ini\n(.*?)```", page.read_text(), re.S):
                done = self.check_config(f"[daemon]\nstate_dir = /var/lib/x\n[export]\nworkers = 0\n{block}")
                self.assertEqual(done.returncode, 0, f"{page.name}: {done.stderr}")
                count += 1
        self.assertGreaterEqual(count, 6)

    def test_every_key_of_a_store_page_is_known(self):
        """The tables name keys; a key that the daemon does not know would be refused as a typing error."""
        blocks = {"s3": "kind = s3\nprefix = s3://merchant/\nregion = r\n", "gcs": "kind = gcs\nprefix = gs://merchant/\n",
                  "azure": "kind = azure\nprefix = az://exports/\naccount = a\n", "cloudfront": "kind = cloudfront\nbase_url = https://h\n",
                  "local": "kind = local\nroot = /srv\nbase_url = https://h\nkey_file = /k\n"}
        for kind, block in blocks.items():
            text = (SOURCE / "docs" / "stores" / f"{kind}.md").read_text()
            named = set(re.findall(r"(?m)^\| `(\w+)`", text)) | set(re.findall(r"`(\w+_file|sts_endpoint|metadata_endpoint|role_arn|part_mib)`", text))
            for key in named - {"static", "environment", "profile", "web_identity", "container", "instance", "default", "prefix"}:
                found = self.check_config(f"[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[store.a]\n{block}{key} = 12\n").stderr
                if "unknown key" in found:  # It belongs to another source of credentials.
                    sources = ("static", "profile", "web_identity", "instance", "hmac", "connection_string", "account_key")
                    answers = [self.check_config(f"[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[store.a]\n{block}credentials = {s}\n{key} = /12\n").stderr
                               for s in sources]
                    self.assertTrue(any(f"unknown key '{key}'" not in a and "expected one of" not in a for a in answers), (kind, key, answers))

    def test_the_sample_configuration_works_and_so_do_its_comments(self):
        text = (SOURCE / "etc" / "export-worker.ini").read_text()
        self.assertEqual(self.check_config(text).returncode, 0)
        # Every "# key = value" and "# [section]" taken in: what is shown as the default must be a value that is accepted.
        shown = re.sub(r"(?m)^# (\[[\w.]+\]|\w+ = .*)$", r"\1", text).replace("STATE_DIR", "/var/lib/export-worker")
        shown = re.sub(r"(?m)^(session_token_file|endpoint|public_endpoint|allow_needed) = .*$", r"# \g<0>", shown)
        # What is for PostgreSQL only is accepted with it.
        shared = shown.replace("kind = sqlite", "kind = postgres").replace("shared_root = off", "shared_root = on")
        alone = re.sub(r"(?s)(\nkind = sqlite\n).*?(\n\[)", r"\1\2", shown)
        for whole in (alone, shared):
            done = self.check_config(whole)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_lines_of_the_signing_page_are_signed(self):
        text = (SOURCE / "docs" / "signing.md").read_text()
        lines = re.findall(r'(?m)^\{"provider".*$', text)
        self.assertGreaterEqual(len(lines), 3)
        done = subprocess.run([BUILD / "bin" / "exportctl", "sign", "--explain"], input="\n".join(lines) + "\n", capture_output=True, text=True)
        for line, answer in zip(lines, done.stdout.splitlines(), strict=True):
            self.assertIn("url", json.loads(answer), (line, answer))

    def test_the_wire_page_has_every_member_of_a_job(self):
        self.system.start()
        self.system.import_generated(5)
        table = (SOURCE / "docs" / "wire_protocol.md").read_text().split("\n## The job object\n")[1].split("\n## ")[0]
        named = {word for cell in re.findall(r"(?m)^\| (`.*?`) \|", table) for word in re.findall(r"`(\w+)`", cell)}
        short = set(re.findall(r"`(\w+)`", re.search(r"`jobs\.status` has (.*?)\. ", table, re.S).group(1)))
        job, key, wire = self.system.export()["job_id"], self.system.make_key(), self.system.wire()
        self.addCleanup(wire.close)
        self.assertEqual(set(wire.call("jobs.get", {"job_id": job}, key)["result"]), named)
        self.assertEqual(set(wire.call("jobs.status", {"job_id": job}, key)["result"]), short)
        # Unknown params: who refuses them.
        sentence = re.search(r"Unknown params are refused \(`invalid_argument`\) by (.*?), and", (SOURCE / "docs" / "wire_protocol.md").read_text(), re.S).group(1)
        for method in re.findall(r"`([\w.]+)`", sentence):
            params = {"jobs.create": {"job_type": "export", "total_items": 1}, "jobs.report_progress": {"job_id": job}}.get(method, {})
            error = wire.call(method, {**params, "nonsense": 1}, key)["error"]
            self.assertEqual((error["code"], error.get("field")), ("invalid_argument", "nonsense"), (method, error))
        self.assertTrue(wire.call("jobs.get", {"job_id": job, "nonsense": 1}, key)["ok"])

    def test_the_metrics_page_has_every_metric(self):
        """EXPORT_WORKER_WRITE_GOLDEN=1 writes the tables anew."""
        self.system.start()
        self.system.import_generated(5)
        self.system.export()
        page = SOURCE / "docs" / "metrics.md"
        text = page.read_text()
        for title, metrics in (("## Daemon", self.system.ctl("metrics").stdout), ("## Shim", self.system.http("GET", "/metrics").body.decode())):
            head, rest = text.split(f"\n{title}\n\n")
            text = f"{head}\n{title}\n\n{table_of(metrics)}\n{rest.split(chr(10) * 2, 1)[1]}"
        if os.environ.get("EXPORT_WORKER_WRITE_GOLDEN"):
            page.write_text(text)
        self.assertEqual(page.read_text(), text, "EXPORT_WORKER_WRITE_GOLDEN=1 writes the tables anew")

    def test_the_request_of_the_exports_page_is_accepted(self):
        text = (SOURCE / "docs" / "exports.md").read_text()
        request = json.loads(re.search(r"```json\n(.*?)```", text, re.S).group(1))
        self.system.start()
        self.system.import_generated(200)
        job = self.system.submit(self.system.make_key(), **request)
        ended = wait_until("the export", lambda: self.system.job_when(job, "completed", "completed_with_warnings", "partial_success", "failed"))
        self.assertEqual(ended["status"], "completed", ended)
        # Every key of the manifest that the page names for every file, and nothing else.
        named = set(re.findall(r"`(\w+)`", re.search(r"`metadata` is the file's manifest:(.*?)\n\n", text, re.S).group(1)))
        self.assertLessEqual(set(ended["metadata"]), named)
        # Every choice of the tables.
        for field, choices in {"format": "csv jsonl xlsx", "profile": "rfc4180 excel excel-eu tsv", "compression": "none gzip zstd",
                               "variants": "row_per_variant parent_child", "formulas": "off guard reject", "priority": "low normal high"}.items():
            for choice in choices.split():
                self.assertIn(f"`{choice}`", text)
                self.system.submit(self.system.make_key(), **{field: choice})
        for cell in ("auto", "text", "json", "number", "number:2", "date", "yes_no"):
            self.assertIn(f"`{cell}`", text)
            self.system.submit(self.system.make_key(), columns=[{"property": "name", "format": cell}])
        for column in ("key", "productType", "isPublished", "variant_key", "row_type", "version", "updatedAt", "publishStatus", "labels",
                       "dimensions.width_mm", "properties.name", *(f"prices.{kind}.EUR" for kind in ("map", "map_stepdown", "sale", "markdown", "msrp"))):
            self.system.submit(self.system.make_key(), columns=[column])

    def test_the_subscriber_of_the_notices_page_misses_nothing(self):
        text = (SOURCE / "docs" / "notices.md").read_text()
        subscriber, verifier = re.findall(r"```python\n(.*?)```", text, re.S)
        webhook = re.search(r"```ini\n(.*?)```", text, re.S).group(1)
        self.assertEqual(self.check_config(f"[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n{webhook}").returncode, 0)
        endpoint = f"ipc://{self.system.state}/run/notices.sock"
        self.system.daemon_keys = f"notice_endpoint = {endpoint}\n"
        self.system.start()
        self.system.import_generated(5)
        jobs = [self.system.export()["job_id"]]
        environment = {"EXPORT_WORKER_NOTICES": endpoint, "EXPORT_WORKER_KEY": self.system.make_key(),
                       "EXPORT_WORKER_ENDPOINT": f"ipc://{self.system.state}/run/data.sock"}
        script = self.system.directory / "subscriber.py"
        # Its patience is what the end of this test waits for.
        patience = "notices.setsockopt(zmq.RCVTIMEO, 10000)"
        self.assertIn(patience, subscriber)
        script.write_text(subscriber if SANITIZED else subscriber.replace(patience, patience.replace("10000", "4000")))
        running = Process([sys.executable, script], self.system.directory / "subscriber.log", environment)
        running.wait_for_log(jobs[0])  # It was there before the subscriber.
        jobs += [self.system.export()["job_id"] for _ in range(3)]
        self.system.import_generated(5, "acme2")
        self.system.export("acme2")
        running.wait_for_log(jobs[-1])
        running.popen.wait(30)  # Nothing more to hear, so it ends by itself.
        running.log.close()
        self.assertEqual(running.popen.returncode, 0, running.text())
        lines = [line.split() for line in running.text().splitlines()]
        self.assertEqual([(kind, job) for _, kind, job in lines], [("job.completed", job) for job in jobs])
        # The example notice has the shape of a real one.
        example = json.loads(re.search(r"```json\n(.*?)```", text, re.S).group(1))
        wire = self.system.wire()
        real = wire.call("jobs.notices", {}, environment["EXPORT_WORKER_KEY"])["result"]["items"][0]
        wire.close()
        self.assertEqual((set(example), set(example["job"])), (set(real), set(real["job"])))
        # And the signature is checked as test_notices sees it sent.
        scope = {}
        exec(verifier, scope)
        digest = hmac.new(b"s" * 16, b"1000.{}", hashlib.sha256).hexdigest()
        self.assertTrue(scope["is_genuine"](b"s" * 16, f"t=1000,v1={digest}", b"{}", now=1100))
        self.assertFalse(scope["is_genuine"](b"s" * 16, f"t=1000,v1={digest}", b"{}", now=1400))
        self.assertFalse(scope["is_genuine"](b"s" * 16, f"t=1000,v1={digest}", b"{ }", now=1100))

    def test_permissions_are_one_list(self):
        """The daemon's list is the table of the identity page, what exportctl offers, and all that other pages and files name."""
        table = (SOURCE / "docs" / "identity.md").read_text().split("\n## Permissions\n")[1].split("\n## ")[0]
        listed = re.findall(r"(?m)^\| `(\w+:\w+)` \|", table)
        self.system.start_daemon()
        refused = self.system.ctl("key", "create", "--organization", "acme", "--permission", "no:such", check=False).stderr
        self.assertEqual(re.search(r"expected one of (.*), found", refused).group(1).split(), listed)
        made = self.system.ctl_json("key", "create", "--organization", "acme", "--permission", ",".join(listed))
        self.assertEqual(made["permissions"], listed)
        offered = re.search(r"--permission(.*?)(?:\n\s*--|\Z)", self.system.ctl("key", "create", "--help").stdout, re.S).group(1)
        self.assertEqual(re.findall(r"\b[a-z]+:[a-z]+\b", offered), listed)
        for path in [SOURCE / "README.md", SOURCE / "etc" / "roles.ini", *(SOURCE / "docs").rglob("*.md")]:
            named = set(re.findall(r"\b(?:product|job|template|link):[a-z]+\b", path.read_text()))
            self.assertLessEqual(named, set(listed), path)
        wire = self.system.wire()
        needed = {method["permission"] for method in wire.call("sys.methods")["result"]["methods"] if "permission" in method}
        wire.close()
        self.assertLessEqual(needed, set(listed))

    def test_links_between_pages_lead_somewhere(self):
        for page in [SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", *(SOURCE / "docs").rglob("*.md")]:
            for target, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
                if "://" in target:
                    continue
                found = page.parent / target if target else page
                self.assertTrue(found.exists(), f"{page.relative_to(SOURCE)}: {target}")
                if heading:
                    self.assertIn(heading, anchors(found), f"{page.relative_to(SOURCE)}: {target}#{heading}")

    def test_a_page_begins_with_its_readers_and_ends_with_what_to_read_next(self):
        for page in (SOURCE / "docs").rglob("*.md"):
            title, *blocks = page.read_text().strip().split("\n\n")
            self.assertRegex(title, r"\A# .+\Z", page)
            self.assertRegex(blocks[0], r"\AFor [a-z]", f"{page}: expected 'For ', the readers of the page and what it has")
            self.assertRegex(blocks[-1], r"(?s)\ANext: .*\]\(", f"{page}: expected 'Next: ' and a link to what to read next")


if __name__ == "__main__":
    unittest.main()
