"""What the packages of scripts/package hold: files, modes, conffiles, symbols, maintainer scripts."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

PACKAGES = pathlib.Path(os.environ["EXPORT_WORKER_BUILD"])
STRIPPED_BYTES_MAX = 12 << 20
FILES = {
    "export-worker": """usr/bin/export-workerd usr/bin/exportctl usr/lib/export-worker/plugins/download_url.so
        usr/lib/export-worker/plugins/download_url.golden.jsonl lib/systemd/system/export-workerd.service usr/lib/sysusers.d/export-worker.conf
        usr/lib/tmpfiles.d/export-worker.conf etc/export-worker/export-worker.ini etc/export-worker/roles.ini
        usr/share/doc/export-worker/README.md usr/share/doc/export-worker/docs/operations.md usr/share/export-worker/export-worker.json usr/share/export-worker/export-worker.rules.yml""",
    "export-worker-httpd": """usr/bin/export-httpd lib/systemd/system/export-httpd.service lib/systemd/system/export-httpd.socket
        usr/lib/sysusers.d/export-httpd.conf""",
    "export-worker-dev": """usr/include/export-worker/protocol/plugin_abi/plugin.h usr/lib/cmake/ExportWorkerPlugin/ExportWorkerPluginConfig.cmake
        usr/share/export-worker/docs/plugin_abi.md usr/share/export-worker/examples/plugin_template/CMakeLists.txt""",
}


def deb(name):
    found = sorted(PACKAGES.glob(f"{name}_*.deb"))
    assert len(found) == 1, f"expected one package {name} in {PACKAGES}, found {found}; run scripts/package"
    return found[0]


def output(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


def elf_sections(path):
    return set(re.findall(r"\]\s+(\.[\w.]+)", output("readelf", "--wide", "--sections", path)))


class ContentsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="export-worker-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        for name in (*FILES, "export-worker-dbgsym", "export-worker-httpd-dbgsym"):
            subprocess.run(["dpkg-deb", "--raw-extract", deb(name), cls.directory / name], check=True)

    def programs(self):
        for package, paths in FILES.items():
            for path in paths.split():
                if path.startswith("usr/bin/") or path.endswith(".so"):
                    yield package, self.directory / package / path

    def test_every_file_is_there_and_root_alone_may_write_it(self):
        for package, paths in FILES.items():
            for path in paths.split():
                self.assertTrue((self.directory / package / path).exists(), f"{package}: {path}")
            for line in output("dpkg-deb", "--contents", deb(package)).splitlines():
                mode, owner = line.split()[:2]
                self.assertEqual(owner, "root/root", line)
                self.assertTrue(mode.startswith("l") or mode[5] == mode[8] == "-", line)

    def test_what_an_operator_edits_is_a_conffile(self):
        conffiles = (self.directory / "export-worker" / "DEBIAN" / "conffiles").read_text().split()
        self.assertEqual(sorted(conffiles), ["/etc/export-worker/export-worker.ini", "/etc/export-worker/roles.ini"])

    def test_symbols_are_apart(self):
        for package, path in self.programs():
            self.assertFalse({".symtab", ".debug_info"} & elf_sections(path), path)
            build_id = re.search(r"Build ID: (\w+)", output("readelf", "--notes", path)).group(1)
            symbols = self.directory / f"{package}-dbgsym/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
            self.assertIn(".debug_line", elf_sections(symbols))
        self.assertLess(sum(path.stat().st_size for _, path in self.programs()), STRIPPED_BYTES_MAX)

    def test_maintainer_scripts_are_plain_shell_and_make_keys_on_a_first_installation_alone(self):
        for package in FILES:
            for script in (self.directory / package / "DEBIAN").glob("p*"):
                self.assertEqual(subprocess.run(["sh", "-n", script], capture_output=True, text=True).stderr, "")
        text = (self.directory / "export-worker" / "DEBIAN" / "postinst").read_text()
        self.assertIn('[ -z "$2" ] && [ ! -e $keys ]', text)
        line = re.search(r"\| (install .*) /dev/stdin", text).group(1)
        readme = (self.directory / "export-worker" / "usr/share/doc/export-worker/README.md").read_text()
        self.assertIn(f"| {line} /dev/stdin /etc/export-worker/link_keys", readme)

    def test_the_bill_of_materials_names_what_the_packages_depend_on(self):
        document, = [json.loads(path.read_text()) for path in PACKAGES.glob("*.spdx.json")]
        listed = {package["name"] for package in document["packages"]}
        for name in ("export-worker", "export-worker-httpd"):
            depends = re.findall(r"\blib[a-z0-9.+-]+", output("dpkg-deb", "--field", deb(name), "Depends"))
            self.assertTrue(depends)
            for library in depends:  # Some are virtual: libspdlog1.10-fmt9 is what libspdlog1.10 provides.
                self.assertTrue(any(library == found or library.startswith(f"{found}-") for found in listed), library)

    def test_the_programs_run(self):
        version = output("dpkg-deb", "--field", deb("export-worker"), "Version").strip()
        for _, path in self.programs():
            if path.suffix != ".so":
                self.assertEqual(output(path, "--version").split()[-1], version.split("~")[0])


if __name__ == "__main__":
    unittest.main()
