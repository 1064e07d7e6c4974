"""kill -9 at every step of a plugin's life, then a start: ready within five seconds, and what answers is what was decided."""
import contextlib
import dataclasses
import hashlib
import re
import shutil
import signal
import threading
import time
import unittest

import msgpack
import zmq

from functional.harness import BUILD, FULL, SANITIZED, SOURCE, System, side_by_side

READY_S = 30 if SANITIZED else 5
FILES = {"A": "broken_nothing.so", "B": "broken_longer_descriptor.so", "F": "broken_faulty_later.so"}
HASHES = {name: hashlib.sha256((BUILD / "fixtures" / file).read_bytes()).hexdigest() for name, file in FILES.items()}

# The steps in the order in which they come; NAME:2 is the second time.
LOAD = ["plugin.file_copied", "plugin.staged", "plugin.inspected", "plugin.live_copy_made", "plugin.probe_marked", "plugin.probe_begun", "plugin.probe_ended",
        "plugin.load_marked", "plugin.call_returned", "plugin.loaded"]
LOAD_AGAIN = [f"{step}:2" for step in LOAD[1:]]
SERVE = ["plugin.published", "plugin.commit_written"]
CLOSE = ["plugin.artifacts_forgotten", "plugin.history_written"]
END = ["plugin.end_marked", "plugin.call_returned", "plugin.ended"]
END_AFTER_LOAD = ["plugin.end_marked", "plugin.call_returned:2", "plugin.ended"]
BEFORE = "database.before_commit"  # Before anything is written.


@dataclasses.dataclass
class Action:
    """What is under way when the daemon dies, and what the next start makes of it: `before` of a death before the step `decided`,
    `after` of one from there on. "B bakes over A, F quarantined", "A pinned"."""
    name: str
    state: str  # The directory before it, see make_states.
    command: object  # "start", "stop", "traffic", or the words behind "exportctl plugin".
    steps: list
    after: str
    decided: str = ""
    before: str = ""
    bakes: str = ""  # The file that bakes when it begins.

    def is_decided(self, step):
        return not self.decided or self.steps.index(step) >= self.steps.index(self.decided)

    def expected(self, step):
        return self.after if self.is_decided(step) else self.before


ACTIONS = [
    Action("first start", "empty", "start", ["plugin.start_begun", "plugin.configured_tried", *LOAD, *SERVE, *CLOSE], "A"),
    Action("start with a changed file", "changed", "start",
           ["plugin.start_begun", *LOAD, *SERVE, "plugin.committed_serves", "plugin.configured_tried", *LOAD_AGAIN,
            "plugin.bake_marked", "plugin.published:2", *CLOSE],
           "A, B quarantined", "plugin.bake_marked", "B bakes over A"),
    Action("start after a death in a bake", "died baking", "start",
           ["plugin.quarantined", "plugin.bake_unmarked", "plugin.start_begun", *LOAD, *SERVE, "plugin.committed_serves",
            "plugin.configured_tried", "plugin.staged:2", "plugin.inspected:2", *CLOSE], "A, B quarantined"),
    Action("reload that bakes", "A", ["reload", "broken", "--file", "B"], [*LOAD, "plugin.bake_marked", "plugin.published", *CLOSE],
           "A, B quarantined", "plugin.bake_marked", "A"),
    Action("reload without a bake", "A", ["reload", "broken", "--no-bake", "--file", "B"], [*LOAD, *SERVE, *CLOSE, *END_AFTER_LOAD],
           "B pinned", "plugin.commit_written", "A"),
    Action("commit by an operator", "A", ["commit", "broken"],
           [BEFORE, "plugin.commit_written", "plugin.warm_retired", "plugin.history_written", *END],
           "B pinned", "plugin.commit_written", "A, B quarantined", bakes="B"),
    Action("rollback of a bake", "A", ["rollback", "broken"],
           ["plugin.warm_published", "plugin.commit_written", "plugin.history_written", "plugin.history_written:2", *END],
           "A", "plugin.commit_written", "A, B quarantined", bakes="B"),
    Action("rollback afterwards", "B after A", ["rollback", "broken"], ["plugin.rollback_begun", *LOAD, *SERVE, *CLOSE, *END_AFTER_LOAD],
           "A pinned", "plugin.commit_written", "B"),
    Action("bake that fails", "A", "traffic",
           ["plugin.warm_published", "plugin.quarantined", "plugin.bake_unmarked", "plugin.history_written", *END],
           "A, F quarantined", bakes="F"),
    Action("unpin", "pinned", ["unpin", "broken"], [BEFORE, "plugin.unpinned", "plugin.history_written"],
           "B bakes over A", "plugin.unpinned", "A pinned"),
    Action("stop during a bake", "A", "stop", ["plugin.bake_forgotten", *END[:2], "plugin.end_marked:2"], "A", bakes="B"),
]


class Site(System):
    """One daemon with one plugin, whose bakes do not end by themselves."""

    def __init__(self, state=None):
        super().__init__()
        for name, file in FILES.items():
            self.install(f"{name}.so", BUILD / "fixtures" / file)
        self.configured = "A"
        self.armed = self.directory / "armed"
        if state is not None:
            shutil.copytree(state, self.state, symlinks=True, ignore=shutil.ignore_patterns("run"))

    @property
    def config(self):
        path = self.directory / "export-worker.ini"
        self.install("broken.so", BUILD / "fixtures" / FILES[self.configured])
        path.write_text(f"[daemon]\nstate_dir = {self.state}\n[plugin.broken]\nfile = {self.directory}/plugins/broken.so\n"
                        "[export]\nworkers = 0\n[plugins]\nbake_s = 600\n")
        return path

    def start_timed(self):
        """Seconds until it is ready."""
        begun = time.monotonic()
        self.start_daemon()
        return time.monotonic() - begun

    def plugin_command(self, *words, check=True):
        """exportctl plugin; files go by their names in FILES."""
        return self.ctl("plugin", *(self.directory / "plugins" / f"{word}.so" if word in FILES else word for word in words), check=check)

    def shown(self):
        """What it does, in the words of Action; the plugin's entry in the list; its history."""
        wire = self.control()
        try:
            plugin = next(iter(wire.call("control.plugin_list")["result"]["items"]), None)
            history = wire.call("control.plugin_history", {"plugin": "broken"})["result"]
        finally:
            wire.close()
        names = {sha256: name for name, sha256 in HASHES.items()}
        if plugin is None:
            return "nothing", plugin, history
        generations = plugin["generations"]
        words = names[generations[0]["sha256"]]
        if generations[0]["state"] == "baking":
            words += f" bakes over {names[next(g['sha256'] for g in generations if g['state'] == 'warm')]}"
        if plugin["pinned"]:
            words += " pinned"
        for bad in history["quarantined"]:
            words += f", {names[bad['sha256']]} quarantined"
        return words, plugin, history


class Lifetimes(unittest.TestCase):
    """Every action, killed at every one of its steps."""
    rows = {}
    lock = threading.Lock()

    @classmethod
    def setUpClass(cls):
        cls.states = cls.make_states()

    @classmethod
    def tearDownClass(cls):
        print(f"\n{'ACTION':30} {'KILLED AT':28} {'THEN SERVES':20} READY")
        for action in ACTIONS:
            for step in action.steps:
                if (action.name, step) in cls.rows:
                    print(f"{action.name:30} {step:28} {cls.rows[action.name, step]}")

    @classmethod
    def make_states(cls):
        """State directories to begin with, by name."""
        sites = {name: Site() for name in ("A", "B after A", "pinned", "died baking")}
        for site in sites.values():
            cls.addClassCleanup(site.close)
            site.start_daemon()
        for name in ("B after A", "pinned"):
            sites[name].configured = "B"
            _ = sites[name].config  # Writes it.
            sites[name].plugin_command("reload", "broken", "--no-bake")
        sites["pinned"].plugin_command("rollback", "broken")
        sites["died baking"].plugin_command("reload", "broken", "--file", "B")
        for name, site in sites.items():
            site.daemon.stop(signal.SIGKILL if name == "died baking" else signal.SIGTERM)
        states = {name: site.state for name, site in sites.items()}
        return {**states, "changed": states["A"], "empty": None}

    def test_every_step_of_every_action(self):
        side_by_side(self, lambda case: self.die(*case), [(action, step) for action in ACTIONS for step in self.steps_of(action)])

    def test_no_step_is_forgotten(self):
        found = set()
        for path in (SOURCE / "daemon" / "plugins").rglob("*.cpp"):
            found |= set(re.findall(r'fault_point\("([^"]+)"\)', path.read_text()))
        driven = [{step.partition(":")[0] for action in ACTIONS for step in steps(action)} - {BEFORE}
                  for steps in (lambda action: action.steps, self.steps_of)]
        self.assertEqual(driven, [found, found])

    @staticmethod
    def steps_of(action):
        """In the short form every other step, those on both sides of the decision, and those that no other action has."""
        if FULL:
            return action.steps
        decided = action.steps.index(action.decided) if action.decided else 0
        begin = ACTIONS.index(action) % 2
        others = {step for other in ACTIONS if other is not action for step in other.steps}
        return [step for index, step in enumerate(action.steps)
                if index % 2 == begin or index in (decided - 1, decided) or (step not in others and ":" not in step)]

    def die(self, action, step):
        site = Site(self.states[action.state])
        site.configured = "B" if action.state in ("changed", "B after A", "pinned") else "A"
        try:
            answered = self.act(site, action, step)
            self.assertEqual(site.wait_for_death(), -signal.SIGKILL, (action.name, step))
            site.armed.unlink(missing_ok=True)
            self.check(site, action, step, answered)
        finally:
            site.close()

    def act(self, site, action, step):
        """Begins the action, in which the daemon dies; true if an operator was told of its success."""
        name, _, count = step.partition(":")
        starts = action.command == "start"
        env = {} if starts else {"EXPORT_WORKER_FAULTS_ARMED": str(site.armed)}
        site.start_daemon(env, faults=f"{name}:kill:{count or 1}", must_start=not starts)
        if action.bakes:
            site.plugin_command("reload", "broken", "--file", action.bakes)
        site.armed.touch()
        if action.command == "stop":
            site.daemon.popen.send_signal(signal.SIGTERM)
        elif action.command == "traffic":
            self.send_traffic(site)
        elif not starts:
            return site.plugin_command(*action.command, check=False).returncode == 0
        return False

    @staticmethod
    def send_traffic(site):
        """Until the daemon dies of what the bake comes to."""
        wire = site.wire()
        wire.socket.setsockopt(zmq.RCVTIMEO, 200)
        with contextlib.closing(wire), contextlib.suppress(zmq.Again):
            while site.daemon.popen.poll() is None:
                wire.socket.send(msgpack.packb({"v": 1, "method": "broken.do", "params": {"a": 1}}))
                wire.socket.recv()

    def check(self, site, action, step, answered):
        where = (action.name, step)
        ready_s = site.start_timed()
        self.assertLess(ready_s, READY_S, where)
        words, plugin, history = site.shown()
        with self.lock:
            self.rows[action.name, step] = f"{words:20} {ready_s * 1000:.0f} ms"
        self.assertEqual(words, action.expected(step), where)
        if answered:
            self.assertEqual(words, action.after, where)
        self.check_committed(plugin, history, where)
        self.check_directory(site, plugin, where)
        wire = site.wire()
        with contextlib.closing(wire):
            self.assertTrue(wire.call("broken.do", {"a": 1})["ok"], where)
        self.assertEqual(site.daemon.stop(), 0, where)
        site.start_daemon()
        again, plugin, _ = site.shown()
        self.assertEqual(again, words, where)
        self.check_directory(site, plugin, where)

    def check_committed(self, plugin, history, where):
        """What answers was committed, or bakes with what was committed behind it; it is not quarantined."""
        committed = {entry["sha256"] for entry in history["items"] if entry["outcome"] == "committed"} | {plugin["committed_sha256"]}
        generations = plugin["generations"]
        behind = [g["sha256"] for g in generations if g["state"] == "warm"] or [generations[0]["sha256"]]
        self.assertLessEqual(set(behind), committed, where)
        self.assertNotIn(generations[0]["sha256"], {bad["sha256"] for bad in history["quarantined"]}, where)

    def check_directory(self, site, plugin, where):
        """Nothing is left of the process that died."""
        files = [path for path in (site.state / "plugins").rglob("*") if path.is_file()]
        self.assertEqual([path for path in files if path.suffix == ".part"], [], where)
        live = [path for path in files if path.parent.name == "live"]
        self.assertEqual(len(live), len(plugin["generations"]), where)
        self.assertTrue(all(path.name.startswith(f"{site.daemon.popen.pid}-") for path in live), where)


if __name__ == "__main__":
    unittest.main()
