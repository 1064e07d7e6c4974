"""The systemd units: systemd accepts them, and they give the services no more than these need (systemd-analyze)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from functional.skips import need

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
UNITS = SOURCE / "etc" / "systemd"
SERVICES = ("export-workerd.service", "export-httpd.service")
EXPOSURE_MAX = 2.5


class UnitsTest(unittest.TestCase):
    def setUp(self):
        self.analyze = need("systemd", "systemd-analyze")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="export-worker-units-"))
        self.addCleanup(shutil.rmtree, self.directory)
        for unit in (*SERVICES, "export-httpd.socket"):
            # Programs that are here, so that systemd can look at them.
            text = re.sub(r"^ExecStart=/usr/bin/\S+", "ExecStart=/bin/true", (UNITS / unit).read_text(), flags=re.M)
            (self.directory / unit).write_text(text)

    def test_systemd_understands_every_line(self):
        done = subprocess.run([self.analyze, "verify", "--man=no", *sorted(self.directory.iterdir())], capture_output=True, text=True, timeout=60)
        ours = [line for line in done.stderr.splitlines() if "export-" in line]
        self.assertEqual(ours, [], done.stderr)

    def test_exposure(self):
        for service in SERVICES:
            done = subprocess.run([self.analyze, "security", "--offline=yes", "--json=short", self.directory / service], capture_output=True, text=True, timeout=60)
            report = subprocess.run([self.analyze, "security", "--offline=yes", "--no-pager", self.directory / service], capture_output=True, text=True, timeout=60)
            level = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report.stdout).group(1))
            open_doors = [entry["name"] for entry in json.loads(done.stdout) if entry["set"] is False]
            self.assertLessEqual(level, EXPOSURE_MAX, f"{service}: {open_doors}")

    def test_what_a_start_that_passes_exits_with_is_tried_again(self):
        header = (SOURCE / "base" / "exit_status.hpp").read_text()
        status = {name: int(number) for name, number in re.findall(r"int kExit(\w+) = (\d+);", header)}
        for service in SERVICES:
            text = (UNITS / service).read_text()
            never = set(map(int, re.search(r"(?m)^RestartPreventExitStatus=(.*)$", text).group(1).split()))
            self.assertEqual(never, {status["Usage"], status["Config"]})
            self.assertIn("\nRestart=on-failure\n", text)
            self.assertIn("\nStartLimitIntervalSec=0\n", text)


if __name__ == "__main__":
    unittest.main()
