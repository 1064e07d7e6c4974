"""Reloads while every kind of client asks and another plugin is probed: nobody notices. And many in a row leave nothing behind."""
import os
import unittest

from functional.harness import FULL, SANITIZED
from functional.reload_load import Load, percentile, resources, split

REQUESTS = int(os.environ.get("EXPORT_WORKER_RELOAD_REQUESTS", 20_000 if SANITIZED else 1_000_000 if FULL else 50_000))
RELOADS = int(os.environ.get("EXPORT_WORKER_RELOADS", 10 if SANITIZED else 200 if FULL else 20))
QUIET_S = 5 if FULL else 1.5
# The first ones grow what they need; the others may leave nothing.
FIRST, IN_A_ROW = (20, 20) if SANITIZED else (100, 1000) if FULL else (10, 40)


class ReloadUnderLoadTest(unittest.TestCase):
    def test_nobody_notices(self):
        # The sanitizers' runtimes keep images for their reports, so there they are parked.
        load = Load(retire="park" if SANITIZED else "unmap", probing=True)
        self.addCleanup(load.close)
        load.start()
        load.spread(RELOADS, REQUESTS, self.check_report, QUIET_S)
        records, errors = load.finish()
        self.assertEqual(errors, [])
        inside, _ = split(records, load.windows, margin_ns=5_000_000)
        steady, _ = split(records, load.quiet)
        answered_by = {generation for _, _, generation in records}
        print(f"\n{len(records)} requests, 0 errors, {len(load.reloads)} reloads, {len(answered_by)} generations answered, "
              f"{load.probes} probes of another plugin; "
              f"p99 steady {percentile(steady, .99) / 1e6:.2f} ms, in swap windows {percentile(inside, .99) / 1e6:.2f} ms")
        self.assertGreaterEqual(len(load.reloads), RELOADS)
        # Every generation that was published has answered a request.
        self.assertEqual(answered_by, load.generations)
        self.assertGreater(load.probes, len(load.reloads) // 2)
        if not SANITIZED:
            self.assertGreaterEqual(len(records), REQUESTS)
            # No cliff. bench/reload_under_load holds it to twice the steady figure on a quiet machine; what a busy one
            # takes from a few milliseconds is its scheduler's business.
            self.assertLessEqual(percentile(inside, .99), max(2 * percentile(steady, .99), 10_000_000))
        requests = load.system.ctl_json("status")["requests"]
        self.assertEqual(requests["client_gone"], 0)
        self.assertTrue(requests["balanced"])

    def check_report(self, report):
        self.assertEqual(report["outcome"], "committed")
        after = report["window"]["after"]
        self.assertTrue(after["balanced"], after)
        self.assertEqual(after["error_replied"], report["window"]["before"]["error_replied"])

    def test_many_in_a_row_leave_nothing_behind(self):
        load = Load(connections=1, in_flight=1, retire="park" if SANITIZED else "unmap")
        self.addCleanup(load.close)
        load.start()
        samples = []
        for _ in range(IN_A_ROW):
            load.reload()
            samples.append(resources(load.system.daemon.popen.pid))
        # Files and memory come and go with the requests under way: the most of some reloads, at the beginning and at the end.
        before, after = ([max(column) for column in zip(*part)] for part in (samples[FIRST // 2:FIRST], samples[-FIRST // 2:]))
        _, errors = load.finish()
        self.assertEqual(errors, [])
        print(f"\n{len(load.reloads)} reloads; maps {before[0]} -> {after[0]}, open files {before[1]} -> {after[1]}, "
              f"threads {before[2]} -> {after[2]}, resident {before[3]} -> {after[3]} KiB")
        if SANITIZED:
            return
        shown = load.system.ctl_json("plugin", "show", "download_url")
        self.assertEqual(shown["unmapped"], IN_A_ROW)
        self.assertEqual(len(shown["generations"]), 1)
        self.assertLessEqual(after[0], before[0] + 10)
        self.assertLessEqual(after[1], before[1] + 3)
        self.assertLessEqual(after[2], before[2])
        self.assertLessEqual(after[3], before[3] * 1.05 + 2048)


if __name__ == "__main__":
    unittest.main()
