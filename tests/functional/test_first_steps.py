"""docs/first_steps.md, command by command, in one shell, in a home directory of its own."""
import os
import re
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, System, free_port

PAGE = (SOURCE / "docs" / "first_steps.md").read_text()
# A shell that fails leaves no program behind.
PRELUDE = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"


class FirstStepsTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.build, *self.rest = re.findall(r"```sh\n(.*?)```", PAGE, re.S)

    def test_the_build_is_what_the_demo_builds(self):
        demo = (SOURCE / "scripts" / "demo").read_text()
        self.assertEqual(len(self.build.splitlines()), 3)
        for command in self.build.splitlines():
            self.assertIn(command, demo)

    def test_from_an_installation_to_a_plugin(self):
        script = "".join(self.rest)
        self.assertIn(" build/release ", script)
        script = script.replace(" build/release ", f' "{BUILD}" ').replace("8080", str(free_port()))
        # An author's: it knows nothing of this project's build directory.
        environment = {name: value for name, value in os.environ.items() if name not in ("CXXFLAGS", "CFLAGS", "LDFLAGS")}
        done = subprocess.run(["bash", "-c", PRELUDE + script], cwd=SOURCE, env={**environment, "HOME": str(self.system.directory)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
        log = "".join(path.read_text() for path in self.system.directory.glob("export-worker/*.log"))
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{log}")
        for expected in (r"(?m)^shirt-1,shirt,true,", r"(?m)^mug-1,mug,true,", r"/exports/acme/own/\S+sig=", r"(?m)^Hello, acme!$", r"(?m)^Hello, dear acme!$",
                         r"\bgreeting\b.*1\.1\.0"):
            self.assertRegex(done.stdout, expected, done.stdout)


if __name__ == "__main__":
    unittest.main()
