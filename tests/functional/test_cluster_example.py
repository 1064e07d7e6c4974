"""examples/cluster/run as its readers run it: a cluster on one machine, a dead daemon, an upgrade, and a table of every job."""
import os
import re
import subprocess
import unittest

from functional.harness import BUILD, FULL, NODE_MODULES, SOURCE, free_port, need_node
from functional.postgres import need_postgres
from functional.skips import need

SCRIPT = SOURCE / "examples" / "cluster" / "run"


class ClusterExampleTest(unittest.TestCase):
    def test_every_job_is_there_after_a_death_and_an_upgrade(self):
        need_postgres()
        need("pgbouncer")
        need("nginx")
        need_node("s3rver", "@smithy/signature-v4")
        jobs = 60 if FULL else 20
        done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL, env={
            **os.environ, "EXPORT_WORKER_BUILD": str(BUILD), "EXPORT_WORKER_NODE_MODULES": str(NODE_MODULES), "EXPORT_WORKER_CLUSTER_JOBS": str(jobs),
            "EXPORT_WORKER_CLUSTER_PORTS": " ".join(str(free_port()) for _ in range(4))})
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        self.assertIn(f"requests {jobs}, accepted {jobs}, found {jobs}, failed 0, objects in the store {jobs}\n", done.stdout)
        rows = re.findall(r"(?m)^[0-9a-f-]{36}  completed .* same$", done.stdout)
        self.assertEqual(len(rows), jobs)
        self.assertTrue(any("worker-2 died, worker-" in row for row in rows), done.stdout)

    def test_the_script_is_sound(self):
        done = subprocess.run([need("shellcheck"), SCRIPT], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
