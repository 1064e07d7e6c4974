"""The layer check must be able to fail: each kind of violation, planted and found."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_layers  # noqa: E402

FOREIGN = {"owners": {"zmq": ["protocol/transport"]}, "not_in_headers": ["spdlog/"], "never": {"http_shim": {"folders": {"daemon/": "why"}, "words": {"fstream": "no files"}}}}


class CheckLayers(unittest.TestCase):
    def check(self, files, layers):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return check_layers.check(root, layers, FOREIGN)

    def test_clean_tree_passes(self):
        files = {"base/a.hpp": "#include <string>\n", "signing/b.cpp": '#include "base/a.hpp"\n'}
        self.assertEqual(self.check(files, {"base": [], "signing": []}), [])

    def test_include_outside_depends(self):
        files = {"daemon/jobs/a.hpp": "", "signing/b.cpp": '#include "daemon/jobs/a.hpp"\n'}
        problems = self.check(files, {"daemon/jobs": [], "signing": []})
        self.assertIn("does not DEPEND on daemon/jobs", problems[0])

    def test_foreign_header_outside_owner(self):
        problems = self.check({"signing/b.cpp": "#include <zmq.hpp>\n"}, {"signing": []})
        self.assertIn("only ['protocol/transport'] may", problems[0])

    def test_heavy_header(self):
        problems = self.check({"base/b.hpp": "#include <spdlog/spdlog.h>\n"}, {"base": []})
        self.assertIn("which is for sources only", problems[0])

    def test_a_folder_that_is_to_know_nothing_of_another(self):
        layers = {"http_shim": ["signing"], "signing": ["daemon/jobs"], "daemon/jobs": []}
        self.assertIn("http_shim: needs daemon/jobs (why)", self.check({}, layers))

    def test_a_folder_that_is_to_keep_nothing(self):
        problems = self.check({"http_shim/a.cpp": "#include <fstream>\n"}, {"http_shim": []})
        self.assertIn("http_shim/a.cpp: 'fstream' (no files)", problems)

    def test_cycle(self):
        problems = self.check({}, {"base": ["signing"], "signing": ["base"]})
        self.assertIn("cycle: base -> signing -> base", problems)

    def test_undeclared_folder(self):
        problems = self.check({"daemon/new/a.cpp": ""}, {"base": []})
        self.assertIn("in no folder that CMake declares", problems[0])

    def test_include_that_is_no_root_path(self):
        problems = self.check({"base/a.hpp": "", "base/b.cpp": '#include "a.hpp"\n'}, {"base": []})
        self.assertIn("no path from the repository root", problems[0])


if __name__ == "__main__":
    unittest.main()
