"""The mirror check must be able to fail: each kind of violation, planted and found."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_mirror  # noqa: E402


class CheckMirror(unittest.TestCase):
    def check(self, files, layers, without_tests=None):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name in files:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("")
            return check_mirror.check(root, layers, without_tests or {})

    def test_clean_tree_passes(self):
        files = ["base/text.cpp", "base/crypto/sha256.hpp", "daemon/app/main.cpp",
                 "tests/unit/base/text_test.cpp", "tests/unit/base/base_test.cpp",
                 "tests/unit/base/crypto/sha256_test.cpp", "tests/unit/base/text_conformance.hpp",
                 "tests/unit/support/paths.cpp"]
        self.assertEqual(self.check(files, {"base": [], "base/crypto": [], "daemon/app": []},
                                    {"daemon/app": "wiring"}), [])

    def test_test_in_a_folder_that_mirrors_nothing(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_test.cpp", "tests/unit/bases/text_test.cpp"],
                              {"base": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("tests/unit/bases/text_test.cpp: expected a folder that CMake declares", problems[0])

    def test_test_beside_the_folders(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_test.cpp", "tests/unit/text_test.cpp"], {"base": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("tests/unit/text_test.cpp: expected a folder", problems[0])

    def test_folder_that_is_only_the_parent_of_source_folders(self):
        problems = self.check(["daemon/jobs/a.cpp", "tests/unit/daemon/jobs/a_test.cpp", "tests/unit/daemon/daemon_test.cpp"],
                              {"daemon/jobs": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("found daemon", problems[0])

    def test_name_of_no_source_file(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/texts_test.cpp"], {"base": []})
        self.assertEqual(problems, ["tests/unit/base/texts_test.cpp: expected the name of a source file in base/ or "
                                    "base_test.cpp"])

    def test_name_of_a_source_file_elsewhere(self):
        problems = self.check(["base/text.cpp", "base/crypto/md5.cpp", "tests/unit/base/text_test.cpp",
                               "tests/unit/base/crypto/text_test.cpp"], {"base": [], "base/crypto": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("tests/unit/base/crypto/text_test.cpp", problems[0])

    def test_source_that_is_no_test(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_test.cpp", "tests/unit/base/helpers.cpp"], {"base": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("tests/unit/base/helpers.cpp: expected a test", problems[0])

    def test_folder_without_a_test(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_test.cpp", "signing/a.cpp"], {"base": [], "signing": []})
        self.assertEqual(len(problems), 1)
        self.assertIn("signing: no unit test", problems[0])

    def test_header_alone_is_no_test(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_conformance.hpp"], {"base": []})
        self.assertIn("base: no unit test", problems[0])

    def test_entry_that_is_no_longer_needed(self):
        problems = self.check(["base/text.cpp", "tests/unit/base/text_test.cpp"], {"base": []}, {"base": "too small"})
        self.assertEqual(problems, ["mirror.json: base: has unit tests; remove the entry"])

    def test_entry_of_an_unknown_folder(self):
        problems = self.check([], {}, {"gone": "wiring"})
        self.assertEqual(problems, ["mirror.json: gone: no folder that CMake declares; remove the entry"])

    def test_entry_without_a_reason(self):
        problems = self.check([], {"daemon/app": []}, {"daemon/app": " "})
        self.assertEqual(problems, ["mirror.json: daemon/app: the reason is missing"])


if __name__ == "__main__":
    unittest.main()
