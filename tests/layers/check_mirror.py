"""Unit tests mirror the tree: tests/unit/FOLDER/NAME_test.cpp tests FOLDER/NAME, or FOLDER as a whole.

Fails on a test in a folder that mirrors no source folder, on a test named after neither a source file there nor the
folder, on a source folder without a test, and on an entry of mirror.json that is unknown, without a reason or no
longer needed. Headers are exempt: fixtures and conformance suites are included by tests that are not.
"""
import argparse
import json
import pathlib
import sys

ENDING = "_test.cpp"
SOURCES = {".cpp", ".hpp", ".h", ".c"}


def check(source, layers, without_tests):
    unit = source / "tests" / "unit"
    problems, tested = [], set()
    for path in sorted(unit.rglob("*.cpp")):
        name = path.relative_to(source).as_posix()
        folder = path.parent.relative_to(unit).as_posix()
        if not path.name.endswith(ENDING):
            if folder != "support":
                problems.append(f"{name}: expected a test (*{ENDING}); helpers of many tests live in tests/unit/support")
        elif folder not in layers:
            problems.append(f"{name}: expected a folder that CMake declares, found {folder}")
        else:
            tested.add(folder)
            problems += misnamed(source / folder, name, path.name[:-len(ENDING)])
    for folder in layers:
        if folder not in tested and folder not in without_tests:
            problems.append(f"{folder}: no unit test; write tests/unit/{folder}/*{ENDING} or give the reason in mirror.json")
    for folder, reason in without_tests.items():
        if folder not in layers:
            problems.append(f"mirror.json: {folder}: no folder that CMake declares; remove the entry")
        elif folder in tested:
            problems.append(f"mirror.json: {folder}: has unit tests; remove the entry")
        if not reason.strip():
            problems.append(f"mirror.json: {folder}: the reason is missing")
    return problems


def misnamed(folder, name, subject):
    if subject == folder.name:
        return []
    if any((folder / (subject + suffix)).is_file() for suffix in SOURCES):
        return []
    return [f"{name}: expected the name of a source file in {folder.name}/ or {folder.name}{ENDING}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--layers", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    layers = json.loads(arguments.layers.read_text())
    mirror = json.loads((pathlib.Path(__file__).parent / "mirror.json").read_text())
    problems = check(arguments.source, layers, mirror["without_unit_tests"])
    for problem in problems:
        print(problem)
    print(f"{len(layers)} folders, {len(mirror['without_unit_tests'])} without unit tests, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
