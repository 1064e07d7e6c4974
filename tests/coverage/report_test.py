"""report.py finds what it is for: a plain error path, one that is named, an entry that is no longer needed."""
import unittest

import report

SOURCE = {"base/a.cpp": ["int f() {", '    return fail(ErrorCode::kNotFound, "x[0]: missing");', "    int other = 0;", "}"]}
FILES = [{"file": "base/a.cpp", "lines": [{"line_number": 1, "count": 3}, {"line_number": 2, "count": 0},
                                          {"line_number": 3, "count": 0}, {"line_number": 4, "count": 0, "gcovr/noncode": True}]}]


def judge(text):
    return report.judge(FILES, lambda file, number: SOURCE[file][number - 1], report.read_list(text))


class ReportTest(unittest.TestCase):
    def test_an_error_path_must_be_named(self):
        folders, unnamed, stale = judge("# nothing\n")
        self.assertEqual(folders["base"], [1, 3])
        self.assertEqual([(file, number) for file, number, _ in unnamed], [("base/a.cpp", 2)])
        self.assertEqual(stale, [])

    def test_a_named_one_is_fine(self):
        _, unnamed, stale = judge('base/a.cpp | return fail(*"x[0]: missing"); | needs a broken kernel\n')
        self.assertEqual((unnamed, stale), ([], []))

    def test_an_entry_without_a_line_is_stale(self):
        _, _, stale = judge("base/a.cpp | return fail(* | reason\nbase/b.cpp | return fail(* | reason\n")
        self.assertEqual([entry[0] for entry in stale], ["base/b.cpp"])

    def test_an_entry_needs_a_reason(self):
        with self.assertRaisesRegex(ValueError, "expected FILE . TEXT . REASON"):
            report.read_list("base/a.cpp | return fail(*\n")


if __name__ == "__main__":
    unittest.main()
