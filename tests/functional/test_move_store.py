"""The section "Move a store" of docs/operations.md, command by command."""
import os
import re
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, System, wait_until

PAGE = (SOURCE / "docs" / "operations.md").read_text().split("\n## Move a store\n")[1].split("\n## ")[0]


class MoveStoreTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)

    def run_line(self, line):
        """systemctl means the programs of this test, and the paths of the page its directories."""
        unit = re.fullmatch(r"systemctl (stop|start) export-workerd", line)
        if unit and unit[1] == "stop":
            return self.assertEqual(self.system.daemon.stop(), 0)
        if unit:
            return self.system.start_daemon()
        line = line.replace("/var/lib/export-worker/exports", str(self.system.exports)).replace("/srv/exports", str(self.system.directory / "new"))
        done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": f"{BUILD}/bin:{os.environ['PATH']}", "EXPORT_WORKER_CONFIG": str(self.system.config)})
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_jobs_and_links_of_before_go_on(self):
        self.system.start()
        self.system.import_generated(5)
        key = self.system.make_key()
        job = self.system.export()["job_id"]
        link = self.system.mint(job, key).json["download_url"]
        (self.system.directory / "new").mkdir()
        lines = re.search(r"```sh\n(.*?)```", PAGE, re.S)[1].splitlines()
        self.assertGreater(len(lines), 4)
        for line in lines:
            printed = self.run_line(line)
            self.assertEqual(self.system.fetch(link).status if (self.system.exports / "acme").exists() else 200, 200, line)
        self.assertIn("0 problems", printed)
        wait_until("the shim sees the daemon", lambda: self.system.http("GET", "/readyz").status == 200)
        self.assertEqual(self.system.alarms(), [])
        again = self.system.mint(job, key)
        self.assertEqual((again.status, self.system.fetch(again.json["download_url"]).status), (200, 200), again.body)
        later = self.system.export()
        self.assertTrue(later["metadata"]["file_url"].startswith(f"file://{self.system.exports}/"), later)
        self.assertEqual(len(list((self.system.directory / "new" / "acme").iterdir())), 2)


if __name__ == "__main__":
    unittest.main()
