"""No test sleeps to wait for something: it waits for the condition. A sleep that is left says why in its line or in the one above, as
"# sleep: REASON" (Python), "// sleep: REASON" (C++, JavaScript) or "/* sleep: REASON */" (C)."""
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
SLEEP = re.compile(r"\b(?:sleep|usleep|nanosleep|clock_nanosleep|sleep_for|sleep_until)\s*\(|\bsleep\s+[\d.]|\bsetTimeout\s*\(")
REASON = re.compile(r"(?:#|//|/\*) sleep: \w")
SUFFIXES = {".py", ".c", ".h", ".cpp", ".hpp", ".js", ".sh"}


def unexplained(text):
    """(number, line) of each sleep without a reason."""
    lines = text.splitlines()
    return [(number + 1, line.strip()) for number, line in enumerate(lines)
            if SLEEP.search(line) and not REASON.search(line) and not REASON.match(lines[number - 1].strip() if number else "")]


class SleepTest(unittest.TestCase):
    def test_every_sleep_has_a_reason(self):
        paths = [path for path in sorted(TESTS.rglob("*")) if path.suffix in SUFFIXES and path != pathlib.Path(__file__).resolve()]
        self.assertGreater(len(paths), 100)
        found = [f"{path.relative_to(TESTS.parent)}:{number}: {line}" for path in paths for number, line in unexplained(path.read_text())]
        if found:
            self.fail("wait for the condition (harness.wait_until, a fault point, an event), or say why not in the line:\n" + "\n".join(found))

    def test_a_sleep_is_seen_in_every_language(self):
        for line in ("time.sleep(0.3)", "std::this_thread::sleep_for(milliseconds(10));", "::usleep(5'000);", "nanosleep(&pause, NULL);",
                     "setTimeout(done, 100);", 'subprocess.run(["bash", "-c", "sleep 0.5"])', "sleep(1)  # sleep:", "sleep(1)  # A pause."):
            self.assertEqual(len(unexplained(line)), 1, line)
        for line in ("time.sleep(0.02)  # sleep: the pause between two looks", "nanosleep(&pause, NULL);  /* sleep: the defect */",
                     "// sleep: the pause between two looks\nsleep_for(pause);", "sleep_for_ever(NULL);", "pool.wait(0.1)"):
            self.assertEqual(unexplained(line), [], line)


if __name__ == "__main__":
    unittest.main()
