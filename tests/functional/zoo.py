"""Every plugin of the zoo, offered to a real daemon: what it makes of each, against what zoo.json expects."""
import concurrent.futures
import json
import platform
import re

import msgpack
import zmq

from functional.harness import BUILD, PATIENCE_S, SANITIZED, SOURCE, System, wait_until

SETTINGS = """
[plugin.broken]
file = {broken}
allow_imports = alarm
[plugins]
probe_timeout_s = {patience_s}
bake_s = 120
bake_stall_ms = 300
drain_s = 1
generations_max = 64
"""


def expectations():
    zoo = json.loads((SOURCE / "tests" / "fixtures" / "plugins" / "zoo.json").read_text())["zoo"]
    return {name: what for name, what in zoo.items()
            if what.get("only_on", platform.machine()) == platform.machine() and not (SANITIZED and "not_sanitized" in what)}


def made(name, right):
    """A right plugin, damaged."""
    if name == "not_elf":
        return b"#!/bin/sh\nexit 0\n"
    if name == "truncated":
        return right[:len(right) // 2]
    if name == "wrong_architecture":
        return right[:18] + b"\x28\x00" + right[20:]  # e_machine: 40, 32-bit ARM
    raise AssertionError(name)


class Zoo:
    """A daemon with a right plugin called 'broken', and the ways to offer it another one."""

    def __init__(self, patience_s):
        self.system = System()
        self.system.port = 1  # No shim here.
        broken = self.system.install("broken.so", BUILD / "fixtures" / "broken_nothing.so")
        self.system.extra = SETTINGS.format(broken=broken, patience_s=patience_s)
        self.system.start_daemon()

    def close(self):
        # A plugin may hang in a worker by now; what a kill does to the daemon is tested elsewhere.
        self.system.daemon.stop(9)
        self.system.daemon = None
        self.system.close()

    def reload(self, path, *flags):
        done = self.system.ctl("--json", "plugin", "reload", "broken", "--file", path, *flags, check=False)
        if not done.stdout:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def report(self, identifier):
        wire = self.system.control()
        try:
            return wire.call("control.plugin_report", {"report": identifier})["result"]
        finally:
            wire.close()

    def send_traffic(self, condition):
        """Calls the plugin until `condition()` holds; no caller may see a fault of code that bakes."""
        wire = self.system.wire()
        try:
            def step():
                for _ in range(100):
                    reply = wire.call("broken.do", {"a": 1}, deadline_ms=1000)
                    if not reply["ok"] and reply["error"]["code"] != "deadline_exceeded":
                        raise AssertionError(reply)
                return condition()
            return wait_until("the bake to be judged", step)
        finally:
            wire.close()

    def judge(self, name, expected):
        """(verdict, what was said)"""
        source = BUILD / "fixtures" / f"broken_{name}.so"
        if "made" in expected:
            source = self.system.directory / f"{name}.so"
            source.write_bytes(made(name, (BUILD / "fixtures" / "broken_nothing.so").read_bytes()))
        path = self.system.install(f"candidate_{name}.so", source)
        if expected["verdict"] == "dies":
            return self.judge_deadly(path)
        report = self.reload(path)
        if report["outcome"] == "refused":
            return report["refusal"]["code"], report["refusal"]["text"]
        if expected["verdict"] == "rolled_back":
            end = self.send_traffic(lambda: (r := self.report(report["id"]))["outcome"] != "baking" and r)
            return end["outcome"], end["rolled_back_because"] or ""
        # It bakes; the next candidate meets the right plugin again.
        said = "; ".join(report["pinned_by"])
        if report["outcome"] == "baking":
            self.system.ctl("plugin", "rollback", "broken")
        return ("accepted" if report["outcome"] in ("baking", "unchanged") else report["outcome"]), said

    def judge_deadly(self, path):
        """Takes the daemon down while it bakes: the next start must know."""
        self.reload(path)
        wire = self.system.wire()
        wire.socket.setsockopt(zmq.RCVTIMEO, 100)
        try:
            for _ in range(2000):
                wire.socket.send(msgpack.packb({"v": 1, "method": "broken.do"}))
                wire.socket.recv()
        except zmq.Again:
            pass  # It has died, which is what the rest finds out.
        finally:
            wire.close()
        self.system.daemon.popen.wait(PATIENCE_S)
        self.system.start_daemon()
        reasons = [q["reason"] for q in self.system.ctl_json("plugin", "history", "broken")["quarantined"]]
        serves = self.system.ctl_json("plugin", "show", "broken")
        wire = self.system.wire()
        good = wire.call("broken.do", {"a": 1})["ok"]
        wire.close()
        if "the daemon died while it was baking" in reasons and good and serves["sha256"] == serves["committed_sha256"]:
            return "dies", "; ".join(reasons)
        return "survived", str(serves)


def lanes(zoo):
    """Candidates, and how many seconds each may take to prove itself. Some cost nothing but this time; the others need not wait
    for them, and may take longer on a busy machine."""
    waiting = [each for each in zoo.items() if each[1]["verdict"] == "probe_timeout"]
    others = [each for each in zoo.items() if each not in waiting]
    patience_s = 8 if SANITIZED else 3
    return [(waiting[0::2], patience_s), (waiting[1::2], patience_s), (others, 60)]


def offer(candidates, patience_s, show):
    """Offers them to one daemon, one after the other; returns what did not go as expected."""
    zoo = Zoo(patience_s)
    wrong = []
    try:
        for name, expected in candidates:
            verdict, said = zoo.judge(name, expected)
            wanted = expected.get("found", expected.get("pinned_by", ""))
            if SANITIZED and verdict == "probe_crash":
                wanted = ""  # The runtime dies in its own words.
            good = verdict == expected["verdict"] and wanted in said
            show(name, verdict, said, good)
            if not good:
                wrong.append((name, verdict, said, expected))
            wire = zoo.system.wire()
            reply = wire.call("broken.do", {"still": "there"})
            wire.close()
            if not reply["ok"] or reply["result"] != {"still": "there"}:
                wrong.append((name, "and then the right plugin did not answer", reply, expected))
    finally:
        zoo.close()
    return wrong


def run_zoo(show=lambda *row: None):
    """Offers all of them; returns what did not go as expected."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(offer, *lane, show) for lane in lanes(expectations())]
    wrong = [each for future in running for each in future.result()]
    built = {re.sub(r"^broken_|\.so$", "", p.name) for p in (BUILD / "fixtures").glob("broken_*.so")}
    listed = {name for name, expected in expectations().items() if "made" not in expected}
    if not SANITIZED and built != listed:
        wrong.append(("zoo.json", "and the fixtures differ", sorted(built ^ listed), {}))
    return wrong
