"""Every source file is formatted as .clang-format says. Versions format differently; ours is Debian 12's, 14."""
import os
import pathlib
import subprocess
import unittest

from functional.skips import need

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])


class FormatTest(unittest.TestCase):
    def test_scripts_format_would_change_no_file(self):
        need("clang-format", "clang-format-14")
        done = subprocess.run([SOURCE / "scripts/format", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"scripts/format changes these:\n{done.stdout}{done.stderr}"[:20_000])


if __name__ == "__main__":
    unittest.main()
