"""What ctest knows about the tests of a build tree: each has its labels, and no module of tests is forgotten.

    check_labels.py --ctest ctest --build build/release [--tests tests]

Every test is quick or slow and of one kind. With --tests (in a tree that registers everything): every module
tests/{functional,fault,tree}/test_*.py is run by a test, and one that drives the programs and has a full form (it reads
FULL or is marked @full_form) by a test NAME_full, too.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

RUNS = {"quick", "slow"}
KINDS = {"unit", "tree", "functional", "fault", "load", "fuzz"}


def labels_of(test):
    for each in test.get("properties", []):
        if each["name"] == "LABELS":
            return set(each["value"])
    return set()


def environment_of(test):
    for each in test.get("properties", []):
        if each["name"] == "ENVIRONMENT":
            return each["value"]
    return []


def check_tests(tests):
    problems = []
    for test in tests:
        labels = labels_of(test)
        for what, known in (("of quick and slow", RUNS), (f"kind of {', '.join(sorted(KINDS))}", KINDS)):
            found = sorted(labels & known)
            if len(found) != 1:
                problems.append(f"{test['name']}: expected exactly one {what} among its labels, found {found or 'none'}")
        for unknown in sorted(labels - RUNS - KINDS - {"sanitize"}):
            problems.append(f"{test['name']}: unknown label {unknown}")
    return problems


def check_modules(tests, sources):
    """`sources`: text of each module by its dotted name."""
    problems = []
    for module, text in sorted(sources.items()):
        forms = {form for test in tests if module in test.get("command", []) for form in environment_of(test)
                 if form.startswith("EXPORT_WORKER_FORM=")}
        if not forms:
            problems.append(f"{module}: no test runs it; declare it in tests/CMakeLists.txt")
        elif not module.startswith("tree.") and re.search(r"\bFULL\b|@full_form\b", text) and "EXPORT_WORKER_FORM=full" not in forms:
            problems.append(f"{module}: has a full form, but no test runs it; add FULL to its declaration in tests/CMakeLists.txt")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ctest", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--tests", type=pathlib.Path)
    arguments = parser.parse_args()
    listed = subprocess.run([arguments.ctest, "--test-dir", arguments.build, "--show-only=json-v1"], check=True, capture_output=True, text=True)
    tests = json.loads(listed.stdout)["tests"]
    problems = check_tests(tests) if tests else ["ctest lists no test"]
    if arguments.tests:
        sources = {f"{path.parent.name}.{path.stem}": path.read_text(encoding="utf-8")
                   for folder in ("functional", "fault", "tree") for path in (arguments.tests / folder).glob("test_*.py")}
        problems += check_modules(tests, sources)
    for problem in problems:
        print(problem)
    print(f"{len(tests)} tests, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
