"""The benchmarks run: what they measure is for a quiet machine, that they measure is for this test.

bench/reload_under_load is the load of reload_under_load_full with a bound on it.
"""
import subprocess
import unittest

from functional.harness import BUILD, SOURCE
from functional.skips import need


class BenchesTest(unittest.TestCase):
    def run_bench(self, *words, **options):
        done = subprocess.run([SOURCE / "bench" / words[0], *map(str, words[1:])], capture_output=True, text=True, timeout=300, cwd=SOURCE, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_http(self):
        need("wrk")
        need("nginx")
        out = self.run_bench("http", "--build", BUILD, "--seconds", 1)
        self.assertRegex(out, r"against nginx that only says 200: 0\.\d+ of its requests")
        self.assertRegex(out, r"of nginx's: \d+%, \d+%")

    def test_export(self):
        self.assertRegex(self.run_bench("export", "--build", BUILD, "--products", 500, "--workbook-max", 500), r"sqlite3 -csv +\d")

    def test_size(self):
        out = self.run_bench("size", "--build", BUILD, "--jobs", "1000,8000", "--retention", 1_000, "--seconds", 2, "--calls", 50)
        self.assertRegex(out, r"\n +8000 jobs( +\d+\.\d+ / *\d+\.\d+){7}\n")
        self.assertRegex(out, r"lists meanwhile: [1-9]\d* answered, [1-9]\d* refused within \d+ ms")
        self.assertRegex(out, r"retention: 1000 due jobs and files, 0 left after .*; a day of 20 a second leaves 0 behind")

    def test_signing(self):
        self.assertRegex(self.run_bench("signing"), r"\nlocal +\d+ ")

    def test_compare(self):
        self.assertEqual(self.run_bench("compare").count("links, 64 in flight"), 6)


if __name__ == "__main__":
    unittest.main()
