"""docs/catalog.md: its lines are imported as they stand, and what it calls refused is refused with what it says."""
import json
import re
import unittest

from functional.harness import SOURCE, SystemTest

PAGE = (SOURCE / "docs" / "catalog.md").read_text()
PRODUCTS, PRICES = re.findall(r"```jsonl\n(.*?)```", PAGE, re.S)
REFUSED = re.findall(r"^\| `(.*)` \| (.*) \|$", PAGE.split("## What is refused")[1], re.M)


class CatalogPageTest(SystemTest):
    def imported(self, verb, text, organization="scratch"):
        path = self.system.directory / "lines.jsonl"
        path.write_text(text)
        done = self.system.ctl("catalog", verb, "--organization", organization, path, check=False)
        return done.stdout + done.stderr

    def test_the_lines_of_the_page_are_imported_and_exported(self):
        self.assertIn("2 products imported, 0 lines rejected", self.imported("import", PRODUCTS, "acme"))
        self.assertIn("2 prices imported, 0 lines rejected", self.imported("import-prices", PRICES, "acme"))
        job = self.system.export("acme", "--format", "jsonl")
        path = job["metadata"]["file_url"].removeprefix("file://")
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        # Nested, the default of JSONL: as imported.
        self.assertEqual({row["key"]: row for row in rows}, {row["key"]: row for row in map(json.loads, PRODUCTS.splitlines())})

    def test_every_refused_line_says_what_the_page_says(self):
        self.assertGreater(len(REFUSED), 5)
        for line, said in REFUSED:
            answer = self.imported("import", line + "\n")
            self.assertIn("1 lines rejected", answer, line)
            self.assertIn(said, answer, line)

    def test_the_bounds_of_the_page_are_the_bounds(self):
        def product(**members):
            return json.dumps({"key": "k", "productType": "t", **members}) + "\n"
        for good, bad in ((product(key="k" * 512), product(key="k" * 513)),
                          (product(labels=["l"] * 100), product(labels=["l"] * 101)),
                          (product(variants=[{"key": str(n)} for n in range(2000)]), product(variants=[{"key": str(n)} for n in range(2001)])),
                          (product(properties={"p" * 512: 1}), product(properties={"p" * 513: 1})),
                          (product(version=2**53), product(version=2**53 + 1))):
            self.assertIn("0 lines rejected", self.imported("import", good), good[:100])
            self.assertIn("1 lines rejected", self.imported("import", bad), bad[:100])


if __name__ == "__main__":
    unittest.main()
