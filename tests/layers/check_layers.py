"""Include rules: what DEPENDS in the CMake files says is what the #include lines do.

Fails on an include outside DEPENDS, a cycle between folders, a foreign header outside its owner folder, a heavy
header where headers must stay light, and a file that belongs to no declared folder.
"""
import argparse
import json
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
ROOTS = ["base", "protocol", "signing", "daemon", "plugins", "downloads", "http_shim", "exportctl"]
SUFFIXES = {".cpp", ".hpp", ".h", ".c"}


def folder_of(path, folders):
    """The declared folder a repository path lies in: the longest that matches."""
    found = [f for f in folders if path == f or path.startswith(f + "/")]
    return max(found, key=len) if found else None


def check(source, layers, foreign):
    problems = []
    allowed = {folder: set(depends) | {folder} for folder, depends in layers.items()}
    for folder in allowed:
        if folder != "protocol/plugin_abi":
            allowed[folder].add("base")
    for root in ROOTS:
        for path in sorted((source / root).rglob("*")):
            if path.suffix not in SUFFIXES:
                continue
            name = path.relative_to(source).as_posix()
            folder = folder_of(str(pathlib.PurePosixPath(name).parent), layers)
            if folder is None:
                problems.append(f"{name}: in no folder that CMake declares")
                continue
            for kind, header in INCLUDE.findall(path.read_text(encoding="utf-8")):
                heavy = header.startswith(tuple(foreign["not_in_headers"])) and name != "base/json.hpp"
                if heavy and path.suffix in {".hpp", ".h"}:
                    problems.append(f"{name}: includes {header}, which is for sources only: every unit that sees it compiles slower")
                if kind == '"':
                    if folder == "protocol/plugin_abi":
                        if "/" in header or not (path.parent / header).exists():
                            problems.append(f"{name}: includes {header}; the ABI headers include only each other")
                        continue
                    if not (source / header).exists():
                        problems.append(f"{name}: includes \"{header}\", which is no path from the repository root")
                        continue
                    target = folder_of(str(pathlib.PurePosixPath(header).parent), layers)
                    if target not in allowed[folder]:
                        problems.append(f"{name}: includes {header}, but {folder} does not DEPEND on {target}")
                    continue
                for prefix, owners in foreign["owners"].items():
                    if header.startswith(prefix) and folder not in owners:
                        problems.append(f"{name}: includes <{header}>, which only {owners} may")
    for root, never in foreign["never"].items():
        problems += [f"{root}: needs {each} ({reason})" for each in sorted(reach(root, layers))
                     for start, reason in never["folders"].items() if each.startswith(start)]
        for path in sorted((source / root).rglob("*")):
            if path.suffix in SUFFIXES:
                problems += [f"{path.relative_to(source)}: '{word}' ({reason})" for word, reason in never["words"].items()
                             if re.search(rf"\b{word}\b", path.read_text(encoding="utf-8"))]
    problems += [f"cycle: {' -> '.join(cycle)}" for cycle in cycles(layers)]
    for folder, depends in layers.items():
        for each in depends:
            if each not in layers:
                problems.append(f"{folder}: DEPENDS on {each}, which nobody declares")
    return problems


def reach(folder, layers):
    """What a folder depends on, directly or not."""
    found, waiting = set(), [folder]
    while waiting:
        for each in layers.get(waiting.pop(), []):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def cycles(layers):
    found, done = [], set()

    def visit(folder, trail):
        if folder in trail:
            found.append(trail[trail.index(folder):] + [folder])
            return
        if folder in done:
            return
        for each in layers.get(folder, []):
            visit(each, trail + [folder])
        done.add(folder)

    for folder in layers:
        visit(folder, [])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--layers", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    layers = json.loads(arguments.layers.read_text())
    foreign = json.loads((pathlib.Path(__file__).parent / "foreign_headers.json").read_text())
    problems = check(arguments.source, layers, foreign)
    for problem in problems:
        print(problem)
    print(f"{len(layers)} folders, {sum(map(len, layers.values()))} arrows, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
