"""docs/limits.md is what the limits.hpp say, and the values in it are right."""
import subprocess
import unittest

from functional.harness import SOURCE

PAGE = (SOURCE / "docs" / "limits.md").read_text()


class LimitsPageTest(unittest.TestCase):
    def test_the_page_is_up_to_date(self):
        done = subprocess.run([SOURCE / "scripts" / "limits", "--check"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_values_are_read_as_the_compiler_reads_them(self):
        for row in ("| http body bytes max | 960 KiB |", "| session ask timeout | 3 s |", "| xlsx file bytes max | 4,294,967,295 B |",
                    "| organization stored bytes max | 1 PiB |", "| job retention default | 30 d |"):
            self.assertIn(row, PAGE)

    def test_every_value_is_known(self):
        self.assertNotRegex(PAGE, r"\| `")


if __name__ == "__main__":
    unittest.main()
