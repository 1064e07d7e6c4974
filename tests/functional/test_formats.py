"""Files parse back to what was imported, in the readers people use: Python's csv, openpyxl, gzip, zstd, LibreOffice."""
import csv
import gzip
import io
import json
import pathlib
import random
import shutil
import subprocess
import unittest

import openpyxl

from functional.harness import SystemTest
from functional.skips import full_form, need

SEED = 20261125
# Pieces that break naive writers: delimiters, quotes, line ends, formulas, wide and combining characters, nul-like and odd blanks.
PIECES = [",", ";", "\t", '"', "'", "\n", "\r\n", "\r", "=1+1", "+49", "-20", "@x", " ", "  ", "|", "\\", "a", "B", "7", "007", "é", "ß", "Ω",
          "北", "🟢", "e\u0301", "\u00a0", "\u2028", "\ufeff", "\x01", "\x1f", "\x7f", "<b>", "&amp;", "_x000D_", "{}", "[]", "null", "1e5", "0.1"]
PROFILES = {"rfc4180": (",", "utf-8"), "excel": (",", "utf-8-sig"), "excel-eu": (";", "utf-8-sig"), "tsv": ("\t", "utf-8")}


def random_text(pick):
    return "".join(pick.choice(PIECES) for _ in range(pick.randint(0, 8)))


def make_products(count):
    pick = random.Random(SEED)
    products = []
    for index in range(count):
        properties = {"text": random_text(pick), "other": random_text(pick), "ean": f"{pick.randint(0, 10**13 - 1):013d}",
                      "count": pick.randint(-10**6, 10**6), "ratio": pick.randint(-10**6, 10**6) / 1000, "flag": pick.random() < 0.5,
                      "tags": [random_text(pick).replace("|", "/") for _ in range(pick.randint(0, 3))],
                      "deep": {"inner": random_text(pick), "number": index}}
        if index % 7 == 0:
            del properties["other"]
        products.append({"key": f"p{index:05d}", "productType": pick.choice(["shirt", "mug"]), "isPublished": pick.random() < 0.5,
                         "labels": pick.sample(["new", "sale", "eol"], pick.randint(0, 2)), "properties": properties})
    return products


COLUMNS = ["key", "productType", "isPublished", "labels", "text", "other", "ean", "count", "ratio", "flag", "tags", "deep.inner", "deep.number"]


def cell_of(product, column):
    properties = product["properties"]
    value = {"key": product["key"], "productType": product["productType"], "isPublished": product["isPublished"], "labels": product["labels"],
             "deep.inner": properties["deep"]["inner"], "deep.number": properties["deep"]["number"]}.get(column, properties.get(column))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "|".join(value)
    return json.dumps(value) if isinstance(value, (int, float)) else value


class FormatTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        cls.products = make_products(1500)
        path = system.directory / "products.jsonl"
        path.write_text("".join(json.dumps(p) + "\n" for p in cls.products))
        system.ctl("catalog", "import", "--organization", "acme", path)

    def export(self, *flags):
        job = self.system.export("acme", *flags)
        self.assertIn(job["status"], ("completed", "completed_with_warnings"), job)
        path = pathlib.Path(job["metadata"]["file_url"].removeprefix("file://"))
        return job, path

    def expected(self, guard=False):
        rows = [COLUMNS]
        for product in self.products:
            rows.append([cell_of(product, column) for column in COLUMNS])
        return rows

    def test_every_csv_profile_parses_back_in_pythons_csv(self):
        for profile, (delimiter, encoding) in PROFILES.items():
            with self.subTest(profile=profile):
                _, path = self.export("--profile", profile, "--columns", ",".join(COLUMNS), "--formulas", "off")
                text = path.read_bytes().decode(encoding)
                rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
                expected = self.expected()
                if profile == "excel-eu":
                    ratio = COLUMNS.index("ratio")
                    expected = expected[:1] + [r[:ratio] + [r[ratio].replace(".", ",")] + r[ratio + 1:] for r in expected[1:]]
                self.assertEqual(rows, expected)

    def test_guarded_cells_are_counted_and_nothing_else_changes(self):
        job, path = self.export("--profile", "excel", "--columns", ",".join(COLUMNS))
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
        guarded = 0
        for row, plain in zip(rows, self.expected(), strict=True):
            for cell, before in zip(row, plain, strict=True):
                if cell != before:
                    self.assertEqual(cell, "'" + before)
                    self.assertRegex(before, r"^[=+\-@\t\r\n]")
                    guarded += 1
                else:
                    self.assertNotRegex(cell, r"^[=@\t\r\n]")
        self.assertGreater(guarded, 50)
        self.assertEqual(job["metadata"]["guarded_cells"], guarded)
        self.assertEqual(job["metadata"]["formulas"], "guard")
        refused = self.system.ctl("export", "submit", "--organization", "acme", "--formulas", "reject", "--wait", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("begins like a formula", refused.stdout)

    def test_compressed_files_hold_the_same_bytes(self):
        _, plain = self.export("--columns", ",".join(COLUMNS))
        job, packed = self.export("--columns", ",".join(COLUMNS), "--compression", "gzip")
        self.assertEqual(gzip.decompress(packed.read_bytes()), plain.read_bytes())
        self.assertTrue(job["metadata"]["filename"].endswith(".csv.gz"))
        self.assertEqual(job["metadata"]["content_type"], "application/gzip")
        _, packed = self.export("--columns", ",".join(COLUMNS), "--compression", "zstd")
        unpacked = subprocess.run(["zstd", "-dc", str(packed)], check=True, capture_output=True).stdout
        self.assertEqual(unpacked, plain.read_bytes())

    def test_the_same_products_give_the_same_bytes(self):
        for flags in (["--format", "csv"], ["--format", "jsonl"], ["--format", "xlsx"], ["--compression", "gzip"], ["--compression", "zstd"]):
            first, second = (self.export(*flags)[0]["metadata"] for _ in range(2))
            self.assertEqual(first["sha256"], second["sha256"], flags)
            self.assertEqual(first.get("columns_sha256"), second.get("columns_sha256"))

    def test_json_lines_are_the_products(self):
        _, path = self.export("--format", "jsonl")
        self.assertEqual([json.loads(line) for line in path.read_text().split("\n")[:-1]], self.products)
        _, path = self.export("--format", "jsonl", "--columns", "key,tags,deep,ratio,flag,other")
        for line, product in zip(path.read_text().split("\n")[:-1], self.products, strict=True):
            properties = product["properties"]
            self.assertEqual(json.loads(line), {"key": product["key"], "tags": properties["tags"], "deep": properties["deep"],
                                                "ratio": properties["ratio"], "flag": properties["flag"], "other": properties.get("other")})

    def check_workbook(self, path):
        book = openpyxl.load_workbook(path)
        sheet = book["Products"]
        self.assertEqual(sheet.freeze_panes, "A2")
        self.assertTrue(sheet["A1"].font.bold)
        self.assertGreaterEqual(sheet.column_dimensions["A"].width, 10)
        rows = list(sheet.iter_rows(values_only=True))
        self.assertEqual(list(rows[0]), COLUMNS)
        self.assertEqual(len(rows), len(self.products) + 1)
        for row, product in zip(rows[1:], self.products, strict=True):
            for value, column in zip(row, COLUMNS, strict=True):
                expected = cell_of(product, column)
                if column in ("count", "ratio", "deep.number"):
                    self.assertEqual(value, float(expected))
                    self.assertIsInstance(value, (int, float))
                elif column in ("isPublished", "flag"):
                    self.assertIs(value, expected == "true")
                else:
                    # A workbook's XML reads a bare carriage return as a line end, and an empty text as no cell.
                    value = openpyxl.utils.escape.unescape(value or "")
                    self.assertEqual(value.replace("\r\n", "\n").replace("\r", "\n"),
                                     openpyxl.utils.escape.unescape(expected).replace("\r\n", "\n").replace("\r", "\n"), (product["key"], column))
        for row in sheet.iter_rows(min_row=2, min_col=5, max_col=7):
            for cell in row:
                self.assertIn(cell.data_type, ("s", "inlineStr", "n"))  # Never "f": a text stays a text.
                if cell.data_type == "n":
                    self.assertIsNone(cell.value)

    def test_workbooks_open_in_openpyxl(self):
        job, path = self.export("--format", "xlsx", "--columns", ",".join(COLUMNS))
        self.assertEqual(job["metadata"]["sheets"], 1)
        self.check_workbook(path)
        self.assertEqual(list((self.system.state / "tmp").iterdir()), [])

    @full_form
    def test_workbooks_open_in_libreoffice(self):
        office = need("libreoffice", "soffice")
        _, path = self.export("--format", "xlsx", "--columns", "key,ean,count,deep.number")
        copy = self.system.directory / "office.xlsx"
        shutil.copyfile(path, copy)
        subprocess.run([office, f"-env:UserInstallation=file://{self.system.directory}/office", "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76",
                        "--outdir", str(self.system.directory), str(copy)], check=True, capture_output=True, timeout=120)
        rows = list(csv.reader(io.StringIO((self.system.directory / "office.csv").read_text(), newline="")))
        self.assertEqual(rows[1:], [[p["key"], p["properties"]["ean"], str(p["properties"]["count"]), str(p["properties"]["deep"]["number"])] for p in self.products])

    def test_filters_choose_products(self):
        def keys(filter):
            job, path = self.export("--columns", "key", "--filter", json.dumps(filter))
            rows = path.read_bytes().decode().split("\r\n")[1:-1]
            self.assertEqual(job["metadata"]["products"], len(rows))
            return rows

        def those(condition):
            return [p["key"] for p in self.products if condition(p)]
        self.assertEqual(keys({"product_type": "mug"}), those(lambda p: p["productType"] == "mug"))
        self.assertEqual(keys({"labels": ["new", "sale"]}), those(lambda p: {"new", "sale"} <= set(p["labels"])))
        self.assertEqual(keys({"publish_status": "live", "properties": {"flag": True}}), those(lambda p: p["isPublished"] and p["properties"]["flag"]))
        self.assertEqual(keys({"properties": {"deep.number": 7}}), ["p00007"])
        self.assertEqual(keys({"updated_since": "2999-01-01T00:00:00Z"}), [])

    def test_templates_and_what_overrides_them(self):
        body = json.dumps({"format": "xlsx", "columns": ["key", {"property": "ean", "header": "EAN"}]})
        self.system.ctl("template", "put", "weekly", "-", "--organization", "acme", stdin=body)
        self.assertIn("weekly", self.system.ctl("template", "list", "--organization", "acme").stdout)
        self.assertEqual(self.system.ctl_json("template", "show", "weekly", "--organization", "acme")["template"], json.loads(body))
        job, path = self.export("--template", "weekly")
        self.assertEqual(job["metadata"]["format"], "xlsx")
        self.assertEqual([c.value for c in openpyxl.load_workbook(path)["Products"][1]], ["key", "EAN"])
        job, path = self.export("--template", "weekly", "--format", "csv")
        self.assertTrue(path.read_bytes().startswith(b"key,EAN\r\n"))
        other = self.system.ctl("export", "submit", "--organization", "umbrella", "--template", "weekly", check=False)
        self.assertIn("there is none named 'weekly'", other.stderr)
        self.system.ctl("template", "drop", "weekly", "--organization", "acme")
        self.assertEqual(self.system.ctl("template", "show", "weekly", "--organization", "acme", check=False).returncode, 1)

    def test_prices_are_joined_when_asked_for(self):
        prices = [{"product_key": "p00003", "brand_key": "b", "amount": 12.50, "currency": "EUR", "price_type": "msrp"},
                  {"product_key": "p00003", "brand_key": "b", "amount": "11.00", "currency": "EUR", "price_type": "msrp", "effective_from": "2020-01-01T00:00:00Z"},
                  {"product_key": "p00003", "brand_key": "b", "amount": "1.00", "currency": "EUR", "price_type": "msrp", "effective_from": "2999-01-01T00:00:00Z"},
                  {"product_key": "p00004", "brand_key": "b", "amount": 7}]
        report = self.system.ctl("--json", "catalog", "import-prices", "-", "--organization", "acme",
                                 stdin="".join(json.dumps(p) + "\n" for p in prices) + '{"amount": 1}\n', check=False)
        self.assertEqual(report.returncode, 65)
        self.assertEqual(json.loads(report.stdout)["imported"], 4)
        _, path = self.export("--columns", "key,prices.msrp.EUR,prices.map.USD", "--keys", "p00002,p00003,p00004")
        self.assertEqual(path.read_bytes().decode(), "key,prices.msrp.EUR,prices.map.USD\r\np00002,,\r\np00003,11.00,\r\np00004,,7\r\n")
        unknown = self.system.ctl("export", "submit", "--organization", "acme", "--columns", "key,prices.list.EUR", check=False)
        self.assertIn("no product has these: prices.list.EUR", unknown.stderr)


if __name__ == "__main__":
    unittest.main()
