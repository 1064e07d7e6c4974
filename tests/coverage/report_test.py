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

    def test_a_statement_counted_on_a_line_inside_it_has_run(self):
        source = ["if (broken) {", '    return refuse({"code",', "                   reason(),", '                   "hint"});', "}"]

        def unnamed(*counts):
            lines = [{"line_number": number, "count": count} for number, count in enumerate(counts, 1)]
            return [number for _, number, _ in report.judge([{"file": "a.cpp", "lines": lines}], lambda _, number: source[number - 1], [])[1]]

        self.assertEqual(unnamed(9, 0, 3, 0, 9), [])
        self.assertEqual(unnamed(9, 0, 0, 9, 9), [2])

    def test_an_entry_without_a_line_is_stale(self):
        _, _, stale = judge("base/a.cpp | return fail(* | reason\nbase/b.cpp | return fail(* | reason\n")
        self.assertEqual([entry[0] for entry in stale], ["base/b.cpp"])

    def test_an_entry_needs_a_reason(self):
        with self.assertRaisesRegex(ValueError, "expected FILE . TEXT . REASON"):
            report.read_list("base/a.cpp | return fail(*\n")


if __name__ == "__main__":
    unittest.main()
