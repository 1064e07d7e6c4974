"""What the tests together did not run: report.py --gcovr coverage.json --untested untested.txt --minimum 90

Prints the share of covered lines by folder and in all. Fails when it is below the minimum, when an error path that no test
took is not named in the list with a reason, and when the list names one that is taken now or gone.

A line of the list: FILE | TEXT | REASON. TEXT is a pattern (fnmatch) for the source line without its indentation. An error
path is a line that makes or passes on an error. gcov may count a statement of several lines on a line inside it instead of
the first; the last one proves nothing, because what ends the block around it is counted there, too.
"""
import argparse
import collections
import fnmatch
import json
import pathlib
import re
import sys

ERROR_PATH = re.compile(r"\b(fail|refuse|lint|failed|bad|refusal|fail_with|make_error)\(|tl::unexpected|catch \(|log_error\(")


def read_list(text):
    """[(file, pattern, reason)]; an entry without a reason is an error."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"line {number}: expected FILE | TEXT | REASON, found '{line}'")
        entries.append(tuple(parts))
    return entries


def matches(entry, file, text):
    return entry[0] == file and fnmatch.fnmatchcase(text, entry[1].replace("[", "[[]"))


def ran_inside(number, counts, read_text):
    """Whether gcov counted the statement that begins in this line in a line between its first and its last."""
    inside = []
    while not read_text(number).endswith((";", "{")):
        number += 1
        inside.append(counts.get(number, 0))
    return any(inside[:-1])


def judge(files, read_line, entries):
    """(covered and all lines by folder, error paths that are not named, entries without an error path)."""
    folders = collections.defaultdict(lambda: [0, 0])
    unnamed, used = [], set()
    for each in files:
        file = each["file"]
        counts = {line["line_number"]: line["count"] for line in each["lines"]}

        def read_text(number):
            return read_line(file, number).strip()

        for line in each["lines"]:
            if line.get("gcovr/noncode"):
                continue
            count = folders[str(pathlib.PurePosixPath(file).parent)]
            count[1] += 1
            if line["count"] > 0:
                count[0] += 1
                continue
            text = read_text(line["line_number"])
            if not ERROR_PATH.search(text) or ran_inside(line["line_number"], counts, read_text):
                continue
            named = [entry for entry in entries if matches(entry, file, text)]
            used.update(named)
            if not named:
                unnamed.append((file, line["line_number"], text))
    return folders, unnamed, [entry for entry in entries if entry not in used]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--gcovr", type=pathlib.Path, required=True)
    parser.add_argument("--untested", type=pathlib.Path, required=True)
    parser.add_argument("--minimum", type=float, required=True)
    arguments = parser.parse_args()
    sources = {}

    def read_line(file, number):
        if file not in sources:
            sources[file] = (arguments.source / file).read_text(encoding="utf-8").splitlines()
        return sources[file][number - 1]

    entries = read_list(arguments.untested.read_text(encoding="utf-8"))
    folders, unnamed, stale = judge(json.loads(arguments.gcovr.read_text())["files"], read_line, entries)
    for folder, (covered, lines) in sorted(folders.items()):
        print(f"{folder:24} {100 * covered / lines:5.1f} % of {lines} lines")
    covered, lines = (sum(count[i] for count in folders.values()) for i in (0, 1))
    share = 100 * covered / lines if lines else 0
    print(f"{'all':24} {share:5.1f} % of {lines} lines; at least {arguments.minimum:g} % expected")
    for file, number, text in unnamed:
        print(f"{file}:{number}: no test takes this error path, and {arguments.untested.name} does not say why: {text}")
    for file, pattern, _ in stale:
        print(f"{arguments.untested.name}: '{file} | {pattern}' matches no untested error path; remove it")
    return 1 if share < arguments.minimum or unnamed or stale else 0


if __name__ == "__main__":
    sys.exit(main())
