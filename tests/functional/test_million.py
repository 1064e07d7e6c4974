"""A million products: the daemon's memory stays flat."""
import pathlib
import re
import time
import unittest
import zipfile

from functional.harness import System

MEMORY_KIB_MAX = 96 * 1024


class MillionTest(unittest.TestCase):
    def test_a_million_products_in_under_96_mib(self):
        system = System()
        self.addCleanup(system.close)
        system.start()
        started = time.monotonic()
        system.import_generated(1_000_000)
        imported = time.monotonic()
        job = system.export()
        finished = time.monotonic()
        self.assertEqual(job["status"], "completed")
        self.assertEqual(job["processed_items"], 1_000_000)
        status = pathlib.Path(f"/proc/{system.daemon.popen.pid}/status").read_text()
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
        path = pathlib.Path(job["metadata"]["file_url"].removeprefix("file://"))
        self.assertEqual(path.stat().st_size, job["metadata"]["bytes"])
        print(f"\n1,000,000 products, {job['metadata']['rows']} rows, {job['metadata']['bytes'] / 1e6:.0f} MB: made and imported in "
              f"{imported - started:.0f} s, exported in {finished - imported:.0f} s, peak memory of the daemon {peak_kib / 1024:.0f} MiB")
        self.assertLess(peak_kib, MEMORY_KIB_MAX)
        # More rows than a sheet can hold: the rest is on the next one.
        started = time.monotonic()
        book = system.export("acme", "--format", "xlsx", "--columns", "key,variant_key,price")
        self.assertEqual(book["status"], "completed")
        self.assertEqual(book["metadata"]["rows"], job["metadata"]["rows"])
        self.assertEqual(book["metadata"]["sheets"], 2)
        with zipfile.ZipFile(book["metadata"]["file_url"].removeprefix("file://")) as archive:
            rows = []
            for sheet in ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"):
                with archive.open(sheet) as xml:
                    count, carry = 0, b""
                    while chunk := xml.read(1 << 20):
                        count += (carry + chunk).count(b"<row ")
                        carry = chunk[-4:]
                    rows.append(count)
        self.assertEqual(rows, [1_048_576, job["metadata"]["rows"] - 1_048_575 + 1])
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{system.daemon.popen.pid}/status").read_text()).group(1))
        print(f"the same rows as a workbook in {time.monotonic() - started:.0f} s, peak memory {peak_kib / 1024:.0f} MiB")
        self.assertLess(peak_kib, MEMORY_KIB_MAX)


if __name__ == "__main__":
    unittest.main()
