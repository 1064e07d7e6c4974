"""The operators' command line, typed right and typed wrong."""
import csv
import json
import os
import pathlib
import random
import re
import subprocess
import unittest

from functional.harness import BUILD, SystemTest, wait_until

EXAMPLE = ('{"provider":"s3","method":"GET","bucket":"examplebucket","key":"test.txt","region":"us-east-1","endpoint":"https://s3.amazonaws.com",'
           '"addressing":"virtual","access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",'
           '"session_token":null,"at":"2013-05-24T00:00:00Z","expires_in":86400,"query":{}}')


class ExportctlTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        cls.catalog = system.import_generated(200)

    def ctl(self, *arguments, **more):
        return self.system.ctl(*arguments, check=False, **more)

    def test_wrong_command_lines_say_what_is_wrong(self):
        cases = [
            (["statsu"], 64, "did you mean 'status'?"), (["key", "creat"], 64, "did you mean 'key create'?"),
            (["status", "--wait"], 64, "has no flag --wait"), (["job", "show"], 64, "expected JOB"),
            (["--jsno", "status"], 64, "jsno"), (["catalog", "import", "x.jsonl"], 64, "--organization"),
            (["catalog", "import", "--organization", "acme", "/no/such/file"], 64, "No such file"),
            (["catalog", "generate", "--products", "many"], 64, "--products: expected a whole number, found 'many'"),
            (["catalog", "generate"], 64, "--products N"), (["catalog", "generate", "--products", "1", "--seed", "x"], 64, "--seed: expected a whole number, found 'x'"),
            (["organization", "set", "acme", "--weight", "0.5"], 64, "--weight: expected a whole number, found '0.5'"),
            (["organization", "set", "acme", "--stored-bytes-max", "10GB"], 64, "--stored-bytes-max: expected a whole number or 'none', found '10GB'"),
            (["organization", "set", "acme", "--running-max", "none"], 64, "--running-max: expected a whole number or 'default', found 'none'"),
            (["export", "submit", "--organization", "acme", "--max-attempts", "abc"], 64, "--max-attempts: expected a whole number, found 'abc'"),
            (["export", "submit", "--organization", "acme", "--deadline-s=-1"], 64, "--deadline-s: expected a whole number, found '-1'"),
            (["job", "list", "--limit", "99999999999999999999"], 64, "--limit: expected a whole number, found '99999999999999999999'"),
            (["key", "create", "--organization", "acme", "--permission", "product:raed"], 1, "product:read"),
            (["key", "create", "--organization", "../etc"], 1, "expected 1 to 64"),
            (["key", "revoke", "nope"], 1, "No key has the id"), (["job", "show", "nope"], 1, "Job not found"),
            (["link", "nope"], 1, "Export job not found"), (["export", "submit", "--organization", "acme", "--format", "xls"], 1, "csv, jsonl or xlsx"),
            (["plugin", "load", "/no/such/plugin.so"], 1, "open /no/such/plugin.so: No such file"), (["plugin", "show", "nope"], 1, "no plugin 'nope'"),
            (["plugin", "reload", "nope"], 1, "no plugin 'nope'"), (["plugin", "rollback", "nope"], 1, "no plugin 'nope'"),
            (["plugin", "quarantine", "lift"], 64, "expected HASH"), (["plugin", "quarantine"], 64, "no verb 'plugin quarantine'"),
            (["plugin", "quarantine", "list", "--state-dir", "/x"], 64, "only with --offline"),
            (["plugin", "quarantine", "list", "--offline", "--state-dir", ""], 64, "--state-dir: expected a path"),
            (["plugin", "reload"], 64, "expected NAME"), (["plugin", "reload", "x", "--dryrun"], 64, "dryrun"),
        ]
        for arguments, status, text in cases:
            done = self.ctl(*arguments)
            self.assertEqual(done.returncode, status, (arguments, done.stderr))
            self.assertIn(text, done.stderr, arguments)
            self.assertEqual(done.stdout, "", arguments)

    def test_every_input_is_bounded(self):
        large = self.system.directory / "large"
        with open(large, "wb") as file:
            file.truncate(1 << 30)  # One line of 1 GiB of NULs that takes no space.
        for words, text in ((["template", "put", "tt", large, "--organization", "acme"], "expected at most 524288 bytes, found more"),
                            (["template", "put", "tt", "-", "--organization", "acme"], "expected at most 524288 bytes, found more"),
                            (["catalog", "import", large, "--organization", "acme"], "expected lines of text"),
                            (["catalog", "import-prices", large, "--organization", "acme"], "expected lines of text"), (["sign"], "expected lines of text")):
            with open(large, "rb") as stdin:
                done = subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, *words], stdin=stdin, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, text in done.stderr), (1, True), (words, done.stderr))
        done = self.ctl("sign", stdin=" " + "x" * (1 << 20) + "\n" + EXAMPLE + "\n")
        self.assertEqual(done.returncode, 65)
        answers = [json.loads(answer) for answer in done.stdout.splitlines()]
        self.assertIn("found 1048577", answers[0]["error"]["message"])
        self.assertIn("url", answers[1])
        prices = self.system.directory / "long.jsonl"
        prices.write_text("x" * 600_000 + "\n" + '{"key":"k1","productType":"t","properties":{}}' + "\n")
        self.assertIn("line 1: expected at most 524288 bytes, found 600000", self.ctl("catalog", "import", "--organization", "long", prices).stderr)

    def test_paths_that_cannot_be_used_say_so(self):
        directory = self.system.directory / "a-directory"
        directory.mkdir()
        cases = [
            (["backup", ""], 64, "backup: expected a path"), (["plugin", "check", ""], 64, "expected a path"), (["plugin", "load", ""], 64, "expected a path"),
            (["plugin", "reload", "download_url", "--file", ""], 64, "--file: expected a path"),
            (["template", "put", "tt", directory, "--organization", "acme"], 1, f"read {directory}: expected a file, found a directory"),
            (["catalog", "import", directory, "--organization", "acme"], 1, f"read {directory}: expected a file, found a directory"),
            (["catalog", "import-prices", directory, "--organization", "acme"], 1, f"read {directory}: expected a file, found a directory"),
            (["catalog", "import", "/proc/self/mem", "--organization", "acme"], 1, "read /proc/self/mem: ended with an error"),
            (["organization", "set", "acme", "--hold", "--release"], 64, "found both"),
        ]
        for arguments, status, text in cases:
            done = self.ctl(*arguments)
            self.assertEqual((done.returncode, text in done.stderr), (status, True), (arguments, done.stderr))
        daemon = subprocess.run([BUILD / "bin" / "export-workerd", "--check-plugin", ""], capture_output=True, text=True, timeout=20)
        self.assertEqual((daemon.returncode, "expected a path" in daemon.stderr), (64, True), daemon.stderr)
        open_directory = os.open(directory, os.O_RDONLY)
        self.addCleanup(os.close, open_directory)
        sign = subprocess.run([BUILD / "bin" / "exportctl", "sign"], stdin=open_directory, capture_output=True, text=True, timeout=20)
        self.assertEqual((sign.returncode, "standard input: expected a file, found a directory" in sign.stderr), (1, True), sign.stderr)

    def test_a_working_directory_that_is_gone_is_an_error(self):
        for words in (["exportctl", "--config", self.system.config, "backup", "x"], ["exportctl", "--config", self.system.config, "plugin", "load", "x.so"],
                      ["export-workerd", "--check-plugin", "x.so"]):
            gone = self.system.directory / "gone"
            gone.mkdir()
            script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
            done = subprocess.run(["sh", "-c", script, "sh", gone, BUILD / "bin" / words[0], *words[1:]], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, "No such file or directory" in done.stderr), (1, True), (words, done.stderr))

    def test_output_that_is_lost_is_an_error(self):
        def full(*words):
            with open("/dev/full", "w") as out:
                return subprocess.run([BUILD / "bin" / words[0], *words[1:]], stdout=out, stderr=subprocess.PIPE, text=True, timeout=20)
        ctl = ("exportctl", "--config", self.system.config)
        for words in ((*ctl, "status"), (*ctl, "--json", "status"), ("exportctl", "--help"), ("export-workerd", "--help"), ("export-httpd", "--version")):
            done = full(*words)
            self.assertEqual((done.returncode, "No space left on device" in done.stderr), (74, True), (words, done.stderr))
        self.system.ctl("member", "set", "lost", "--organization", "lost", "--role", "Viewer")
        for words in (("key", "create", "--organization", "lost"), ("--json", "key", "create", "--organization", "lost"), ("session", "create", "lost")):
            done = full(*ctl, *words)
            self.assertEqual(done.returncode, 74, done.stderr)
            verb = re.search(r"revoke it with exportctl (\w+) revoke (\w+)", done.stderr)
            self.assertIsNotNone(verb, done.stderr)
            self.assertEqual(self.ctl(verb[1], "revoke", verb[2]).returncode, 0)

    def test_a_key_in_place_of_an_id_is_not_repeated(self):
        key = self.system.make_key()
        for words in (("key", "revoke", key), ("key", "rotate", key, "--overlap", "1h"), ("session", "revoke", "mos_" + key[3:]),
                      ("key", "create", "--organization", key + "!")):
            done = self.ctl(*words)
            self.assertEqual(done.returncode, 1)
            self.assertNotIn(key[20:28], done.stdout + done.stderr, words)

    def test_help_and_version(self):
        self.assertIn("catalog import", self.ctl("--help").stdout)
        self.assertIn("--organization", self.ctl("export", "submit", "--help").stdout)
        for program in ("exportctl", "export-workerd", "export-httpd"):
            version = subprocess.run([str(BUILD / "bin" / program), "--version"], capture_output=True, text=True, timeout=20)
            self.assertRegex(version.stdout, rf"^{program} \d+\.\d+\.\d+\n$")

    def test_no_daemon_is_its_own_exit_status(self):
        config = self.system.directory / "nobody.ini"
        config.write_text(f"[daemon]\nstate_dir = {self.system.directory}/nobody\n")
        done = subprocess.run([str(BUILD / "bin" / "exportctl"), "--config", str(config), "status"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 69)
        self.assertIn("is export-workerd running", done.stderr)
        done = subprocess.run([str(BUILD / "bin" / "exportctl"), "--config", "/no/such.ini", "status"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 78)

    def test_import_keeps_the_good_lines_and_numbers_the_bad(self):
        lines = ['{"key":"good-1","productType":"t"}', "nonsense", '{"key":"good-2","productType":"t"}', '{"key":"no-type"}',
                 '{"key":"big","productType":"t","x":"%s"}' % ("x" * 600_000), '{"key":"good-3","productType":"t"}']
        path = self.system.directory / "mixed.jsonl"
        path.write_bytes("\n".join(lines).encode() + b'\n{"key":"\xff","productType":"t"}\n{"key":"good-4","productType":"t"}')
        done = self.ctl("catalog", "import", "--organization", "mixed", path)
        self.assertEqual(done.returncode, 65)
        self.assertIn("4 products imported, 4 lines rejected", done.stdout)
        self.assertEqual(re.findall(r"^line (\d+):", done.stderr, re.M), ["2", "4", "5", "7"])
        job = self.system.export("mixed", "--columns", "key")
        self.assertEqual(job["processed_items"], 4)

    def test_import_in_any_order_keeps_the_last_line_of_a_key(self):
        line = '{"key":"k%02d","productType":"t","properties":{"name":"%s"}}'
        lines = [line % (number % 50, f"{number // 50}") for number in reversed(range(100))] + ["nonsense", line % (7, "last"), '{"key":"no-type"}']
        done = self.ctl("catalog", "import", "--organization", "twice", "-", stdin="\n".join(lines))
        self.assertIn("101 products imported, 2 lines rejected", done.stdout)
        self.assertEqual(re.findall(r"^line (\d+):", done.stderr, re.M), ["101", "103"])
        job = self.system.export("twice", "--columns", "key,name")
        with open(job["metadata"]["file_url"].removeprefix("file://"), newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        self.assertEqual(rows[1:], [[f"k{number:02}", "last" if number == 7 else "0"] for number in range(50)])

    def test_a_shuffled_import_names_its_bad_lines_in_order(self):
        lines = ['{"key":"k%04d"}' % number for number in reversed(range(300))]
        done = self.ctl("catalog", "import", "--organization", "bad", "-", stdin="\n".join(lines))
        self.assertEqual(done.returncode, 65)
        self.assertIn("0 products imported, 300 lines rejected", done.stdout)
        numbers = [int(number) for number in re.findall(r"^line (\d+):", done.stderr, re.M)]
        self.assertEqual((len(numbers), numbers), (100, sorted(numbers)))
        self.assertIn("and 200 more bad lines", done.stderr)

    def test_a_shuffled_import_writes_as_much_as_a_sorted_one(self):
        """Products that are neighbours share a page of the database: each is written once."""
        daemon = self.system.daemon.popen.pid

        def written(organization, lines):
            before = self.bytes_written_by(daemon)
            done = self.ctl("catalog", "import", "--organization", organization, "-", stdin="".join(lines))
            self.assertEqual(done.returncode, 0, done.stderr)
            return self.bytes_written_by(daemon) - before

        lines = self.ctl("catalog", "generate", "--products", 10_000).stdout.splitlines(keepends=True)
        lines.sort(key=lambda line: json.loads(line)["key"])
        in_order = written("in-order", lines)
        random.Random(1).shuffle(lines)
        self.assertLess(written("shuffled", lines), 1.05 * in_order)

    @staticmethod
    def bytes_written_by(process):
        return int(re.search(r"^wchar: (\d+)", pathlib.Path(f"/proc/{process}/io").read_text(), re.M)[1])

    def test_csv_parses_back_to_the_catalog(self):
        products = [json.loads(line) for line in self.catalog.read_text().splitlines()]
        job = self.system.export("acme", "--columns", "key,variant_key,name,description,colors,dimensions.width_mm,price")
        path = job["metadata"]["file_url"].removeprefix("file://")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        self.assertEqual(rows[0], ["key", "variant_key", "name", "description", "colors", "dimensions.width_mm", "price"])
        expected = []
        for product in products:
            own = product["properties"]
            for variant in product.get("variants") or [None]:
                merged = {**own, **(variant["properties"] if variant else {})}
                expected.append([product["key"], variant["key"] if variant else "", own["name"], own["description"],
                                 "|".join(own["colors"]), str(own["dimensions"]["width_mm"]), merged["price"]])
        self.assertEqual(rows[1:], expected)
        self.assertTrue(any(row[3].startswith("=") for row in rows))

    def test_jsonl_is_the_catalog(self):
        job = self.system.export("acme", "--format", "jsonl")
        with open(job["metadata"]["file_url"].removeprefix("file://"), encoding="utf-8") as file:
            exported = [json.loads(line) for line in file]
        self.assertEqual(exported, [json.loads(line) for line in self.catalog.read_text().splitlines()])

    def test_submit_with_keys_filename_and_without_wait(self):
        job = self.system.export("acme", "--keys", "sku-00000001,sku-00000002,missing", "--filename", "Prüfung.csv")
        self.assertEqual(job["status"], "partial_success")
        self.assertEqual([e["entity_key"] for e in job["errors"]], ["missing"])
        link = self.system.ctl_json("link", job["job_id"])
        self.assertEqual(link["filename"], "Prüfung.csv")
        disposition = self.system.fetch(link["download_url"]).headers["Content-Disposition"]
        self.assertEqual(disposition, "attachment; filename=\"Pr_fung.csv\"; filename*=UTF-8''Pr%C3%BCfung.csv")
        failed = self.ctl("export", "submit", "--organization", "acme", "--formulas", "reject", "--wait")
        self.assertEqual(failed.returncode, 1, failed.stdout + failed.stderr)
        self.assertIn("failed", failed.stdout)
        queued = self.ctl("export", "submit", "--organization", "acme")
        self.assertRegex(queued.stdout, r"^[0-9a-f-]{36}\n$")

    def test_keys_are_shown_once_and_revocable(self):
        made = self.ctl("key", "create", "--organization", "acme", "--name", "CI")
        key = made.stdout.strip()
        self.assertRegex(key, r"^mo_[0-9a-f]{16}_[0-9a-f]{64}$")
        self.assertIn("not shown again", made.stderr)
        listed = self.ctl("key", "list", "--organization", "acme").stdout
        self.assertIn(key[3:19], listed)
        self.assertNotIn(key[20:], listed)
        self.assertNotIn(key, self.system.daemon.text())
        job = self.system.export()["job_id"]
        self.assertEqual(self.system.mint(job, key).status, 200)
        self.ctl("key", "revoke", key[3:19])
        self.assertEqual(self.system.mint(job, key).status, 401)

    def test_status_and_lists_for_people_and_programs(self):
        status = self.ctl("status")
        self.assertIn("download_url", status.stdout)
        self.assertIn("accepted", status.stdout)
        self.assertEqual(self.system.ctl_json("plugin", "list")["items"][0]["name"], "download_url")
        jobs = self.system.ctl_json("job", "list", "--organization", "acme", "--limit", "1")
        self.assertEqual(len(jobs["items"]), 1)
        self.assertIn("STATUS", self.ctl("job", "list").stdout)
        self.assertEqual(self.ctl("job", "list", "--limit", "9999").returncode, 1)

    def test_cancel_and_retry(self):
        self.system.import_generated(20000, "big")
        # One that waits is cancelled for certain; one that may run already has a definite end, too (test_races stops it at each step).
        self.ctl("organization", "set", "big", "--hold")
        waiting = self.system.ctl_json("export", "submit", "--organization", "big")["job_id"]
        self.ctl("job", "cancel", waiting)
        self.assertEqual(self.system.ctl_json("job", "show", waiting)["status"], "cancelled")
        self.ctl("organization", "set", "big", "--release")
        self.system.ctl("job", "retry", waiting)
        wait_until("the retry", lambda: self.system.job_when(waiting, "completed"))
        self.assertEqual(self.ctl("job", "cancel", waiting).returncode, 1)
        job = self.system.ctl_json("export", "submit", "--organization", "big")["job_id"]
        self.ctl("job", "cancel", job)
        status = wait_until("the job to end", lambda: self.system.job_when(job, "cancelled", "completed"))["status"]
        wait_until("its file, or none", lambda: sum(job in path.name for path in self.system.files()) == (status == "completed"))

    def test_a_callers_text_neither_moves_the_terminal_nor_forges_a_line(self):
        hostile = "x\r\n2026-11-25T12:00:00Z  forged  1  operator\x1b[2J\x7f\u009b31m\u202egpj\u2066"
        key = self.system.make_key()
        body = {"job_type": hostile[:40].split("\r")[0], "total_items": 1, "triggered_by": hostile, "metadata": {hostile: hostile, "filename": "a\x1bb.csv"}}
        created = self.system.api("POST", "/api/jobs/", key, body)
        self.assertEqual(created.status, 200, created.body)
        job = json.loads(created.body)["job_id"]
        entry = {"error_type": "E", "entity_key": hostile, "message": hostile}
        for report in ({"mark_started": True, "stage": hostile, "message": hostile, "error": entry, "warning": entry}, {"mark_failed": hostile}):
            done = self.system.api("POST", f"/api/jobs/{job}/progress", key, report)
            self.assertEqual(done.status, 200, done.body)
        self.system.ctl("member", "set", "ann" + hostile, "--organization", "acme", "--role", "Viewer", check=False)
        for words in (["job", "show", job], ["job", "events", job], ["job", "list"], ["member", "list"], ["status"], ["link", job], ["job", "show", hostile],
                      [hostile], ["job", "show", job, "--" + hostile], ["job", "cancel", job], ["--json", "job", "show", job], ["--json", "job", "events", job]):
            done = self.ctl(*words)
            shown = done.stdout + done.stderr
            self.assertEqual(re.findall("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown), [], words)
            self.assertNotIn("\n2026-11-25T12:00:00Z  forged", shown, words)
        self.assertIn("\\r\\n2026-11-25T12:00:00Z  forged", self.ctl("job", "events", job).stdout)
        self.assertEqual(self.system.ctl_json("job", "show", job)["metadata"][hostile], hostile)
        self.assertEqual(self.system.ctl_json("job", "events", job)["items"][0]["actor"], key.split("_")[1])

    def test_plugin_check_gives_the_daemons_verdict_offline(self):
        def check(*words):
            return subprocess.run([str(BUILD / "bin" / "exportctl"), *map(str, words)], capture_output=True, text=True, timeout=60)
        good = check("plugin", "check", self.system.plugin)
        self.assertEqual((good.returncode, good.stdout.splitlines()[-1]), (0, "ACCEPTED"), good.stdout + good.stderr)
        full = check("--config", self.system.config, "plugin", "check", self.system.plugin)
        self.assertIn("answers         download_url.get, download_url.explain", full.stdout)
        self.assertIn("12 golden requests", full.stdout)  # Ten of the file beside it, and an anonymous one a method.
        for defect in ("no_note", "other_major", "null_descriptor", "ctor_aborts", "replies_never"):
            bad = self.system.install("bad.so", BUILD / "fixtures" / f"broken_{defect}.so")
            refused = check("--config", self.system.config, "--json", "plugin", "check", bad)
            self.assertEqual(refused.returncode, 1)
            by_daemon = self.ctl("--json", "plugin", "load", bad)
            self.assertEqual(by_daemon.returncode, 1)
            mine, its = json.loads(refused.stdout)["refusal"], json.loads(by_daemon.stdout)["refusal"]
            for part in ("code", "stage", "expected", "hint"):
                self.assertEqual(mine[part], its[part], defect)

    def test_plugin_check_accepts_the_imports_that_the_configuration_allows(self):
        plugin = self.system.install("broken.so", BUILD / "fixtures" / "broken_forbidden_import.so")
        config = self.system.directory / "allows.ini"
        for allowed, status in (("setitimer", 1), ("system", 0)):
            config.write_text(self.system.config.read_text() + f"\n[plugin.broken]\nfile = {plugin}\nallow_imports = {allowed}\n")
            done = subprocess.run([BUILD / "bin" / "exportctl", "--config", config, "plugin", "check", plugin], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)

    def test_plugin_load_adds_a_method(self):
        minimal = self.system.install("minimal_c.so", BUILD / "fixtures" / "minimal_c.so")
        self.ctl("plugin", "load", minimal)
        wire = self.system.wire()
        self.assertEqual(wire.call("minimal.echo", {"a": [1, 2]})["result"], {"a": [1, 2]})
        wire.close()
        self.assertIn("already loaded", self.ctl("plugin", "load", minimal).stderr)

    def test_sign_reads_and_writes_lines(self):
        lines = EXAMPLE + "\n\n" + '{"provider":"s3"}' + "\n"
        done = self.ctl("sign", stdin=lines)
        self.assertEqual(done.returncode, 65)
        first, second = map(json.loads, done.stdout.splitlines())
        self.assertTrue(first["url"].endswith("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"))
        self.assertEqual(second["error"]["code"], "invalid_argument")
        explained = json.loads(self.ctl("sign", "--explain", stdin=EXAMPLE).stdout)
        self.assertIn("string_to_sign", explained)

    def test_botocore_free_check_of_the_local_scheme(self):
        import base64, hashlib, hmac
        line = json.dumps({"provider": "local", "base_url": "http://h", "path": "acme/a b.csv", "key_id": "k", "key_hex": "00" * 32,
                           "at": "2024-01-01T00:00:00Z", "expires_in": 60, "filename": "ü.csv"})
        url = json.loads(self.ctl("sign", stdin=line).stdout)["url"]
        text = "export-worker-link-v1\nGET\nacme/a%20b.csv\n1704067260\nk\n%C3%BC.csv"
        expected = base64.urlsafe_b64encode(hmac.new(b"\0" * 32, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        self.assertEqual(url, f"http://h/exports/acme/a%20b.csv?expires=1704067260&filename=%C3%BC.csv&key=k&sig={expected}")
        line = json.dumps({**json.loads(line), "store": "local", "content_type": "text/csv", "sha256": "ff" * 32})
        url = json.loads(self.ctl("sign", stdin=line).stdout)["url"]
        digest = base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"=").decode()
        text = f"export-worker-link-v2\nGET\nlocal\nacme/a%20b.csv\n1704067260\nk\n%C3%BC.csv\ntext%2Fcsv\n{digest}"
        expected = base64.urlsafe_b64encode(hmac.new(b"\0" * 32, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        self.assertEqual(url, "http://h/exports/acme/a%20b.csv?expires=1704067260&filename=%C3%BC.csv&store=local&type=text%2Fcsv"
                              f"&sha256={digest}&key=k&sig={expected}")


if __name__ == "__main__":
    unittest.main()
