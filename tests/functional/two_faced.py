"""A plugin that behaves in its probe and misbehaves in the daemon, or the other way round: what becomes of the daemon, of the file and
of the committed code, in words that can be compared with two_faced.json."""
import concurrent.futures
import json
import re
import signal
import subprocess
import time

from functional.harness import BUILD, FULL, SANITIZED, SOURCE, System, alarm_texts, wait_until

FIXTURES = SOURCE / "tests" / "fixtures" / "plugins"
START_S = 5  # A start on committed code takes no longer.
PATIENCE_S = 10  # For an answer of a daemon that may hang.
LATE_STEPS = ("quiesce", "destroy", "thread-local destructor", "static destructor")
COLUMNS = ("probe", "reload", "start")
SETTINGS = """
[plugin.broken]
file = {file}
allow_imports = chdir dup2 exit fork pthread_exit raise setenv setitimer setlocale setpriority setrlimit setsid signal umask
[plugins]
probe_timeout_s = {timeout_s}
bake_s = 120
bake_stall_ms = 300
drain_s = 1
{keys}
"""


def table():
    return json.loads((FIXTURES / "two_faced.json").read_text())["kinds"]


def kinds():
    """Of this form: the short one has those that are marked quick. A sanitizer's runtime ends a process in its own way, so none there."""
    return [] if SANITIZED else [kind for kind in table() if FULL or kind.get("quick")]


class Died(Exception):
    pass


class Hangs(Exception):
    pass


class Stage:
    """A daemon whose committed plugin is a right one, and the two-faced file."""

    def __init__(self, kind, where):
        self.step = kind["step"]
        self.env = {"BROKEN_WHERE": where, "BROKEN_STEP": kind["step"], "BROKEN_ACT": kind["act"]}
        self.system = System()
        self.system.port = 1  # No shim here.
        self.env["BROKEN_MARK"] = str(self.system.directory)
        self.good = self.system.install("good.so", BUILD / "fixtures" / "broken_nothing.so")
        self.bad = self.system.install("bad.so", BUILD / "fixtures" / "two_faced.so")
        self.file = self.system.install("broken.so", self.good)
        # An image is unmapped, so that its destructors run before the end of the process.
        keys = "retire = unmap" if self.step == "static destructor" else ""
        self.system.extra = SETTINGS.format(file=self.file, timeout_s=2, keys=keys)

    def close(self):
        if self.system.daemon is not None and not self.system.daemon.log.closed:
            self.system.daemon.stop(signal.SIGKILL)
        self.system.daemon = None
        self.system.close()

    def start(self):
        """Seconds until it was ready; Died if it was not."""
        began = time.monotonic()
        self.system.start_daemon(env=self.env, must_start=False)
        try:
            wait_until("ready, or dead", lambda: "ready: data on" in self.system.daemon.text() or self.died(), PATIENCE_S)
        except AssertionError:
            raise Hangs
        if self.died():
            self.system.daemon.log.close()
            raise Died
        return time.monotonic() - began

    def start_again(self):
        """A start that ends in serving is short."""
        took = self.start()
        if took > START_S:
            raise AssertionError(f"ready after {took:.1f} s, expected at most {START_S} s")

    def died(self):
        return self.system.daemon.popen.poll() is not None

    def ctl(self, *words):
        command = [BUILD / "bin" / "exportctl", "--config", self.system.config, "--json", *words]
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=2 * PATIENCE_S, env={**self.env, "PATH": "/usr/bin"})
        except subprocess.TimeoutExpired:
            raise Died if self.died() else Hangs
        if not done.stdout.strip():
            self.check_life()
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def check_life(self):
        try:
            self.system.daemon.popen.wait(1)
        except subprocess.TimeoutExpired:
            return
        raise Died

    def call(self):
        wire = self.system.wire()
        try:
            request = wire.send("broken.do", {"a": 1}, deadline_ms=500)
            end = time.monotonic() + PATIENCE_S
            while not wire.socket.poll(50):
                if self.died():
                    raise Died
                if time.monotonic() > end:
                    raise Hangs
            return wire.receive(request)
        finally:
            wire.close()

    def alarms(self):
        return alarm_texts(self.ctl("status"))

    def quarantined(self):
        return [entry["reason"] for entry in self.ctl("plugin", "history", "broken")["quarantined"]]

    def serves(self):
        """Whose code answers."""
        reply = self.call()
        if not reply["ok"]:
            return "no code"
        return "new code" if reply["served_by"]["version"] == "2.0.0" else "committed code"

    def reload(self, file, *flags):
        return self.ctl("plugin", "reload", "broken", "--file", file, *flags)

    def provoke(self):
        """Once, on a daemon that serves the right plugin; what the daemon said."""
        if self.step in LATE_STEPS:
            self.reload(self.bad, "--no-bake")
            self.reload(self.good, "--no-bake")
            wait_until("the end of the old one", lambda: self.alarms() or not any(
                each["state"] == "draining" for each in self.ctl("plugin", "show", "broken")["generations"]))
            return "retired"
        report = self.reload(self.bad)
        if report["outcome"] == "refused":
            return f"refused: {report['refusal']['code']}"
        self.use()
        if self.serves() == "committed code":  # It answers for the one that bakes until that has been judged.
            wait_until("the end of the bake", lambda: self.outcome() != "baking", PATIENCE_S)
        return "serves" if self.outcome() == "baking" else self.outcome()

    def outcome(self):
        return self.ctl("plugin", "history", "broken")["items"][0]["outcome"]

    def use(self):
        """Requests, until the file that bakes has been judged if it fails them and no other answers."""
        for _ in range(20 if self.step == "handle" else 3):
            self.call()
        wait_until("an answer", lambda: self.call()["ok"], PATIENCE_S)


def end_of(code):
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def in_the_probe(kind):
    stage = Stage(kind, "probe")
    try:
        began = time.monotonic()
        done = subprocess.run([BUILD / "bin" / "exportctl", "--config", stage.system.config, "--json", "plugin", "check", stage.bad],
                              capture_output=True, text=True, timeout=60, env=stage.env)
        if time.monotonic() - began > START_S:
            raise AssertionError(f"the check took {time.monotonic() - began:.1f} s")
        verdict = json.loads(done.stdout)
        return ("accepted", "") if verdict["accepted"] else (verdict["refusal"]["code"], verdict["refusal"]["found"])
    finally:
        stage.close()


def at_a_reload(kind):
    stage = Stage(kind, "daemon")
    try:
        stage.start()
        try:
            said = stage.provoke()
            if stage.serves() != ("new code" if said == "serves" else "committed code"):
                raise AssertionError(f"{said}, and then {stage.serves()} served")
            return ", ".join([said] + ["quarantined"] * bool(stage.quarantined()) + ["alarm"] * bool(stage.alarms()))
        except Died:
            return after_a_death(stage)
    finally:
        stage.close()


def after_a_death(stage):
    """The daemon has died of the two-faced file: what serves after a restart, and what a second attempt meets."""
    code = stage.system.daemon.popen.returncode
    stage.system.daemon.log.close()
    stage.start_again()
    if stage.serves() != "committed code":
        raise AssertionError(f"after a restart {stage.serves()} served")
    if stage.quarantined():
        return f"{end_of(code)}, quarantined"
    try:
        raise AssertionError(f"survived the second time: {stage.provoke()}")
    except Died:
        stage.system.daemon.log.close()
    stage.start_again()
    if stage.serves() != "committed code" or not stage.quarantined():
        raise AssertionError(f"after the second death: {stage.serves()} served, quarantined {stage.quarantined()}")
    return f"{end_of(code)}, the second time quarantined"


def at_a_start(kind):
    """The configured file is replaced while the daemon is stopped; for the late steps: it serves, and the daemon is stopped."""
    stage = Stage(kind, "daemon")
    try:
        stage.start()
        ends = put_in_place(stage)
        start_until_it_serves(stage, ends)
        ends.append(stage.serves())
        if ends[-1] == "committed code":  # The configured file may still be on its way to be refused.
            wait_until("the alarm", stage.alarms)
        return ", ".join(ends + ["quarantined"] * bool(stage.quarantined()) + ["alarm"] * bool(stage.alarms()))
    finally:
        stage.close()


def put_in_place(stage):
    """The two-faced file becomes the configured one, and the daemon is stopped; how a daemon ended in which it served."""
    if stage.step in LATE_STEPS:
        stage.system.install("broken.so", stage.bad)
        stage.reload(stage.bad, "--no-bake")
        return [stop(stage)]
    stop(stage)
    stage.system.install("broken.so", stage.bad)
    return []


def start_until_it_serves(stage, ends):
    for attempt in range(3):
        try:
            stage.start_again()
            if stage.step == "handle":
                stage.use()
            if stage.step not in LATE_STEPS or attempt > 0:
                return
            ends.append(stop(stage))
        except Died:
            ends.append(end_of(stage.system.daemon.popen.returncode))
        except Hangs:
            stage.system.daemon.stop(signal.SIGKILL)
            ends.append("hangs")


def stop(stage):
    try:
        stage.system.daemon.popen.send_signal(signal.SIGTERM)
        return end_of(stage.system.daemon.popen.wait(PATIENCE_S))
    except subprocess.TimeoutExpired:
        stage.system.daemon.popen.kill()
        stage.system.daemon.popen.wait()
        return "hangs"
    finally:
        stage.system.daemon.log.close()


OBSERVERS = {"probe": in_the_probe, "reload": at_a_reload, "start": at_a_start}


def observe(kind, column):
    """(what was found in the column, what was wrong)"""
    expected = kind[column]
    if not expected:
        return "", ""
    try:
        found = OBSERVERS[column](kind)
    except (AssertionError, Died, Hangs, OSError, ValueError) as error:
        return f"{type(error).__name__}", str(error)[-3000:]
    said = ""
    if column == "probe":
        found, said = found
        if kind.get("found", "") not in said:
            return found, f"expected '{kind['found']}' in '{said}'"
    return found, "" if found == expected else f"expected '{expected}', found '{found}' {said}"


def run_table(show=lambda *row: None):
    """Every kind of this form in every column; returns what did not go as the table says."""
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [(kind, [pool.submit(observe, kind, column) for column in COLUMNS]) for kind in kinds()]
        for kind, cells in running:
            cells = [cell.result() for cell in cells]
            show(kind, [found for found, _ in cells])
            wrong += [(kind["step"], kind["act"], column, problem)
                      for column, (_, problem) in zip(COLUMNS, cells) if problem]
    return wrong


def rows_of_page(text):
    """The rows of the page's table, as the JSON has them."""
    rows = []
    section = text.split("\n## The zoo\n")[1].split("\n## ")[0]
    for line in re.findall(r"(?m)^\| .* \|$", section.split("| at a start |\n|---")[1]):
        step, act, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append({"step": step, "act": act, **dict(zip(COLUMNS, cells))})
    return rows
