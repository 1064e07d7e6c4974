"""Races and lies: a worker that lost its job, cancels at every step, two daemons, a clock that jumps."""
import pathlib
import signal
import subprocess
import unittest

from functional.harness import BUILD, FULL, ClockJump, System, side_by_side, wait_until

PRODUCTS = 2500
STEPS = ["run.claimed", "run.intended", "run.batch", "file.block_written", "file.before_sync", "file.before_rename", "file.before_directory_sync",
         "run.before_completion"]


class RaceTest(unittest.TestCase):
    def start(self, faults, extra="", workers=2):
        system = System()
        self.addCleanup(system.close)
        system.port = 1  # The operator alone asks here: no shim.
        system.extra = f"[export]\nworkers = {workers}\nsweep_interval_s = 1\norphan_grace_s = 1\nretry_base_ms = 1\n{extra}"
        system.start_daemon(faults=faults)
        system.import_generated(PRODUCTS)
        return system

    def submit(self, system):
        return system.ctl_json("export", "submit", "--organization", "acme")["job_id"]

    def events(self, system, job):
        return [e["kind"] for e in system.ctl_json("job", "events", job)["items"]]

    def settle(self, system, count):
        wait_until("nothing but published files", lambda: len(system.files()) == count)

    def test_a_zombie_can_change_nothing(self):
        """Its worker stands still, another one finishes the job, then it goes on: at every step."""
        side_by_side(self, self.zombie_at, STEPS)

    def zombie_at(self, step):
        system = self.start(f"{step}:pause", "stall_limit_s = 1\n")
        job = self.submit(system)
        system.paused_at(step)
        done = wait_until("another worker to finish", lambda: system.job_when(job, "completed"))
        self.assertIn("attempt_failed", self.events(system, job))
        system.let_go(step)
        wait_until("the zombie to be refused", lambda: system.ctl_json("status")["jobs"]["writes_fenced"] > 0)
        self.settle(system, 1)
        after = system.ctl_json("job", "show", job)
        self.assertEqual((after["status"], after["metadata"]), ("completed", done["metadata"]))
        self.assertEqual(self.events(system, job).count("published"), 1)

    def test_a_cancel_at_any_step_gets_a_definite_answer(self):
        side_by_side(self, self.cancel_at, STEPS + ["run.completed"])

    def cancel_at(self, step):
        system = self.start(f"{step}:pause")
        job = self.submit(system)
        system.paused_at(step)
        answer = system.ctl("--json", "job", "cancel", job, check=False)
        if step == "run.completed":
            self.assertEqual(answer.returncode, 1)
            self.assertIn("already completed", answer.stderr)
        else:
            self.assertEqual(answer.returncode, 0, answer.stderr)
        system.let_go(step)
        end = "completed" if step == "run.completed" else "cancelled"
        wait_until(end, lambda: system.job_when(job, end))
        self.settle(system, 1 if end == "completed" else 0)

    def test_a_stopped_process_keeps_its_place(self):
        """SIGSTOP: the lock of the directory is still held, so nobody takes over; once it goes on, it finishes."""
        system = self.start("run.batch:stop")
        # The worker may stop the process before the answer has left it.
        wire = system.control()
        self.addCleanup(wire.close)
        request = wire.send("exports.submit", {"format": "csv"}, auth={"organization_id": "acme"})
        wait_until("the daemon to stand still", lambda: "State:\tT" in pathlib.Path(f"/proc/{system.daemon.popen.pid}/status").read_text())
        second = subprocess.run([str(BUILD / "bin" / "export-workerd"), "--config", str(system.config)], capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 75)
        self.assertIn("lock", second.stderr)
        system.daemon.popen.send_signal(signal.SIGCONT)
        job = wire.receive(request)["result"]["job_id"]
        wait_until("the export", lambda: system.job_when(job, "completed"))
        self.settle(system, 1)

    def test_two_daemons_cannot_own_one_state_directory(self):
        system = self.start("")
        for _ in range(5):
            second = subprocess.run([str(BUILD / "bin" / "export-workerd"), "--config", str(system.config)], capture_output=True, text=True, timeout=30)
            self.assertEqual(second.returncode, 75)
            self.assertIn(str(system.daemon.popen.pid), second.stderr)
        self.assertEqual(system.export()["status"], "completed")

    def test_the_wall_clock_jumps(self):
        system = System()
        self.addCleanup(system.close)
        clock = ClockJump(system.directory)
        system.extra = "[export]\nstall_limit_s = 60\ndeadline_s = 600\n"
        system.port = 1  # The operator alone asks here: no shim.
        system.start_daemon(clock.env, faults="run.batch:pause")
        system.import_generated(PRODUCTS)
        key = system.make_key()
        job = self.submit(system)
        system.paused_at("run.batch")
        for seconds in (3600, -3600, 0) if FULL else (3600, -3600):
            clock.jump(seconds)
            # A job whose deadline is a second away: when it has failed, the housekeeping has looked at stalls and deadlines after the
            # jump, and a wrong one would have struck.
            witness = system.wire()
            other = witness.call("jobs.create", {"job_type": "crawl", "total_items": 1, "deadline_s": 1}, key)["result"]["job_id"]
            witness.close()
            late = wait_until("the deadline of another job", lambda: system.job_when(other, "failed"))
            self.assertEqual(late["error_message"], "its deadline has passed")
            self.assertEqual(system.ctl_json("job", "show", job)["status"], "in_progress")
        system.let_go("run.batch")
        wait_until("the export", lambda: system.job_when(job, "completed"))
        self.assertEqual(self.events(system, job), ["submitted", "claimed", "published"])


if __name__ == "__main__":
    unittest.main()
