"""Races and lies: a worker that lost its job, cancels at every step, two daemons, a clock that jumps."""
import pathlib
import signal
import subprocess
import time
import unittest

from functional.harness import BUILD, SOURCE, System, wait_until

PRODUCTS = 2500
STEPS = ["run.claimed", "run.intended", "run.batch", "file.block_written", "file.before_sync", "file.before_rename", "file.before_directory_sync",
         "run.before_completion"]


class RaceTest(unittest.TestCase):
    def start(self, faults, extra="", workers=2):
        self.system = System()
        self.addCleanup(self.system.close)
        self.system.extra = f"[export]\nworkers = {workers}\nsweep_interval_s = 1\norphan_grace_s = 1\nretry_base_ms = 1\n{extra}"
        self.system.start_shim()
        self.system.start_daemon(faults=faults)
        self.system.import_generated(PRODUCTS)

    def submit(self):
        return self.system.ctl_json("export", "submit", "--organization", "acme")["job_id"]

    def events(self, job):
        return [e["kind"] for e in self.system.ctl_json("job", "events", job)["items"]]

    def settle(self, count):
        wait_until("nothing but published files", lambda: len(self.system.files()) == count)

    def test_a_zombie_can_change_nothing(self):
        """Its worker stands still, another one finishes the job, then it goes on: at every step."""
        for step in STEPS:
            with self.subTest(step):
                self.start(f"{step}:pause", "stall_limit_s = 1\n")
                job = self.submit()
                self.system.paused_at(step)
                done = wait_until("another worker to finish", lambda: self.system.job_when(job, "completed"))
                self.assertIn("attempt_failed", self.events(job))
                self.system.let_go(step)
                wait_until("the zombie to be refused", lambda: self.system.ctl_json("status")["jobs"]["writes_fenced"] > 0)
                self.settle(1)
                after = self.system.ctl_json("job", "show", job)
                self.assertEqual((after["status"], after["metadata"]), ("completed", done["metadata"]))
                self.assertEqual(self.events(job).count("published"), 1)

    def test_a_cancel_at_any_step_gets_a_definite_answer(self):
        for step in STEPS + ["run.completed"]:
            with self.subTest(step):
                self.start(f"{step}:pause")
                job = self.submit()
                self.system.paused_at(step)
                answer = self.system.ctl("--json", "job", "cancel", job, check=False)
                if step == "run.completed":
                    self.assertEqual(answer.returncode, 1)
                    self.assertIn("already completed", answer.stderr)
                else:
                    self.assertEqual(answer.returncode, 0, answer.stderr)
                self.system.let_go(step)
                end = "completed" if step == "run.completed" else "cancelled"
                wait_until(end, lambda: self.system.job_when(job, end))
                self.settle(1 if end == "completed" else 0)

    def test_a_stopped_process_keeps_its_place(self):
        """SIGSTOP: the lock of the directory is still held, so nobody takes over; once it goes on, it finishes."""
        self.start("run.batch:stop")
        job = self.submit()
        wait_until("the daemon to stand still", lambda: f"State:\tT" in pathlib.Path(f"/proc/{self.system.daemon.popen.pid}/status").read_text())
        second = subprocess.run([str(BUILD / "bin" / "export-workerd"), "--config", str(self.system.config)], capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 78)
        self.assertIn("lock", second.stderr)
        self.system.daemon.popen.send_signal(signal.SIGCONT)
        wait_until("the export", lambda: self.system.job_when(job, "completed"))
        self.settle(1)

    def test_two_daemons_cannot_own_one_state_directory(self):
        self.start("")
        for _ in range(5):
            second = subprocess.run([str(BUILD / "bin" / "export-workerd"), "--config", str(self.system.config)], capture_output=True, text=True, timeout=30)
            self.assertEqual(second.returncode, 78)
            self.assertIn(str(self.system.daemon.popen.pid), second.stderr)
        self.assertEqual(self.system.export()["status"], "completed")

    def test_the_wall_clock_jumps(self):
        library = SOURCE / "tests/fault/clock_jump.c"
        self.system = System()
        self.addCleanup(self.system.close)
        built = self.system.directory / "clock_jump.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(built), str(library), "-ldl"], check=True)
        jump = self.system.directory / "jump"
        self.system.extra = "[export]\nstall_limit_s = 60\ndeadline_s = 600\n"
        self.system.start_shim()
        self.system.start_daemon({"LD_PRELOAD": str(built), "CLOCK_JUMP_FILE": str(jump), "ASAN_OPTIONS": "verify_asan_link_order=0"}, faults="run.batch:pause")
        self.system.import_generated(PRODUCTS)
        job = self.submit()
        self.system.paused_at("run.batch")
        for seconds in (3600, -3600, 0):
            jump.write_text(str(seconds))
            time.sleep(1.2)  # Longer than the upkeep's interval: a wrong deadline or stall would strike now.
            self.assertEqual(self.system.ctl_json("job", "show", job)["status"], "in_progress")
        self.system.let_go("run.batch")
        wait_until("the export", lambda: self.system.job_when(job, "completed"))
        self.assertEqual(self.events(job), ["submitted", "claimed", "published"])


if __name__ == "__main__":
    unittest.main()
