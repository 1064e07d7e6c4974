"""Secrets are compared in constant time: no measurement in a test is exact enough to see that, so the source is read."""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
FOLDERS = ("base", "daemon", "downloads", "exportctl", "http_shim", "plugins", "protocol", "signing")
# Where a stranger's bytes meet ours: file, and the names of the two sides.
COMPARISONS = {
    "daemon/auth/key_store.cpp": ("found->second.sha256", "digest"),
    "signing/local_link.cpp": ("expected", "link.signature"),
}
# A comparison with operators or functions that stop at the first difference.
EARLY_END = re.compile(r"\b(\w*(?:signature|secret|password)\w*(?:->\w+|\.\w+)*(?:\(\))?)\s*[!=]=\s*(?!nullptr|\"\"|0\b)"
                       r"|\b(?:memcmp|strcmp|strncmp)\s*\([^)]*(?:signature|secret|password|token|digest)"
                       r"|(?:signature|secret|password|token)\w*\.compare\(")


def sources():
    for folder in FOLDERS:
        for path in (SOURCE / folder).rglob("*.cpp"):
            yield path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")


class SecretsTest(unittest.TestCase):
    def test_the_comparison_takes_as_long_for_every_difference(self):
        body = re.search(r"bool equal_constant_time\(.*?\{(.*?)\n\}", (SOURCE / "base/crypto/compare.cpp").read_text(), re.S).group(1)
        self.assertEqual(body.split(), "return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;".split())

    def test_what_strangers_send_is_compared_with_it(self):
        found = {name for name, text in sources() if "equal_constant_time(" in text} - {"base/crypto/compare.cpp"}
        self.assertEqual(found, set(COMPARISONS), "a new comparison belongs into this list")
        for name, sides in COMPARISONS.items():
            call = re.search(r"equal_constant_time\((.*?)\)\)?[; ]", (SOURCE / name).read_text(), re.S).group(1)
            for side in sides:
                self.assertIn(side, call, name)

    def test_nothing_compares_a_secret_in_another_way(self):
        found = [f"{name}: {match.group(0)}" for name, text in sources() for match in EARLY_END.finditer(text)
                 if not name.startswith("base/crypto/")]
        self.assertEqual(found, [])

    def test_the_pattern_finds_one(self):
        for line in ("if (expected_signature == given) return;", "if (!std::memcmp(a, digest.data(), 32))", "secret != given",
                     "query.signature.value() == x", "token.compare(x) == 0"):
            self.assertTrue(EARLY_END.search(line), line)


if __name__ == "__main__":
    unittest.main()
