"""Plugins with one defect each: the daemon refuses every one with its reason, or takes it back, and goes on serving."""
import unittest

from functional import two_faced
from functional.harness import SOURCE
from functional.zoo import run_zoo


class ZooTest(unittest.TestCase):
    maxDiff = None

    def test_every_defect_meets_its_verdict(self):
        wrong = run_zoo(lambda name, verdict, said, good: print(f"{'ok ' if good else 'BAD'} {name:20} {verdict:18} {said[:150]}"))
        self.assertEqual(wrong, [])

    def test_a_plugin_that_misbehaves_in_its_probe_or_only_in_the_daemon(self):
        wrong = two_faced.run_table(lambda kind, cells: print(f"{kind['step']:18} {kind['act']:26} {' | '.join(cells)}"))
        self.assertEqual(wrong, [])

    def test_the_page_has_the_same_table(self):
        page = two_faced.rows_of_page((SOURCE / "docs" / "plugin_abi.md").read_text())
        table = [{column: kind[column] for column in ("step", "act", *two_faced.COLUMNS)} for kind in two_faced.table()]
        self.assertEqual(page, table)


if __name__ == "__main__":
    unittest.main()
