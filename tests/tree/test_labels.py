"""The label check must be able to fail: each kind of violation, planted and found."""
import unittest

from tree.check_labels import check_modules, check_tests


def entry(name, labels, command=(), environment=()):
    return {"name": name, "command": list(command),
            "properties": [{"name": "LABELS", "value": list(labels)}, {"name": "ENVIRONMENT", "value": list(environment)}]}


class CheckTestsTest(unittest.TestCase):
    def test_complete_labels_pass(self):
        self.assertEqual(check_tests([entry("a", ["quick", "unit"]), entry("b", ["slow", "fault", "sanitize"])]), [])

    def test_neither_quick_nor_slow(self):
        self.assertEqual(check_tests([entry("a", ["unit"])]), ["a: expected exactly one of quick and slow among its labels, found none"])

    def test_quick_and_slow(self):
        problem, = check_tests([entry("a", ["unit", "quick", "slow"])])
        self.assertIn("found ['quick', 'slow']", problem)

    def test_no_property_at_all(self):
        self.assertEqual(len(check_tests([{"name": "a"}])), 2)

    def test_no_kind(self):
        problem, = check_tests([entry("a", ["quick"])])
        self.assertIn("expected exactly one kind of", problem)

    def test_unknown_label(self):
        self.assertEqual(check_tests([entry("a", ["quick", "unit", "fast"])]), ["a: unknown label fast"])


class CheckModulesTest(unittest.TestCase):
    short = entry("a", ["quick", "functional"], ["python3", "run_module.py", "functional.test_a"], ["EXPORT_WORKER_FORM=short"])
    full = entry("a_full", ["slow", "functional"], ["python3", "run_module.py", "functional.test_a"], ["EXPORT_WORKER_FORM=full"])

    def test_declared_modules_pass(self):
        self.assertEqual(check_modules([self.short], {"functional.test_a": "ROUNDS = 3"}), [])
        self.assertEqual(check_modules([self.short, self.full], {"functional.test_a": "ROUNDS = 30 if FULL else 3"}), [])

    def test_a_module_that_no_test_runs(self):
        problem, = check_modules([self.short], {"functional.test_a": "", "functional.test_b": ""})
        self.assertIn("functional.test_b: no test runs it", problem)

    def test_a_full_form_that_no_test_runs(self):
        for text in ("ROUNDS = 30 if FULL else 3", "    @full_form\n    def test_all(self):"):
            problem, = check_modules([self.short], {"functional.test_a": text})
            self.assertIn("has a full form, but no test runs it", problem)


if __name__ == "__main__":
    unittest.main()
