"""A million products: the daemon's memory stays flat. In the short form a tenth of them, and few products with very many variants for
the workbook of two sheets."""
import json
import pathlib
import re
import time
import unittest
import zipfile

from functional.harness import FULL, System

MEMORY_KIB_MAX = 96 * 1024
PRODUCTS = 1_000_000 if FULL else 100_000
SHEET_ROWS = 1_048_576


class MillionTest(unittest.TestCase):
    def setUp(self):
        self.system = System(on_disk=True)
        self.addCleanup(self.system.close)
        self.system.start()

    def peak_kib(self):
        status = pathlib.Path(f"/proc/{self.system.daemon.popen.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))

    def import_wide(self):
        """Few products, but more rows than a sheet can hold."""
        variants = [{"key": f"v{number}", "properties": {"price": f"{number}.50"}} for number in range(2000)]
        path = self.system.directory / "wide.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for number in range(SHEET_ROWS // len(variants) + 2):
                file.write(json.dumps({"key": f"wide-{number}", "productType": "shirt", "properties": {}, "variants": variants}) + "\n")
        self.system.ctl("catalog", "import", "--organization", "wide", path)

    def test_a_million_products_in_under_96_mib(self):
        started = time.monotonic()
        self.system.import_generated(PRODUCTS)
        imported = time.monotonic()
        job = self.system.export()
        finished = time.monotonic()
        self.assertEqual(job["status"], "completed")
        self.assertEqual(job["processed_items"], PRODUCTS)
        path = pathlib.Path(job["metadata"]["file_url"].removeprefix("file://"))
        self.assertEqual(path.stat().st_size, job["metadata"]["bytes"])
        print(f"\n{PRODUCTS:,} products, {job['metadata']['rows']} rows, {job['metadata']['bytes'] / 1e6:.0f} MB: made and imported in "
              f"{imported - started:.0f} s, exported in {finished - imported:.0f} s, peak memory of the daemon {self.peak_kib() / 1024:.0f} MiB")
        self.assertLess(self.peak_kib(), MEMORY_KIB_MAX)
        organization, rows = "acme", job["metadata"]["rows"]
        if not FULL:
            self.import_wide()
            organization, rows = "wide", (SHEET_ROWS // 2000 + 2) * 2000
        # More rows than a sheet can hold: the rest is on the next one.
        started = time.monotonic()
        book = self.system.export(organization, "--format", "xlsx", "--columns", "key,variant_key,price")
        self.assertEqual(book["status"], "completed")
        self.assertEqual(book["metadata"]["rows"], rows)
        self.assertEqual(book["metadata"]["sheets"], 2)
        with zipfile.ZipFile(book["metadata"]["file_url"].removeprefix("file://")) as archive:
            counts = []
            for sheet in ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"):
                with archive.open(sheet) as xml:
                    count, carry = 0, b""
                    while chunk := xml.read(1 << 20):
                        count += (carry + chunk).count(b"<row ")
                        carry = chunk[-4:]
                    counts.append(count)
        self.assertEqual(counts, [SHEET_ROWS, rows - (SHEET_ROWS - 1) + 1])
        print(f"{rows} rows as a workbook in {time.monotonic() - started:.0f} s, peak memory {self.peak_kib() / 1024:.0f} MiB")
        self.assertLess(self.peak_kib(), MEMORY_KIB_MAX)


if __name__ == "__main__":
    unittest.main()
