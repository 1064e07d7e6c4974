"""Plugins with one defect each: the daemon refuses every one with its reason, or takes it back, and goes on serving."""
import os
import pathlib
import signal
import unittest

from functional import two_faced
from functional.harness import SANITIZED, SOURCE
from functional.zoo import run_zoo


def orphans(stage):
    """Processes with the environment of the stage's daemon."""
    mark = f"BROKEN_MARK={stage.system.directory}".encode()
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            pass  # It has ended, or is another user's.
    return found


class ZooTest(unittest.TestCase):
    maxDiff = None

    def test_every_defect_meets_its_verdict(self):
        wrong = run_zoo(lambda name, verdict, said, good: print(f"{'ok ' if good else 'BAD'} {name:20} {verdict:18} {said[:150]}"))
        self.assertEqual(wrong, [])

    def test_a_plugin_that_misbehaves_in_its_probe_or_only_in_the_daemon(self):
        wrong = two_faced.run_table(lambda kind, cells: print(f"{kind['step']:18} {kind['act']:26} {' | '.join(cells)}"))
        self.assertEqual(wrong, [])

    @unittest.skipIf(SANITIZED, "two_faced.so is for plain builds")
    def test_a_process_that_a_plugin_forked_does_not_hold_up_the_next_start(self):
        stage = two_faced.Stage({"step": "handle", "act": "fork"}, "daemon")
        self.addCleanup(stage.close)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in orphans(stage)])
        stage.start()
        stage.reload(stage.bad, "--no-bake")
        self.assertTrue(stage.call()["ok"])
        self.assertGreater(len(orphans(stage)), 1)
        stage.system.daemon.stop(signal.SIGKILL)
        self.assertTrue(orphans(stage))
        stage.start_again()
        self.assertTrue(stage.call()["ok"])

    def test_the_page_has_the_same_table(self):
        page = two_faced.rows_of_page((SOURCE / "docs" / "plugin_abi.md").read_text())
        table = [{column: kind[column] for column in ("step", "act", *two_faced.COLUMNS)} for kind in two_faced.table()]
        self.assertEqual(page, table)


if __name__ == "__main__":
    unittest.main()
