#!/usr/bin/python3
"""XlsxWriter for bench/export: peer_xlsxwriter.py DATABASE OUTPUT

Writes the table `rows` of a SQLite database as a workbook, as a careful Python service would: constant memory, numbers as
numbers, text as text, a bold frozen header, the next sheet when one is full. Prints the seconds from opening the database to the closed
workbook, and the most memory the process had, in KiB.
"""
import json
import resource
import sqlite3
import sys
import time

import xlsxwriter

SHEET_ROWS_MAX = 1_048_576

begun = time.perf_counter()
cursor = sqlite3.connect(sys.argv[1]).execute("SELECT * FROM rows")
headers = [column[0] for column in cursor.description]
book = xlsxwriter.Workbook(sys.argv[2], {"constant_memory": True})
bold = book.add_format({"bold": True})
sheet, row = None, SHEET_ROWS_MAX
for record in cursor:
    if row == SHEET_ROWS_MAX:
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for column, header in enumerate(headers):
            sheet.write_string(0, column, header, bold)
        row = 1
    for column, value in enumerate(record):
        if value is None or value == "":
            continue
        if isinstance(value, str):
            sheet.write_string(row, column, value)
        else:
            sheet.write_number(row, column, value)
    row += 1
book.close()
print(json.dumps({"seconds": time.perf_counter() - begun,
                  "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
