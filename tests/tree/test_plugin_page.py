"""What docs/plugin_abi.md says in numbers and names is what the code has."""
import os
import pathlib
import re
import unittest

import msgpack

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
PAGE = (SOURCE / "docs" / "plugin_abi.md").read_text()
# C++ functions, as the page names them.
CPLUSPLUS = {"_ZNSt6locale6globalERKS_": "std::locale::global()", "_ZSt13set_terminatePFvvE": "std::set_terminate()",
             "_ZSt14set_unexpectedPFvvE": "std::set_unexpected()",
             "_ZNSt3pmr20set_default_resourceEPNS_15memory_resourceE": "std::pmr::set_default_resource()",
             "_ZSt15set_new_handlerPFvvE": "std::set_new_handler()",
             "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathE": "std::filesystem::current_path(path)",
             "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathERSt10error_code": "std::filesystem::current_path(path)"}


def source(path):
    return (SOURCE / path).read_text()


def constants():
    """Every integer of the headers of limits that plugins meet, by name; a duration as the number that it is written with."""
    found = {}
    headers = [*sorted((SOURCE / "daemon" / "plugins").rglob("limits.hpp")), SOURCE / "protocol/message/limits.hpp", SOURCE / "base/shared_limits.hpp",
               SOURCE / "base/limits.hpp"]
    for header in headers:
        for name, value in re.findall(r"inline constexpr [\w:]+ (k\w+)(?: =)? ?([^;]+);", header.read_text()):
            value = re.sub(r"std::uint64_t\{(\d+)\}|(?<=\d)'(?=\d)|(?<=\d)U\b|[{}]", r"\1", value)
            if re.fullmatch(r"[\d\s*+<()]+", value):
                found[name] = eval(value.strip())  # Digits and operators only.
    return found


def size(count):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def section(title):
    return PAGE.split(f"\n{title}\n")[1].split("\n## ")[0]


class PluginPageTest(unittest.TestCase):
    def test_limits(self):
        of = constants()
        header = source("protocol/plugin_abi/plugin.h")
        name, version = (int(re.search(rf"char {field}\[(\d+)\]", header).group(1)) for field in ("name", "version"))
        config = source("daemon/config/config.hpp")
        images, probe_s = (int(re.search(rf"{key} = (\d+);", config).group(1)) for key in ("generations_max", "probe_timeout_s"))
        self.assertEqual(probe_s * 1000, of["kProbeTimeout"])
        for row in (f"| request and result | msgpack | one map; nesting {of['kMessageDepthMax']}, {of['kMessageNodesMax']:,} values, "
                    f"keys of {of['kMessageKeyBytesMax']} bytes, a result of {size(of['kReplyBytesMax'])} |",
                    f"| `EW_PLUGIN_NOTE` | name and version | {name - 1} and {version - 1} bytes |",
                    f"| `set_error` | message | {of['kPluginErrorBytesMax']} bytes, then cut |",
                    f"| `describe` | methods | {of['kPluginMethodsMax']}, names of {of['kPluginNameBytesMax']} bytes |",
                    f"| `metrics/1` | counters | {of['kPluginCountersMax']} |",
                    f"| file | size | {size(of['kPluginFileBytesMax'])} |",
                    f"| images in memory | of one plugin | `[plugins] generations_max`, by default {images}; their files together {size(of['kPluginMappedBytesMax'])} |",
                    f"| golden requests | file | {size(of['kGoldenFileBytesMax'])} |",
                    f"| | nesting of one request | {of['kGoldenDepthMax']} |",
                    f"| probe | time | `[plugins] probe_timeout_s`, by default {probe_s} s, for everything; one second more of CPU time |",
                    f"| | address space | {size(of['kProbeAddressSpaceBytes'])} |",
                    f"| | open files | {of['kProbeFilesMax']} |",
                    f"| | stdout and stderr | the newest {size(of['kProbeOutputBytesMax'])} are kept; a refusal quotes the last line |"):
            self.assertIn(row + "\n", section("## Limits"))
        child = source("daemon/plugins/probing/probe_child.cpp")
        self.assertIn("limit(RLIMIT_CPU, static_cast<std::uint64_t>(request.timeout.count()) / 1000 + 1)", child)
        self.assertEqual("| | files it writes | 0 bytes:" in PAGE, "limit(RLIMIT_FSIZE, 0)" in child)
        rounds = int(re.search(r"kWarmUp = (\d+)", child).group(1)) + of["kProbeRepeats"]
        self.assertIn(f"The requests are repeated {rounds} times", PAGE)
        self.assertIn(f"more than {size(of['kReplyBytesMax'])} (of a result, or of the details of an error), another status", PAGE)
        ends = {2: "two"}[of["kPluginCrashesMax"]]
        self.assertIn(f"| later, {ends} of the same file within {of['kPluginCrashWindow']} minutes | the next start quarantines the file", PAGE)

    def test_versions(self):
        types = source("protocol/plugin_abi/types.h")
        minor = int(re.search(r"EW_ABI_MINOR (\d+)", types).group(1))
        self.assertEqual(re.findall(r"(?m)^\| (\d+) \|", section("## Growing")), [str(number + 1) for number in range(minor)])
        for name, functions in re.findall(r"(?m)^\| `(\w+/\d)` \| (.*?) \|", section("## Host services")):
            self.assertIn(f'"{name}"', source("protocol/plugin_abi/extensions.h"))
            for function in re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", functions)):
                self.assertRegex(source("protocol/plugin_abi/extensions.h"), rf"\(\*{function}\)")

    def test_forbidden_imports(self):
        lint = source("daemon/plugins/inspection/import_lint.cpp").split("kEffects = ")[1].split("});")[0]
        # Of each effect: the texts behind its reason.
        code = {name for effect in re.split(r"(?m)^    \{", lint) for text in re.findall(r'(?m)^\s*"([^"]*)"', effect.split(",\n", 1)[-1])
                for name in text.split()}
        code |= {name for text in re.findall(r'",\s*"([^"]*)"\}', lint) for name in text.split()}
        self.assertGreater(len(code), 80)
        table = section("## What gets a file refused").split("| effect | imports |")[1].split("\n\n")[0]
        page = set(re.findall(r"`([^`]+)`", table))
        patterns = [re.compile(re.escape(name).replace(r"\.\.\.", r"\w*") + "$") for name in page]
        for name in code:
            if name.startswith("__") or name == "_Fork":
                continue  # Second names of functions of the C library.
            self.assertTrue(any(pattern.match(CPLUSPLUS.get(name, name)) for pattern in patterns), f"{name} is forbidden and not in the table")
        named = {CPLUSPLUS.get(name, name) for name in code}
        for name, pattern in zip(page, patterns):
            self.assertTrue(any(pattern.match(each) for each in named), f"{name} is in the table and not forbidden")

    def test_libraries(self):
        code = source("daemon/plugins/inspection/inspection.cpp").split("kSystemLibraries = ")[1].split("#if")[0]
        page = PAGE.split("`DT_NEEDED` may name these libraries")[1].split("A library")[0]
        self.assertEqual(re.findall(r"`([\w.+-]+\.so\.\d+)`", page), re.findall(r'"([^"]+)"', code))

    def test_msgpack(self):
        values = {"map of up to 15 members": ({"k": 1}, "81"), "array of up to 15 values": ([1, 2], "92"), "text of up to 31 bytes": ("abc", "a3"),
                  "text of up to 65,535 bytes": ("x" * 300, "da012c"), "0 to 127": (127, "7f"), "any unsigned number": (1 << 40, "cf0000010000000000"),
                  "any signed number": (-(1 << 40), "d3ffffff0000000000"), "floating point": (1.5, "cb3ff8000000000000"), "null, false, true": (None, "c0")}
        rows = dict(re.findall(r"(?m)^\| ([\w ,]+) \| (.*) \|$", section("## Limits").split("| value | bytes |")[1]))
        self.assertEqual(set(rows), set(values))
        for row, (value, start) in values.items():
            self.assertTrue(msgpack.packb(value).hex().startswith(start), row)
            first = re.search(r"\b[0-9a-f]{2}\b", rows[row])
            if first:  # "80 + n": the number is of the example above.
                self.assertEqual(int(start[:2], 16) & ~(0x0f if "+ n" in rows[row] else 0), int(first.group(), 16), row)
        self.assertEqual(msgpack.unpackb(bytes.fromhex("81 a2 6f 6b c3")), {"ok": True})
        self.assertIn('`{"ok": true}` is `81 a2 6f 6b c3`', PAGE)


if __name__ == "__main__":
    unittest.main()
