"""Plugins with one defect each: the daemon refuses every one with its reason, or takes it back, and goes on serving."""
import unittest

from functional.zoo import run_zoo


class ZooTest(unittest.TestCase):
    maxDiff = None

    def test_every_defect_meets_its_verdict(self):
        wrong = run_zoo(lambda name, verdict, said, good: print(f"{'ok ' if good else 'BAD'} {name:20} {verdict:18} {said[:150]}"))
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
