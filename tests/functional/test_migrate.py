"""exportctl migrate: from the files of a real daemon into PostgreSQL, through every crash on the way, and back."""
import datetime
import hashlib
import json
import os
import signal
import subprocess
import unittest

from functional.harness import BUILD, FULL, System, need_node, wait_until
from functional.postgres import shared_server
from functional.stores import S3

FAULTS_DAEMON = BUILD / "tests" / "bin" / "export-workerd-faults"
# Where a kill -9 comes, and whether the copy is whole in PostgreSQL then.
KILLED_AT = [("migrate.copying:kill:1", False), ("migrate.copying:kill:9", False), ("migrate.copied:kill", False), ("migrate.compared:kill", False),
             ("migrate.committed:kill", True), ("migrate.marked:kill", True), ("migrate.file_marked:kill:1", True), ("migrate.file_marked:kill:3", True)]
KILLED_BACK_AT = ["migrate.emptied:kill", "migrate.file_freed:kill:1", "migrate.file_freed:kill:3"]
PRODUCTS = 200 if FULL else 40


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


class MigrateTest(unittest.TestCase):
    def setUp(self):
        self.system = System(database="sqlite")
        self.addCleanup(self.system.close)
        self.server = shared_server()
        self.schema = self.server.new_schema()

    def on_postgres(self):
        """From here on the configuration is that of the daemons of afterwards."""
        self.system.server, self.system.conninfo, self.system.schema = self.server, self.server.conninfo(), self.schema

    def on_sqlite(self):
        self.system.server = self.system.schema = None

    def migrate(self, *flags, fault=None, status=0):
        program = [] if fault is None else ["--daemon", FAULTS_DAEMON]
        env = {**os.environ, **({} if fault is None else {"EXPORT_WORKER_FAULTS": fault})}
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", self.system.config, "migrate", "--from", self.system.state, *program, *flags],
                              capture_output=True, text=True, timeout=600, env=env)
        self.assertEqual(done.returncode, -signal.SIGKILL if fault else status, done.stdout + done.stderr)
        return done

    def start_with_jobs(self):
        """Jobs of every kind, by name. The daemon runs."""
        self.system.start()
        self.system.import_generated(PRODUCTS)
        self.key = self.system.make_key(permissions="product:read,job:read,job:create,template:write")
        self.second_key = self.system.make_key("beta")
        later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        jobs = {"csv": self.system.export("acme", "--filename", "Stühle 椅子.csv")["job_id"],
                "jsonl": self.system.export("acme", "--format", "jsonl", "--compression", "gzip")["job_id"],
                "xlsx": self.system.export("acme", "--format", "xlsx")["job_id"],
                "scheduled": self.system.submit(self.key, format="csv", start_at=later, deadline_s=600),
                "held": self.system.submit(self.key, format="csv", start_at=later),
                "cancelled": self.system.submit(self.key, format="csv", start_at=later)}
        self.system.ctl("job", "hold", jobs["held"])
        self.system.ctl("job", "cancel", jobs["cancelled"])
        keyed = self.system.api("POST", "/api/products/export-async", self.key, {"format": "csv", "start_at": later}, Idempotency_Key="once")
        jobs["keyed"] = keyed.json["job_id"]
        self.keyed_start = later
        wire = self.system.wire()
        jobs["external"] = wire.call("jobs.create", {"job_type": "import", "total_items": 9, "deadline_s": 86_400}, self.key)["result"]["job_id"]
        reply = wire.call("jobs.report_progress", {"job_id": jobs["external"], "mark_started": True, "processed_items": 4, "message": "a\x00b ü",
                                                   "error": {"error_type": "bad_row", "message": "row 3", "entity_key": "k"}}, self.key)
        self.assertTrue(reply["ok"], reply)
        wire.close()
        self.system.ctl("organization", "set", "acme", "--weight", "3")
        return jobs

    def shown(self, jobs):
        return {name: self.system.ctl_json("job", "show", job) for name, job in jobs.items()}

    def assert_same(self, before, after):
        """Deadlines count by the registry's own time, and are shown as of now."""
        for name, job in before.items():
            again = dict(after[name])
            for key in ("deadline_at", "message"):
                self.assertEqual(job.get(key) is None, again.get(key) is None, name)
            self.assertEqual({k: v for k, v in job.items() if k not in ("deadline_at", "message")},
                             {k: v for k, v in again.items() if k not in ("deadline_at", "message")}, name)

    def notices(self):
        wire = self.system.wire()
        items = wire.call("jobs.notices", {}, self.key)["result"]["items"]
        wire.close()
        return items

    def download(self, job):
        link = self.system.mint(job, self.key)
        self.assertEqual(link.status, 200, link.body)
        answer = self.system.fetch(link.json["download_url"])
        self.assertEqual(answer.status, 200)
        return sha256(answer.body)

    def row_hashes(self):
        """The rows of everything that was copied, as psql prints them."""
        tables = "job job_entry job_event job_access file notice product property_path product_count price export_template api_key member session organization".split()
        return {table: sha256(json.dumps(self.server.query(f"SELECT t::text FROM {table} t ORDER BY 1", self.schema))) for table in tables}

    def test_a_daemon_goes_on_where_the_other_one_stopped(self):
        jobs = self.start_with_jobs()
        link = self.system.mint(jobs["csv"], self.key).json["download_url"]
        self.system.daemon.stop()  # Which writes what was counted in memory.
        self.system.start_daemon()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        before, notices = self.shown(jobs), self.notices()
        bytes_before = {name: self.download(jobs[name]) for name in ("csv", "jsonl", "xlsx")}
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        printed = self.migrate().stdout
        self.assertRegex(printed, r"(?m)^job +8  [0-9a-f]{64}$")
        self.assertRegex(printed, rf"(?m)^product +{PRODUCTS}  [0-9a-f]{{64}}$")
        self.assertIn("moved to PostgreSQL", printed)
        self.system.start_daemon()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assert_same(before, self.shown(jobs))
        self.assertEqual(self.notices(), notices)
        self.assertEqual(self.system.fetch(link).status, 200, "a link of before")
        self.assertEqual({name: self.download(jobs[name]) for name in bytes_before}, bytes_before)
        self.assertEqual(self.system.api("GET", "/api/jobs/", self.second_key).status, 200)
        again = self.system.api("POST", "/api/products/export-async", self.key, {"format": "csv", "start_at": self.keyed_start}, Idempotency_Key="once")
        self.assertEqual(again.json["job_id"], jobs["keyed"])
        later = self.system.export("acme", "--filename", "Stühle 椅子.csv")
        self.assertEqual(self.download(later["job_id"]), bytes_before["csv"], "the same products give the same bytes")
        numbers = [notice["sequence"] for notice in wait_until("the next notice", lambda: len(self.notices()) > len(notices) and self.notices())]
        self.assertEqual(numbers, list(range(1, len(notices) + 2)))
        self.system.ctl("job", "release", jobs["held"])

    def test_a_job_that_ran_when_the_daemon_died_runs_again(self):
        self.system.start()
        self.system.import_generated(PRODUCTS)
        self.system.daemon.stop()
        self.system.start_daemon(faults="file.before_sync:kill")
        job = self.system.ctl("--json", "export", "submit", "--organization", "acme", check=False)
        job = json.loads(job.stdout)["job_id"]
        self.assertEqual(self.system.wait_for_death(), -signal.SIGKILL)
        self.on_postgres()
        self.assertIn("jobs that were running: 1", self.migrate().stdout)
        self.system.start_daemon()
        wait_until("the job", lambda: self.system.job_when(job, "completed"))
        self.assertEqual(self.server.query(f"SELECT crashes, attempt FROM job WHERE job_id = '{job}'", self.schema), [["1", "1"]])
        kinds = [row[0] for row in self.server.query(f"SELECT kind FROM job_event WHERE job_id = '{job}' ORDER BY number", self.schema)]
        self.assertEqual(kinds, ["submitted", "claimed", "rescued", "claimed", "published"])
        self.assertEqual(len(self.system.files()), 1)

    def test_after_a_kill_at_any_point_the_same_command_ends_it(self):
        jobs = self.start_with_jobs()
        self.assertEqual(self.system.daemon.stop(), 0)
        hashes = None
        for fault, is_whole in KILLED_AT:
            with self.subTest(fault):
                self.on_postgres()
                self.migrate(fault=fault)
                copied = self.server.query("SELECT count(*) FROM job", self.schema) if self.server.query(f"SELECT to_regclass('{self.schema}.job')")[0][0] else [["0"]]
                self.assertEqual(copied, [[str(len(jobs)) if is_whole else "0"]])
                self.assertIn("before" if is_whole else "moved to PostgreSQL", self.migrate().stdout)
                found = self.row_hashes()
                # What is measured from the time of the move differs from move to move.
                for table in ("job", "organization", "notice"):
                    found.pop(table)
                hashes = hashes or found
                self.assertEqual(found, hashes)
                self.migrate("--undo")
        for fault in KILLED_BACK_AT:
            with self.subTest(fault):
                self.migrate()
                self.migrate("--undo", fault=fault)
                self.assertIn("interrupted", self.migrate(status=1).stderr)
                self.assertIn("serve again", self.migrate("--undo").stdout)
        self.on_sqlite()
        self.system.start_daemon()
        self.assertEqual(self.system.ctl_json("job", "show", jobs["held"])["held"], True)

    def test_a_kill_in_the_middle_of_many_rows_leaves_none(self):
        self.start_with_jobs()
        self.system.import_generated(50_000, "beta")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        for count in (14, 15):  # The first and second COPY of products.
            self.migrate(fault=f"migrate.copying:kill:{count}")
            self.assertEqual(self.server.query("SELECT count(*) FROM product", self.schema), [["0"]])
        self.assertRegex(self.migrate().stdout, rf"(?m)^product +{50_000 + PRODUCTS}  ")
        self.assertEqual(self.server.query("SELECT sum(products) FROM product_count", self.schema), [[str(50_000 + PRODUCTS)]])

    def test_a_daemon_that_starts_meanwhile_waits_for_the_end(self):
        jobs = self.start_with_jobs()
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        moving = subprocess.Popen([BUILD / "bin" / "exportctl", "--config", self.system.config, "migrate", "--from", self.system.state, "--daemon", FAULTS_DAEMON],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "EXPORT_WORKER_FAULTS": "migrate.copied:pause", "EXPORT_WORKER_FAULT_DIRECTORY": str(self.system.directory)})
        self.addCleanup(moving.kill)
        self.system.paused_at("migrate.copied")
        other = System(database="postgres")
        self.addCleanup(other.close)
        other.schema = self.schema
        other.extra = "[export]\nworkers = 0\n"
        other.start_daemon(must_start=False)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until("the daemon to wait", lambda: self.server.query(waiting) == [["1"]])
        self.assertNotIn("ready", other.daemon.text())
        self.system.let_go("migrate.copied")
        self.assertEqual(moving.wait(60), 0)
        other.daemon.wait_for_log("ready: data on")
        self.assertTrue(other.ctl_json("job", "show", jobs["held"])["held"])

    def test_the_way_back_is_open_until_postgres_takes_a_write(self):
        jobs = self.start_with_jobs()
        before = self.shown(jobs)
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        self.migrate()
        self.on_sqlite()
        self.system.start_daemon(must_start=False)
        self.assertEqual(self.system.wait_for_death(), 78)
        self.assertIn("were moved to PostgreSQL", self.system.daemon.text())
        (self.system.state / "moved-to-postgres").rename(self.system.directory / "mark")
        self.system.start_daemon(must_start=False)
        self.assertEqual(self.system.wait_for_death(), 78)
        self.assertIn("its rows were moved to PostgreSQL", self.system.daemon.text())
        (self.system.directory / "mark").rename(self.system.state / "moved-to-postgres")
        self.on_postgres()
        self.migrate("--undo")
        self.on_sqlite()
        self.system.start_daemon()
        self.assert_same(before, self.shown(jobs))
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        self.migrate()
        self.system.start_daemon()
        self.assertIn("held by another running process", self.migrate("--undo", status=1).stderr)
        self.system.make_key("acme")
        self.assertEqual(self.system.daemon.stop(), 0)
        self.assertIn("PostgreSQL has taken writes since the move", self.migrate("--undo", status=1).stderr)

    def test_what_cannot_be_moved_is_refused_with_words(self):
        self.system.start()
        self.assertIn("[database] kind: expected postgres, found sqlite", self.migrate(status=78).stderr)
        self.on_postgres()
        self.assertIn("held by another running process", self.migrate(status=1).stderr)
        self.on_sqlite()
        self.system.make_key()
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        self.system.start_daemon(must_start=False)
        self.assertEqual(self.system.wait_for_death(), 78)
        self.assertIn("exportctl migrate", self.system.daemon.text())
        self.assertIn("was not moved to PostgreSQL", self.migrate("--undo", status=1).stderr)
        other = System(database="postgres")
        self.addCleanup(other.close)
        other.start()
        other.make_key()
        self.schema = other.schema
        self.on_postgres()
        self.assertRegex(self.migrate(status=1).stderr, "the daemon '.*' uses the schema")
        self.assertEqual(other.daemon.stop(), 0)
        self.assertIn("expected no jobs, products and keys, found rows in api_key", self.migrate(status=1).stderr)
        self.assertFalse((self.system.state / "moved-to-postgres").exists())

    def test_files_follow_into_the_bucket_however_often_it_is_killed(self):
        need_node("s3rver", "@smithy/signature-v4")
        emulator = S3()
        self.addCleanup(emulator.close)
        jobs = self.start_with_jobs()
        exports = {name: jobs[name] for name in ("csv", "jsonl", "xlsx")}
        before = {name: self.download(job) for name, job in exports.items()}
        self.assertEqual(self.system.daemon.stop(), 0)
        self.on_postgres()
        self.system.extra = emulator.config(self.system) + "[export]\nstore = remote\n"
        self.migrate("--files", fault="migrate.uploaded:kill:2")
        self.migrate("--files", fault="migrate.file_moved:kill:1")
        files = self.system.files()
        victim = next(path for path in files if jobs["xlsx"] in path.name)
        kept = victim.read_bytes()
        victim.write_bytes(b"damaged")
        done = self.migrate("--files", status=65)
        self.assertIn(f"left  {jobs['xlsx']}", done.stdout)
        victim.write_bytes(kept)
        self.system.start_daemon()
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(self.download(exports["xlsx"]), before["xlsx"], "from the directory, as long as its job names it")
        self.assertIn("1 files moved", self.migrate("--files").stdout)
        self.assertEqual(self.system.files(), files, "an operator removes them")
        self.assertEqual(len(emulator.objects()), 3)
        for name, job in exports.items():
            shown = self.system.ctl_json("job", "show", job)
            self.assertTrue(shown["metadata"]["file_url"].startswith("s3://merchant-exports/exports/acme/"), shown)
            link = self.system.mint(job, self.key).json["download_url"]
            fetched = subprocess.run(["curl", "-sf", link], capture_output=True, timeout=60)
            self.assertEqual((fetched.returncode, sha256(fetched.stdout)), (0, before[name]), name)


if __name__ == "__main__":
    unittest.main()
