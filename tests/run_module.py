"""Runs a module of tests as `python3 -m unittest -v` does, and makes every skip visible.

    EXPORT_WORKER_BUILD=build/release EXPORT_WORKER_SOURCE=$PWD python3 tests/run_module.py functional.test_wire
    ... tests/run_module.py functional.test_wire.WireTest.test_the_ledger_adds_up    # one test

The last lines name each skipped test, the reason and the package to install. Exit status:
     0  every test passed
     1  a test failed; or there is no test; or a test was skipped and EXPORT_WORKER_STRICT is 1
    77  a test was skipped and none failed (ctest's SKIP_RETURN_CODE); or --without left every test out
Tests marked @full_form (functional/skips.py) run unless EXPORT_WORKER_FORM is "short", those marked @sqlite_only unless
EXPORT_WORKER_DATABASE is "postgres".
"""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from functional.skips import LEFT_OUT  # noqa: E402

EXIT_SKIPPED = 77


def flatten(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flatten(each)
        else:
            yield each


def belongs(test, form, database):
    """Whether the test is part of the form, and about more than the files of another database."""
    method = getattr(test, test._testMethodName, None)

    def is_marked(mark):
        return getattr(test, mark, False) or getattr(method, mark, False)

    return not (form == "short" and is_marked("full_form_only")) and not (database != "sqlite" and is_marked("sqlite_only"))


def name_of(test):
    """The test's id; the class's for a skip in setUpClass."""
    return re.sub(r"^setUp(?:Class|Module) \((.*)\)$", r"\1", test.id())


def end_with_parent():
    """When ctest is killed or this is told to end, what the tests have started ends too, and their directories go."""
    if os.getpgrp() != os.getpid():
        os.setsid()  # The programs of the tests are in a group of their own.
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

    def end(number, _frame):
        print(f"ended by {signal.Signals(number).name}", file=sys.stderr, flush=True)
        for directory in getattr(sys.modules.get("functional.harness"), "DIRECTORIES", ()):
            shutil.rmtree(directory, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    if os.getppid() != parent:
        end(signal.SIGTERM, None)


def main(names):
    if not names:
        print("tests/run_module.py: expected the names of modules, such as functional.test_wire", file=sys.stderr)
        return 64
    loaded = unittest.defaultTestLoader.loadTestsFromNames(names)
    form = os.environ.get("EXPORT_WORKER_FORM", "")
    database = os.environ.get("EXPORT_WORKER_DATABASE", "sqlite")
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(t for t in flatten(loaded) if belongs(t, form, database)))
    skipped = [(test, reason) for test, reason in result.skipped if not reason.startswith(LEFT_OUT)]
    for test, reason in result.skipped:
        if reason.startswith(LEFT_OUT):
            print(f"LEFT OUT: {name_of(test)}: {reason.removeprefix(LEFT_OUT)}")
    for test, reason in skipped:
        print(f"SKIPPED: {name_of(test)}: {reason}")
    if not result.wasSuccessful():
        return 1
    if result.testsRun == 0 and not result.skipped:
        print(f"no test in {' '.join(names)}")
        return 1
    if skipped:
        return 1 if os.environ.get("EXPORT_WORKER_STRICT") == "1" else EXIT_SKIPPED
    ran = result.testsRun - sum(1 for test, _ in result.skipped if isinstance(test, unittest.TestCase))
    return 0 if ran > 0 else EXIT_SKIPPED


if __name__ == "__main__":
    os.umask(0o022)  # As in an installation, whatever the caller's is.
    if not sys.stdin.isatty():  # At a terminal Ctrl-C reaches the whole group.
        end_with_parent()
    sys.exit(main(sys.argv[1:]))
