"""Every verb of exportctl used wrong: the status and the first line of each stand in tests/golden/exportctl_verbs.txt.

EXPORT_WORKER_WRITE_GOLDEN=1 writes the file anew.
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, SystemTest
from functional.skips import sqlite_only

GOLDEN = SOURCE / "tests" / "golden" / "exportctl_verbs.txt"
NOBODY = 65534
# Wrong for everybody: even root makes nothing below a file.
VALUES = {"FILE": "/dev/null/file", "DIRECTORY": "/dev/null/directory", "N": "1", "TIME": "1h"}
WRONG = "no/such"


def usages():
    """Each verb with the arguments and flags it cannot do without, from its help."""
    listed = subprocess.run([BUILD / "bin" / "exportctl", "_man", "exportctl.1"], capture_output=True, text=True, check=True, timeout=60).stdout
    for verb, usage in re.findall(r'\.SS "(.*?)"\n\.B exportctl (.*)\n', listed.replace("\\-", "-")):
        words = verb.split()
        given = usage.removeprefix(verb).split()
        wrong = [word if word.startswith("-") else VALUES.get(word, WRONG) for word in given if not word.startswith("[")]
        yield words, wrong


@sqlite_only
class VerbsTest(SystemTest):
    def run_ctl(self, words, program=BUILD / "bin" / "exportctl", config=None, env=None, **more):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        # What timedatectl and systemctl tell doctor depends on the machine.
        environment = {**os.environ, **(env or {}), "PATH": "/nonexistent"}
        return subprocess.run([program, "--config", config or self.system.config, *words], text=True, timeout=60, env=environment, **streams)

    def row(self, verb, how, done):
        output = done.stderr or done.stdout or ""
        line = output.splitlines()[0] if output else ""
        line = line.replace(str(self.system.directory), "DIR").replace(str(BUILD / "bin"), "BIN")
        line = re.sub(r"\b[0-9a-f]{16,}\b", "HEX", line)
        line = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
        line = re.sub(r"  +", "  ", line)
        line = re.sub(r"pid \d+", "pid N", re.sub(r"\d+\.\d+\.\d+", "VERSION", line))
        # A disk that is nearly full is a warning.
        status = 0 if verb == ["doctor"] and done.returncode == 1 else done.returncode
        return f"{' '.join(verb)} | {how} | {status} | {line[:240]}".rstrip()

    def with_a_daemon(self, verb, wrong):
        yield self.row(verb, "no arguments", self.run_ctl(verb))
        yield self.row(verb, "too many arguments", self.run_ctl([*verb, *[WRONG] * 4]))
        yield self.row(verb, "wrong arguments", self.run_ctl([*verb, *wrong]))
        with open("/dev/full", "w") as full:
            yield self.row(verb, "full output", self.run_ctl([*verb, *wrong], stdout=full))

    def without_a_daemon(self, verb, wrong):
        config = self.system.directory / "away.ini"
        return self.row(verb, "no daemon", self.run_ctl([*verb, *wrong], config=config))

    def without_rights(self, verb, wrong):
        program = self.system.directory / "exportctl"  # Where another user can run it.
        others = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        # In a tree that measures coverage, the runtime of gcov complains where it may not write.
        env = {"GCOV_PREFIX": str(self.counts)}
        return self.row(verb, "no rights", self.run_ctl([*verb, *wrong], program=program, env=env, **others))

    def table(self):
        verbs = sorted(usages(), key=lambda each: each[0] == ["drain"])  # The last one.
        rows = {tuple(verb): list(self.with_a_daemon(verb, wrong)) for verb, wrong in verbs}
        (self.system.directory / "away.ini").write_text(f"[daemon]\nstate_dir = {self.system.directory}/away\n")
        with concurrent.futures.ThreadPoolExecutor(12) as pool:  # Each waits for a daemon that does not come.
            away = [pool.submit(self.without_a_daemon, *each) for each in verbs]
            for (verb, _), row in zip(verbs, away):
                rows[tuple(verb)].append(row.result())
        shutil.copy(BUILD / "bin" / "exportctl", self.system.directory)
        self.system.directory.chmod(0o755)
        self.counts = self.system.directory / "counts"
        self.counts.mkdir()
        self.counts.chmod(0o777)
        socket = self.system.state / "run" / "control.sock"
        socket.chmod(0)
        for verb, wrong in verbs:
            rows[tuple(verb)].append(self.without_rights(verb, wrong))
        return "".join(row + "\n" for verb, _ in verbs for row in rows[tuple(verb)])

    def test_every_verb_used_wrong(self):
        self.maxDiff = None
        found = self.table()
        if os.environ.get("EXPORT_WORKER_WRITE_GOLDEN"):
            GOLDEN.write_text(found)
        self.assertEqual(found, GOLDEN.read_text())


class ErrorsTest(SystemTest):
    @classmethod
    def configure(cls, system):
        roles = system.directory / "roles.ini"
        roles.write_text((SOURCE / "etc" / "roles.ini").read_text())
        roles.chmod(0o644)
        system.extra = f"[auth]\nroles_file = {roles}\n"

    def ctl(self, *words, **more):
        return self.system.ctl(*words, check=False, **more)

    def test_an_error_is_one_json_object_under_json(self):
        for words, status, code in ((["statsu"], 64, "usage"), (["job", "list", "--limti", "1"], 64, "usage"), (["job", "show", "nope"], 1, "not_found"),
                                    (["template", "put", "t", "/no/such", "--organization", "acme"], 64, "usage"),
                                    (["plugin", "show", "nope"], 1, "refused"), (["job", "list", "--limit", "9999"], 1, "invalid_argument")):
            done = self.ctl("--json", *words)
            error = json.loads(done.stderr)["error"]
            self.assertEqual((done.returncode, done.stdout, error["code"], error["status"]), (status, "", code, status), words)
            plain = self.ctl(*words)
            self.assertEqual(plain.stderr, f"exportctl: {error['message']}\n")
        with open("/dev/full", "w") as full:
            done = subprocess.run([BUILD / "bin" / "exportctl", "--json", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual((done.returncode, json.loads(done.stderr)["error"]["code"]), (74, "output_lost"))

    def test_the_configuration_of_the_environment(self):
        def status(**environment):
            return subprocess.run([BUILD / "bin" / "exportctl", "status"], capture_output=True, text=True, timeout=20, env={**os.environ, **environment})
        self.assertEqual(status(EXPORT_WORKER_CONFIG=str(self.system.config)).returncode, 0)
        missing = status(EXPORT_WORKER_CONFIG="/no/such.ini")
        self.assertEqual((missing.returncode, "/no/such.ini" in missing.stderr), (78, True), missing.stderr)

    def test_help_in_every_way(self):
        asked = [self.ctl(*words).stdout for words in (["-h"], ["--help"], ["help"])]
        self.assertEqual(len(set(asked)), 1)
        self.assertIn("export submit", asked[0])
        for words in (["plugin", "--help"], ["help", "plugin"], ["plugin", "-h"]):
            done = self.ctl(*words)
            self.assertEqual((done.returncode, "plugin reload NAME" in done.stdout, "job list" in done.stdout), (0, True, False), words)
        for words in (["job", "list", "-h"], ["help", "job", "list"]):
            self.assertIn("Examples:\n  exportctl job list", self.ctl(*words).stdout)

    def test_a_job_list_says_whose_each_job_is(self):
        for organization in ("acme", "umbrella"):
            self.system.import_generated(2, organization)
            self.system.export(organization)
        listed = self.system.ctl_json("job", "list")["items"]
        self.assertEqual(sorted(job["organization_id"] for job in listed), ["acme", "umbrella"])
        self.assertRegex(self.ctl("job", "list").stdout, r"(?m)^JOB +ORGANIZATION +TYPE .*\n.* umbrella ")
        # An API client learns nothing new.
        of_client = self.system.api("GET", "/api/jobs/", self.system.make_key()).json["items"]
        self.assertEqual([job.get("organization_id") for job in of_client], [None])

    def test_a_role_that_does_not_exist_is_refused(self):
        done = self.ctl("member", "set", "ann", "--organization", "acme", "--role", "Viewer,Emperor")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"roles: expected .*Admin.* Viewer.*, found 'Emperor'")
        self.assertEqual(self.system.ctl_json("member", "list")["items"], [])
        self.assertEqual(self.ctl("member", "set", "ann", "--organization", "acme", "--role", "Viewer").returncode, 0)


if __name__ == "__main__":
    unittest.main()
