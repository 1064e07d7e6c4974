"""Traffic from every kind of client while plugins are reloaded: what came of each request, and how long it took."""
import array
import http.client
import json
import subprocess
import threading
import time

from functional.harness import BUILD, PATIENCE_S, System, wait_until

SETTINGS = """
[plugins]
bake_s = 0
retire = {retire}
generations_max = {generations_max}
"""
FIELDS = 3  # when (ns), how long (ns), generation


class Client(threading.Thread):
    """Asks one at a time until told to stop; `records` are (when, how long, generation)."""

    def __init__(self, load):
        super().__init__(daemon=True)
        self.load = load
        self.records = []
        self.errors = []

    def run(self):
        try:
            self.prepare()
            while not self.load.stopping.is_set():
                begun = time.monotonic_ns()
                generation = self.ask()
                now = time.monotonic_ns()
                self.records.append((now, now - begun, generation))
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller has noticed the reload.
            self.errors.append(repr(error))


class ReqClient(Client):
    """A plain REQ socket."""

    def prepare(self):
        self.wire = self.load.system.wire()

    def ask(self):
        reply = self.wire.call("download_url.get", {"job_id": self.load.job}, self.load.key)
        if not reply["ok"]:
            raise AssertionError(reply)
        return reply["served_by"]["generation"]


class HttpClient(Client):
    """GET over one connection that is kept."""

    def prepare(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.load.system.port, timeout=PATIENCE_S)
        self.requests = 0

    def ask(self):
        self.requests += 1
        if self.requests % 900 == 0:  # The shim closes a connection after 1,000 requests.
            self.connection.close()
        self.connection.request("GET", f"/api/products/export/{self.load.job}/download-url",
                                headers={"Authorization": f"Bearer {self.load.key}"})
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200 or b"download_url" not in body:
            raise AssertionError((response.status, body))
        return int(response.headers["X-Served-By"].split("generation=")[1].split(";")[0])


class Operator(Client):
    """Has a second plugin probed, one dry run after the other."""

    def run(self):
        path = self.load.system.install("another.so", BUILD / "fixtures" / "broken_longer_descriptor.so")
        while not self.load.stopping.is_set():
            done = self.load.system.ctl("plugin", "reload", "broken", "--file", path, "--dry-run", check=False)
            if done.returncode != 0:
                self.errors.append(done.stdout + done.stderr)
            self.load.probes += 1


class Load:
    """A running system, its job and key, and clients that ask for links. With `probing`, a second plugin is probed all the while."""

    def __init__(self, connections=4, in_flight=8, retire="unmap", generations_max=64, probing=False):
        self.system = System()
        self.system.extra = SETTINGS.format(retire=retire, generations_max=generations_max)
        self.probing = probing
        self.probes = 0
        if probing:
            path = self.system.install("broken.so", BUILD / "fixtures" / "broken_nothing.so")
            self.system.extra += f"[plugin.broken]\nfile = {path}\n"
        self.stopping = threading.Event()
        self.connections, self.in_flight = connections, in_flight
        self.control = self.dealers = None
        self.windows = []   # (from, to) in ns: requests were in both generations.
        self.reloads = []   # (from, to) in ns: from the operator's command to its end.
        self.builds = [BUILD / "fixtures" / "download_url_b.so", BUILD / "plugins" / "download_url.so"]
        self.reports = []
        self.quiet = []     # (from, to) in ns: no reload.

    def start(self):
        self.system.start()
        self.system.import_generated(20)
        self.key = self.system.make_key()
        self.job = self.system.export()["job_id"]
        self.output = self.system.directory / "answers"
        self.dealers = subprocess.Popen(
            [BUILD / "bin" / "load_mint", f"ipc://{self.system.state}/run/data.sock", self.key, self.job,
             str(self.connections), str(self.in_flight), self.output], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.generations = {self.system.ctl_json("plugin", "show", "download_url")["generation"]}  # Those that were published.
        self.clients = [ReqClient(self), HttpClient(self)] + ([Operator(self)] if self.probing else [])
        for client in self.clients:
            client.start()
        return self

    def reload(self):
        """One reload to the other build; returns its report."""
        build = self.builds[len(self.reloads) % 2]
        path = self.system.install("next.so", build)
        begun = time.monotonic_ns()
        done = self.system.ctl("--json", "plugin", "reload", "download_url", "--file", path, "--no-bake", check=False)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.reloads.append((begun, time.monotonic_ns()))
        opened = report["window"]["opened_monotonic_ns"]
        self.windows.append((opened, opened + report["window"]["took_us"] * 1000))
        self.reports.append(report)
        self.generations.add(report["generation"])
        return report

    def accepted(self):
        # Over a socket that is kept: a process a look would take the processor away from what is measured.
        if self.control is None:
            self.control = self.system.control()
        return self.control.call("control.status")["result"]["requests"]["accepted"]

    def be_quiet(self, seconds):
        """Time without a reload, to compare with."""
        begun = time.monotonic_ns()
        time.sleep(seconds)  # sleep: requests are measured over this time
        self.quiet.append((begun, time.monotonic_ns()))

    def spread(self, reloads, requests, check=lambda report: None, quiet_s=5):
        """That many reloads over that many requests, between two quiet times."""
        self.be_quiet(quiet_s)
        for number in range(1, reloads + 1):
            check(self.reload())
            # Answers may be slow, but they keep coming: the time without any is what is bounded.
            while (left := requests * number // reloads - self.accepted()) > 0:
                before = self.accepted()
                wait_until("further requests", lambda: self.accepted() >= before + min(left, 1000))
        self.be_quiet(quiet_s)

    def finish(self):
        """Stops the clients; returns (records, errors)."""
        self.stopping.set()
        out, _ = self.dealers.communicate(timeout=60)
        errors = [] if self.dealers.returncode == 0 else [f"load_mint: {out}"]
        numbers = array.array("q")
        numbers.frombytes(self.output.read_bytes())
        records = [tuple(numbers[at:at + FIELDS]) for at in range(0, len(numbers), FIELDS)]
        for client in self.clients:
            client.join(60)
            errors += client.errors
            records += client.records
        return records, errors

    def close(self):
        self.stopping.set()
        if self.control is not None:
            self.control.close()
        if self.dealers is not None and self.dealers.poll() is None:
            self.dealers.kill()
            self.dealers.wait()
        self.system.close()


def percentile(values, fraction):
    values = sorted(values)
    return values[min(int(len(values) * fraction), len(values) - 1)] if values else 0


def split(records, spans, margin_ns=0):
    """Latencies of requests that were under way during any of `spans`, and of the others."""
    spans = sorted((begin - margin_ns, end + margin_ns) for begin, end in spans)
    inside, outside, at = [], [], 0
    for when, took, _ in sorted(records):
        while at < len(spans) and spans[at][1] < when - took:
            at += 1
        touched = any(begin <= when and when - took <= end for begin, end in spans[at:at + 3])
        (inside if touched else outside).append(took)
    return inside, outside


def resources(pid):
    """(memory mapped lines, open files, threads, resident KiB) of a process."""
    import pathlib
    proc = pathlib.Path(f"/proc/{pid}")
    rss = next(int(line.split()[1]) for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return len((proc / "maps").read_text().splitlines()), len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())), rss


