"""docs/configuration_keys.md is what base/options/config_keys.cpp says, and the sample configuration has the same keys."""
import re
import subprocess
import unittest

from functional.harness import SOURCE

PAGE = (SOURCE / "docs" / "configuration_keys.md").read_text()


def keys_of_the_page():
    """{section: keys}; "store" for [store.NAME]."""
    out, section = {}, None
    for line in PAGE.splitlines():
        if heading := re.match(r"## \[(\w+)", line):
            section = heading[1]
        elif section and (row := re.match(r"\| `(\w+)` \|", line)):
            out.setdefault(section, set()).add(row[1])
    return out


def keys_of_the_sample():
    out, section = {}, None
    for line in (SOURCE / "etc" / "export-worker.ini").read_text().splitlines():
        if heading := re.match(r"(?:# )?\[(\w+)(?:\.\w+)?\]$", line):
            section = heading[1]
        elif section and (key := re.match(r"(?:# )?(\w+) = ", line)):
            out.setdefault(section, set()).add(key[1])
    return out


class ConfigKeysPageTest(unittest.TestCase):
    def test_the_page_is_up_to_date(self):
        done = subprocess.run([SOURCE / "scripts" / "config_keys", "--check"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_sample_configuration_has_every_key(self):
        page, sample = keys_of_the_page(), keys_of_the_sample()
        self.assertEqual(page.keys(), sample.keys())
        for section in page.keys() - {"store"}:
            self.assertEqual(page[section], sample[section], section)
        self.assertLessEqual(sample["store"], page["store"])

    def test_every_key_of_a_store_is_on_a_page_of_stores(self):
        stores = "".join(path.read_text() for path in (SOURCE / "docs" / "stores").glob("*.md"))
        for key in keys_of_the_page()["store"] - {"kind"}:
            self.assertTrue(key in stores, key)


if __name__ == "__main__":
    unittest.main()
