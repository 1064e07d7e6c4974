"""The last lines of scripts/test: what was skipped, left out and not run, and how many tests passed.

    summary.py --logs build/log --slow 12 --not-run "asan tsan"

Reads results.tsv (a line a step: name, passed|failed|skipped|not reached, reason) and, for the steps that ran tests,
STEP.xml, which ctest writes. A step without tests of its own counts as one test. Exits with 1 if something failed.
"""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree

LINE = re.compile(r"^(SKIPPED|LEFT OUT): (.*)$", re.M)


class Summary:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.skips = []  # "what: reason; install package"
        self.left_out = {}  # Peer: tests.
        self.failures = []

    def add_junit(self, step, text):
        """What ctest --output-junit has written; returns how many tests failed."""
        failed = 0
        for case in xml.etree.ElementTree.fromstring(text).iter("testcase"):
            name = case.get("name")
            lines = LINE.findall(case.findtext("system-out") or "")
            skips = [line for kind, line in lines if kind == "SKIPPED"]
            for test, _, peer in (line.rpartition(": ") for kind, line in lines if kind == "LEFT OUT"):
                self.left_out.setdefault(peer, set()).add(test)
            self.skips += [f"{step}: {skip}" for skip in skips]
            if case.find("failure") is not None or case.get("status") == "fail":
                failed += 1
                self.failures.append(f"{step}: {name}; again: ctest --preset {step} -R '^{name}$' --output-on-failure")
            elif case.find("skipped") is None:
                self.passed += 1
            elif skips or not lines:  # Otherwise --without has left out all of it.
                self.skipped += 1
                if not skips:
                    self.skips.append(f"{step}: {name}: {case.find('skipped').get('message')}")
        self.failed += failed
        return failed

    def add_step(self, step, status, reason, junit):
        failed = self.add_junit(step, junit) if junit is not None else 0
        if status == "failed" and failed == 0:  # A build, a fuzz target, a check.
            self.failed += 1
            self.failures.append(step)
        elif status == "skipped":
            self.skipped += 1
            self.skips.append(f"{step}: {reason}")
        elif status == "passed" and junit is None:
            self.passed += 1


def report(summary, not_reached, slow, not_run):
    lines = [f"SKIPPED: {skip}" for skip in summary.skips]
    lines += [f"left out by --without {peer}: {len(tests)}" for peer, tests in sorted(summary.left_out.items())]
    lines += [f"FAILED: {failure}" for failure in summary.failures]
    if not_reached:
        lines.append(f"not reached after the failure: {', '.join(not_reached)}")
    rest = ([f"{slow} slow tests"] if slow else []) + not_run
    if rest:
        lines.append(f"not run here: {', '.join(rest)}; run them with scripts/test --all")
    lines.append(f"{summary.passed} passed, {summary.failed} failed, {summary.skipped} skipped")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=pathlib.Path, required=True)
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--not-run", default="")
    arguments = parser.parse_args()
    summary, not_reached = Summary(), []
    for line in (arguments.logs / "results.tsv").read_text().splitlines():
        step, status, reason = line.split("\t")
        if status == "not reached":
            not_reached.append(step)
            continue
        junit = arguments.logs / f"{step}.xml"
        summary.add_step(step, status, reason, junit.read_text() if junit.exists() else None)
    print(report(summary, not_reached, arguments.slow, arguments.not_run.split()))
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
