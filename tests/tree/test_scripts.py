"""The scripts: they parse, they take the words their help names, and what runs the tests can fail."""
import contextlib
import fcntl
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from functional.skips import PEERS, need
from summary import Summary, report

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])


def programs(interpreter):
    """Files whose first line names the interpreter, and Python modules."""
    folders = [SOURCE / "scripts", SOURCE / ".ci", SOURCE / "bench", SOURCE / "tests", SOURCE / "examples"]
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file() and p.suffix in ("", ".py", ".sh")):
        with open(path, "rb") as file:
            first = file.readline()
        if (first.startswith(b"#!") and interpreter in first) or (interpreter == b"python" and path.suffix == ".py"):
            yield path


def run(*command, env=None, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(env or {})}, **more)


def load(name):
    """A Python script as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(SOURCE / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class TidyTest(unittest.TestCase):
    def test_each_changed_header_is_read_with_one_source(self):
        tidy = load("tidy")
        texts = {"a/own.cpp": '#include "a/own.hpp"', "a/other.cpp": '#include "a/own.hpp"', "a/own.hpp": '#include "b/deep.hpp"',
                 "b/deep.hpp": "", "c/changed.cpp": '#include "a/own.hpp"', "c/lonely.hpp": ""}
        includers = tidy.includers_of(texts)
        sources = {name for name in texts if name.endswith(".cpp")}

        def readers(*changed):
            return tidy.readers_of(set(changed), includers, sources)
        self.assertEqual(readers("a/own.hpp"), {"a/own.cpp"})
        self.assertEqual(readers("b/deep.hpp"), {"a/other.cpp"}, "the first that includes it, by way of another")
        self.assertEqual(readers("a/own.hpp", "b/deep.hpp", "c/changed.cpp"), {"c/changed.cpp"}, "it is read with what changed anyway")
        self.assertEqual(readers("c/lonely.hpp"), set())
        self.assertEqual(tidy.with_includers({"b/deep.hpp"}, includers) & sources, sources)


class SourcesTest(unittest.TestCase):
    def test_bash_parses_every_script(self):
        scripts = list(programs(b"bash"))
        self.assertIn(SOURCE / "scripts/test", scripts)
        self.assertIn(SOURCE / ".ci/run", scripts)
        for script in scripts:
            self.assertEqual(run("bash", "-n", script, env={"LC_ALL": "C"}).stderr, "")  # Not about a locale that is missing.

    def test_shellcheck(self):
        need("shellcheck")
        done = run("shellcheck", *(p for p in programs(b"bash") if p.parent.name in ("scripts", ".ci")))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_python_compiles(self):
        found = list(programs(b"python"))
        self.assertIn(SOURCE / "bench/export", found)
        for path in found:
            compile(path.read_text(encoding="utf-8"), str(path), "exec")

    def test_pyflakes(self):
        need("pyflakes", "pyflakes3")
        done = run("pyflakes3", *programs(b"python"))
        self.assertEqual(done.stdout + done.stderr, "")


class WordsTest(unittest.TestCase):
    def wrong(self, *words):
        done = run(SOURCE / "scripts" / words[0], *words[1:])
        self.assertEqual((done.returncode, done.stdout), (64, ""), done.stderr)
        return done.stderr

    def test_unknown_step(self):
        message = self.wrong("test", "release", "relase")
        self.assertIn("found 'relase'", message)
        self.assertIn("release asan tsan fuzz tidy coverage headers dev demo package", message)

    def test_unknown_option(self):
        self.assertIn("found '--full'", self.wrong("test", "--full"))

    def test_without_what(self):
        self.assertIn("expected a peer, found nothing", self.wrong("test", "--without"))
        self.assertIn("found 'windows'", self.wrong("test", "--without", "windows"))

    def test_other_scripts(self):
        self.assertIn("expected build, test, ci, full, package or bench, found 'all'", self.wrong("setup", "all"))
        self.assertIn("expected --check or nothing", self.wrong("format", "--dry-run"))
        self.assertIn("expected TARGET SECONDS [SEED]", self.wrong("fuzz", "fuzz_store"))
        self.assertIn("expected TARGET SECONDS [SEED]", self.wrong("fuzz", "fuzz_store", "60s"))
        for words in (("setup", "test", "now"), ("demo", "now"), ("coverage", "now"), ("package", "now"), ("../.ci/run", "now")):
            self.assertIn("now'", self.wrong(*words))

    def test_help(self):
        done = run(SOURCE / "scripts/test", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith("scripts/test [--strict]"))

    def test_one_run_at_a_time(self):
        (SOURCE / "build").mkdir(exist_ok=True)
        with open(SOURCE / "build" / ".lock", "ab") as lock:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Or the run that has started this test holds it.
            done = run(SOURCE / "scripts/test")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("another run is under way", done.stderr)

    def test_every_step_is_explained(self):
        steps = re.search(r"^all_steps=\((.*)\)$", (SOURCE / "scripts/test").read_text(), re.M).group(1).split()
        table = (SOURCE / "CONTRIBUTING.md").read_text().split("| step | does |")[1].split("\n\n")[0]
        explained = [word for cell in re.findall(r"(?m)^\| (`.*?`) \|", table) for word in re.findall(r"`(\w+)`", cell)]
        self.assertEqual(sorted(explained), sorted(steps))

    def test_every_peer_can_be_left_out(self):
        listed = re.search(r"^peers=\((.*)\)$", (SOURCE / "scripts/test").read_text(), re.M).group(1).split()
        self.assertEqual(listed, sorted(PEERS))


class RunModuleTest(unittest.TestCase):
    """Exit status and last lines of tests/run_module.py, with modules made up here."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def run_module(self, body, **env):
        (self.directory / "made_up.py").write_text("import unittest\nfrom functional.skips import full_form, need\n"
                                                   "class T(unittest.TestCase):\n" + body)
        clean = {"EXPORT_WORKER_STRICT": "0", "EXPORT_WORKER_WITHOUT": "", "EXPORT_WORKER_FORM": "short", "PYTHONDONTWRITEBYTECODE": "1"}
        done = run(sys.executable, SOURCE / "tests/run_module.py", "made_up", cwd=self.directory,
                   env={**clean, "PYTHONPATH": str(self.directory), **env})
        return done.returncode, done.stdout

    def test_pass_and_fail(self):
        self.assertEqual(self.run_module("    def test_a(self): pass\n"), (0, ""))
        self.assertEqual(self.run_module("    def test_a(self): self.fail()\n")[0], 1)

    def test_a_skip_is_named_and_has_its_own_status(self):
        body = "    def test_a(self): need('nginx', 'no-such-program')\n    def test_b(self): pass\n"
        line = "SKIPPED: made_up.T.test_a: no-such-program is missing; install nginx-light\n"
        self.assertEqual(self.run_module(body), (77, line))
        self.assertEqual(self.run_module(body, EXPORT_WORKER_STRICT="1"), (1, line))

    def test_a_skip_does_not_hide_a_failure(self):
        status, text = self.run_module("    def test_a(self): need('nginx', 'no-such-program')\n    def test_b(self): self.fail()\n")
        self.assertEqual((status, text.count("SKIPPED: ")), (1, 1))

    def test_a_class_that_is_skipped(self):
        body = "    @classmethod\n    def setUpClass(cls): need('wrk', 'no-such-program')\n    def test_a(self): pass\n"
        self.assertEqual(self.run_module(body), (77, "SKIPPED: made_up.T: no-such-program is missing; install wrk\n"))

    def test_what_it_has_started_ends_with_its_parent(self):
        """ctest is killed: the programs of a test end, and their directory goes."""
        body = ("    def test_a(self):\n"
                "        import os, pathlib, subprocess\n"
                "        os.environ.update(EXPORT_WORKER_BUILD='/', EXPORT_WORKER_SOURCE='/')\n"
                "        from functional.harness import scratch_directory\n"
                "        directory = scratch_directory('export-worker-')\n"
                "        program = subprocess.Popen(['sleep', '60'])\n"
                "        pathlib.Path('started').write_text(f'{program.pid} {directory}')\n"
                "        program.wait()\n")
        (self.directory / "made_up.py").write_text("import unittest\nclass T(unittest.TestCase):\n" + body)
        started = self.directory / "started"
        parent = subprocess.Popen(["sh", "-c", '"$@"; :', "sh", sys.executable, SOURCE / "tests/run_module.py", "made_up"],
                                  cwd=self.directory, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "PYTHONPATH": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"})
        self.addCleanup(parent.wait)
        self.addCleanup(parent.kill)
        self.wait_for(lambda: started.exists() and started.read_text())
        pid, directory = started.read_text().split()
        parent.kill()
        self.wait_for(lambda: not pathlib.Path(directory).exists())
        self.wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists() or "Z (zombie)" in pathlib.Path(f"/proc/{pid}/status").read_text())

    def wait_for(self, condition):
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.02)  # sleep: the pause between two looks at the condition
        self.fail("waited 20 s")

    def test_what_was_left_out_on_purpose_is_no_skip(self):
        body = "    def test_a(self): need('wrk', 'sh')\n"
        self.assertEqual(self.run_module(body), (0, ""))
        left_out = "LEFT OUT: made_up.T.test_a: wrk\n"
        self.assertEqual(self.run_module(body, EXPORT_WORKER_WITHOUT="nginx,wrk", EXPORT_WORKER_STRICT="1"), (77, left_out))
        self.assertEqual(self.run_module(body + "    def test_b(self): pass\n", EXPORT_WORKER_WITHOUT="wrk"), (0, left_out))

    def test_a_module_without_tests_fails(self):
        self.assertEqual(self.run_module("    pass\n"), (1, "no test in made_up\n"))

    def test_a_module_that_cannot_be_read_fails(self):
        self.assertEqual(self.run_module("    import no_such_module\n")[0], 1)

    def test_the_full_form(self):
        body = "    def test_a(self): pass\n    @full_form\n    def test_b(self): self.fail()\n"
        self.assertEqual(self.run_module(body)[0], 0)
        self.assertEqual(self.run_module(body, EXPORT_WORKER_FORM="full")[0], 1)

    def test_a_path_without_node(self):
        body = "    def test_a(self):\n        from functional.harness import need_node\n        need_node('zeromq')\n"
        (self.directory / "bin").mkdir()
        env = {"PATH": str(self.directory / "bin"), "EXPORT_WORKER_BUILD": "/nowhere"}
        line = "SKIPPED: made_up.T.test_a: node is missing; install nodejs npm\n"
        self.assertEqual(self.run_module(body, **env), (77, line))
        self.assertEqual(self.run_module(body, **env, EXPORT_WORKER_STRICT="1"), (1, line))

    def test_a_module_of_node_that_is_missing(self):
        body = ("    def test_a(self):\n        import functional.harness as harness\n        from unittest import mock\n"
                "        with mock.patch.object(harness, 'need'): harness.need_node('no-such-module')\n")
        status, text = self.run_module(body, EXPORT_WORKER_BUILD="/nowhere", EXPORT_WORKER_NODE_MODULES="/nowhere")
        self.assertEqual((status, text), (77, "SKIPPED: made_up.T.test_a: no-such-module missing in /nowhere; install with: scripts/setup test\n"))


class SummaryTest(unittest.TestCase):
    """The last lines of scripts/test."""

    @staticmethod
    def case(name, status, inside="", out=""):
        return f'<testcase name="{name}" status="{status}">{inside}<system-out>{out}</system-out></testcase>'

    def lines(self, steps, slow=0, not_run=()):
        summary = Summary()
        for step, status, reason, cases in steps:
            summary.add_step(step, status, reason, None if cases is None else f"<testsuite>{''.join(cases)}</testsuite>")
        return report(summary, [], slow, list(not_run)).splitlines()

    def test_counts_of_all_steps(self):
        cases = [self.case("a", "run"), self.case("b", "run")]
        self.assertEqual(self.lines([("release", "passed", "", cases), ("asan", "passed", "", cases), ("demo", "passed", "", None)]),
                         ["5 passed, 0 failed, 0 skipped"])

    def test_failures_and_skips_are_named(self):
        cases = [self.case("a", "fail", '<failure message=""/>'),
                 self.case("b", "notrun", '<skipped message="SKIP_RETURN_CODE=77"/>', "x\nSKIPPED: m.T.t: wrk is missing; install wrk\n")]
        self.assertEqual(self.lines([("release", "failed", "", cases)]),
                         ["SKIPPED: release: m.T.t: wrk is missing; install wrk", "FAILED: release: a; again: ctest --preset release -R '^a$' --output-on-failure", "0 passed, 1 failed, 1 skipped"])

    def test_a_build_that_fails_is_a_failure(self):
        self.assertEqual(self.lines([("asan", "failed", "", None)]), ["FAILED: asan", "0 passed, 1 failed, 0 skipped"])

    def test_a_step_that_cannot_run_is_a_skip(self):
        self.assertEqual(self.lines([("fuzz", "skipped", "clang++ is missing; install clang", None)]),
                         ["SKIPPED: fuzz: clang++ is missing; install clang", "0 passed, 0 failed, 1 skipped"])

    def test_what_was_left_out_is_listed_and_not_counted(self):
        cases = [self.case("a", "run", "", "LEFT OUT: S.A: vectors\nLEFT OUT: S.B: vectors\n"),
                 self.case("b", "notrun", '<skipped message="SKIP_RETURN_CODE=77"/>', "LEFT OUT: m.T: node\n")]
        self.assertEqual(self.lines([("release", "passed", "", cases)]),
                         ["left out by --without node: 1", "left out by --without vectors: 2", "1 passed, 0 failed, 0 skipped"])

    def test_what_this_call_did_not_run(self):
        self.assertEqual(self.lines([("release", "passed", "", [self.case("a", "run")])], 12, ["asan", "tsan"]),
                         ["not run here: 12 slow tests, asan, tsan; run them with scripts/test --all", "1 passed, 0 failed, 0 skipped"])


if __name__ == "__main__":
    unittest.main()
