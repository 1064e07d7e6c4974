"""The packages in a system of their own: Debian 12 with systemd in a container (systemd-nspawn). tests/package/in_system is what
runs there: the README as written, an upgrade from the package before, removal and purge.

Skipped where no such container can start: without root, without a Debian mirror, or where the kernel's control groups forbid it.
"""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from functional.skips import need
from package.test_contents import FILES, deb, output

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
SYSTEM = SOURCE / "build" / "package-system"
INSTALLED = ("export-worker", "export-worker-httpd")
UNIT = """[Unit]
Description=Test of the packages
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
TimeoutStartSec=8min
ExecStart=/test/in_system
StandardOutput=file:/test/log
StandardError=inherit
"""


def dependencies():
    """Packages that must be in the system before: it has no network."""
    names = {"systemd", "systemd-sysv", "curl", "openssl"}
    for package in INSTALLED:
        for clause in output("dpkg-deb", "--field", deb(package), "Depends").split(","):
            name = re.match(r"\s*([\w.+-]+)", clause).group(1)
            if name not in FILES:
                names.add(name)
    return ",".join(sorted(names))


class SystemTest(unittest.TestCase):
    def setUp(self):
        self.nspawn = need("systemd-nspawn")
        bootstrap = need("systemd-nspawn", "mmdebstrap")
        if os.geteuid() != 0:
            self.skipTest("a container with systemd needs root")
        self.root = SYSTEM / "root"
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.make_root(bootstrap)

    def make_root(self, bootstrap):
        SYSTEM.mkdir(parents=True, exist_ok=True)
        archive, made_of = SYSTEM / "root.tar", SYSTEM / "packages"
        include = dependencies()
        if not archive.exists() or not made_of.exists() or made_of.read_text() != include:
            done = subprocess.run([bootstrap, "--variant=minbase", f"--include={include}", "bookworm", str(archive)], capture_output=True, text=True)
            if done.returncode != 0:
                archive.unlink(missing_ok=True)
                self.skipTest(f"mmdebstrap made no Debian system: {last_line(done.stderr)}")
            made_of.write_text(include)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        subprocess.run(["tar", "--extract", "--numeric-owner", "--file", archive, "--directory", self.root, "--exclude=./dev/*"], check=True)

    def boot(self, seconds):
        """Exit status of the system, and what it has printed."""
        done = subprocess.run([self.nspawn, "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--link-journal=no", "--console=pipe",
                               "--kill-signal=SIGRTMIN+3", f"--directory={self.root}"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
        return done.returncode, done.stdout

    def install_test(self, script):
        test = self.root / "test"
        test.mkdir(exist_ok=True)
        program = test / "in_system"
        program.write_text(script)
        program.chmod(0o755)
        units = self.root / "etc" / "systemd" / "system"
        (units / "package-test.service").write_text(UNIT)
        wants = units / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        link = wants / "package-test.service"
        if not link.is_symlink():
            link.symlink_to("../package-test.service")
        return test

    def must_boot(self):
        test = self.install_test("#!/bin/sh\necho booted\n")
        try:
            status, text = self.boot(120)
        except subprocess.TimeoutExpired as late:
            status, text = -1, f"no end within {late.timeout} s"
        log = test / "log"
        if status != 0 or not log.exists() or log.read_text() != "booted\n":
            self.skipTest(f"systemd-nspawn cannot start a system here: {last_line(text)}")
        log.unlink()

    def older(self, package, directory):
        """The same package with the version before."""
        tree = directory / package
        subprocess.run(["dpkg-deb", "--raw-extract", deb(package), tree], check=True)
        control = tree / "DEBIAN" / "control"
        version = output("dpkg-deb", "--field", deb(package), "Version").strip()
        control.write_text(control.read_text().replace(version, f"{version}~before"))
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, directory], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(tree)

    def test_the_readme_an_upgrade_a_removal_and_a_purge(self):
        self.must_boot()
        test = self.install_test((SOURCE / "tests" / "package" / "in_system").read_text())
        readme = (SOURCE / "README.md").read_text()
        (test / "readme").write_text(re.search(r"With packages, as root:\n\n```sh\n(.*?)```", readme, re.S).group(1))
        for folder in ("build/package", "new"):
            (test / folder).mkdir(parents=True)
        for package in INSTALLED:
            self.older(package, test / "build" / "package")
            shutil.copy(deb(package), test / "new")
        status, text = self.boot(600)
        log = (test / "log").read_text() if (test / "log").exists() else text
        self.assertEqual(status, 0, log[-6000:])
        self.assertTrue(log.endswith("all passed\n"), log[-6000:])


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


if __name__ == "__main__":
    unittest.main()
