"""The image of the Containerfile, built with Debian's buildah from the packages: what is in it, and both programs running from it.

Skipped where no image can be built: without buildah, without root (chroot isolation), or where neither a registry nor a Debian
mirror can be reached for the base.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from functional.skips import need
from package.test_contents import deb, output

SOURCE = pathlib.Path(os.environ["EXPORT_WORKER_SOURCE"])
PACKAGES = pathlib.Path(os.environ["EXPORT_WORKER_BUILD"])
WORK = SOURCE / "build" / "container"
BASE = "docker.io/library/debian:12-slim"
LOCAL_BASE = "localhost/debian:12-slim"
IMAGE = "localhost/export-worker"
BYTES_ADDED_MAX = 64 << 20  # To the base; 34 MB of programs and libraries.
CONFIG = """[daemon]
state_dir = /var/lib/export-worker
data_endpoint = ipc:///run/export-worker/data.sock
[http]
listen = 127.0.0.1:%(port)d
[store.local]
kind = local
root = /var/lib/export-worker-files
base_url = http://127.0.0.1:%(port)d
key_file = /etc/export-worker/secrets/link_keys
[plugin.download_url]
file = /usr/lib/export-worker/plugins/download_url.so
"""


MOUNTS = {"export-worker.ini": "/etc/export-worker/export-worker.ini", "secrets": "/etc/export-worker/secrets", "state": "/var/lib/export-worker",
          "files": "/var/lib/export-worker-files", "sockets": "/run/export-worker"}


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


def wait_until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.05)  # sleep: the pause between two looks at the condition


class ImageTest(unittest.TestCase):
    volumes = None  # A directory with what MOUNTS names.

    @classmethod
    def setUpClass(cls):
        cls.program = need("buildah")
        if os.geteuid() != 0:
            raise unittest.SkipTest("buildah needs root for its chroot isolation")
        WORK.mkdir(parents=True, exist_ok=True)
        cls.addClassCleanup(shutil.rmtree, WORK / "run", ignore_errors=True)
        cls.base = cls.find_base()
        cls.must("rmi", "--force", IMAGE, check=False)
        cls.must("build", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={cls.base}", f"--tag={IMAGE}", str(SOURCE), seconds=600)
        cls.container = cls.must("from", "--pull-never", IMAGE).strip()
        cls.addClassCleanup(cls.must, "rm", cls.container)
        cls.root = pathlib.Path(cls.must("mount", cls.container).strip())

    @classmethod
    def buildah(cls, *arguments):
        # Storage of its own, as plain directories: that works in every container and leaves the user's images alone.
        return [cls.program, "--storage-driver=vfs", f"--root={WORK / 'storage'}", f"--runroot={WORK / 'run'}", *map(str, arguments)]

    @classmethod
    def must(cls, *arguments, seconds=120, check=True):
        done = subprocess.run(cls.buildah(*arguments), capture_output=True, text=True, timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"buildah {' '.join(map(str, arguments))}: {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout

    @classmethod
    def find_base(cls):
        """The image that the Containerfile names; without a registry the same system from a Debian mirror."""
        pulled = subprocess.run(cls.buildah("pull", "--policy=missing", BASE), capture_output=True, text=True, timeout=300)
        if pulled.returncode == 0:
            return BASE
        if LOCAL_BASE in cls.must("images", "--format={{.Name}}:{{.Tag}}"):
            return LOCAL_BASE
        archive = WORK / "base.tar"
        made = subprocess.run([need("buildah", "mmdebstrap"), "--variant=minbase", "bookworm", str(archive)], capture_output=True, text=True, timeout=600)
        if made.returncode != 0:
            archive.unlink(missing_ok=True)
            raise unittest.SkipTest(f"no base image: {last_line(pulled.stderr)}; mmdebstrap: {last_line(made.stderr)}")
        container = cls.must("from", "scratch").strip()
        cls.must("add", container, archive, "/")
        cls.must("commit", "--rm", container, LOCAL_BASE, seconds=300)
        archive.unlink()
        return LOCAL_BASE

    def inspect(self):
        return json.loads(self.must("inspect", "--type=image", IMAGE))["Docker"]["config"]

    def test_it_is_not_root_and_says_how_it_is(self):
        config = self.inspect()
        self.assertEqual(config["User"], "10001:10001")
        self.assertEqual(config["Cmd"], ["export-workerd", "--config", "/etc/export-worker/export-worker.ini"])
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/lib/export-worker/healthcheck"])

    def test_it_is_small_and_holds_no_keys_and_no_packages(self):
        def size(image):
            return sum(path.lstat().st_size for path in pathlib.Path(self.mounted(image)).rglob("*") if path.is_file() and not path.is_symlink())
        self.assertLess(size(IMAGE) - size(self.base), BYTES_ADDED_MAX)
        self.assertFalse((self.root / "etc/export-worker/link_keys").exists())
        self.assertFalse((self.root / "packages").exists())
        self.assertEqual(list(self.root.glob("var/lib/apt/lists/*")), [])

    def mounted(self, image):
        if image == IMAGE:
            return self.root
        container = self.must("from", "--pull-never", image).strip()
        self.addCleanup(self.must, "rm", container)
        return self.must("mount", container).strip()

    def test_users_have_the_numbers_that_volumes_keep(self):
        users = dict(line.split(":")[0:3:2] for line in (self.root / "etc/passwd").read_text().splitlines())
        self.assertEqual((users["export-worker"], users["export-httpd"]), ("10001", "10002"))
        for path in ("var/lib/export-worker", "var/lib/export-worker-files", "run/export-worker"):
            info = (self.root / path).stat()
            self.assertEqual((info.st_uid, info.st_gid, info.st_mode & 0o777), (10001, 10001, 0o750), path)

    def test_the_programs_are_those_of_the_packages(self):
        version = output("dpkg-deb", "--field", deb("export-worker"), "Version").strip().split("~")[0]
        for program in ("export-workerd", "export-httpd", "exportctl"):
            self.assertEqual(self.run_in("10001:10001", program, "--version").split()[-1], version)

    # --- both programs, each as a container of the image would run it ---
    def command(self, user, *command):
        mounts = [f"--volume={self.volumes / name}:{target}" for name, target in MOUNTS.items()] if self.volumes else []
        return self.buildah("run", "--isolation=chroot", f"--user={user}", *mounts, self.container, "--", *command)

    def run_in(self, user, *command, check=True):
        done = subprocess.run(self.command(user, *command), capture_output=True, text=True, timeout=120)
        if check:
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def make_volumes(self, port):
        self.volumes = pathlib.Path(tempfile.mkdtemp(prefix="volumes-", dir=WORK))
        self.addCleanup(shutil.rmtree, self.volumes, ignore_errors=True)
        self.volumes.chmod(0o755)
        (self.volumes / "export-worker.ini").write_text(CONFIG % {"port": port})
        (self.volumes / "export-worker.ini").chmod(0o644)
        for name in ("secrets", "store", "state", "files", "sockets"):
            (self.volumes / name).mkdir(mode=0o750)
            os.chown(self.volumes / name, 10001, 10001)
        subprocess.run([SOURCE / "examples/compose/make_secrets", self.volumes / "secrets", self.volumes / "store"], check=True, timeout=60)

    def start(self, user, *command):
        log = open(self.volumes / f"{command[0]}.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(self.command(user, *command), stdout=log, stderr=log, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)

    def log(self, program):
        return (self.volumes / f"{program}.log").read_text(errors="replace")

    def get(self, url):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def test_an_export_and_its_link(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.make_volumes(port)
        config = "/etc/export-worker/export-worker.ini"
        self.start("10001:10001", "export-workerd", "--config", config)
        wait_until("the daemon", lambda: "ready: data on" in self.log("export-workerd"))
        self.start("10002:10001", "env", f"EXPORT_HTTPD_ADDRESS=127.0.0.1/{port}", "export-httpd", "--config", config)
        wait_until("the shim to see the daemon", lambda: self.get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        self.run_in("10001:10001", "/usr/lib/export-worker/healthcheck", "daemon")
        self.run_in("10002:10001", "env", f"EXPORT_HTTPD_ADDRESS=127.0.0.1/{port}", "/usr/lib/export-worker/healthcheck", "shim")
        self.assertNotEqual(subprocess.run(self.command("10002:10001", "env", "EXPORT_HTTPD_ADDRESS=127.0.0.1/1", "/usr/lib/export-worker/healthcheck", "shim"),
                                           capture_output=True, timeout=60).returncode, 0)

        def ctl(*words):
            return self.run_in("10001:10001", "exportctl", "--config", config, *words)
        ctl("catalog", "generate", "--products", "10", "--output", "/var/lib/export-worker/catalog.jsonl")
        ctl("catalog", "import", "--organization", "acme", "/var/lib/export-worker/catalog.jsonl")
        job = json.loads(ctl("--json", "export", "submit", "--organization", "acme", "--wait"))["job_id"]
        key = json.loads(ctl("--json", "key", "create", "--organization", "acme", "--permission", "product:read"))["key"]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/products/export/{job}/download-url", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            link = json.load(answer)["download_url"]
        status, body = self.get(link)
        self.assertEqual((status, len(body.splitlines()) > 10), (200, True))
        # The control socket is the daemon's alone: the shim's user, in its group, may not open it.
        self.assertNotEqual(subprocess.run(self.command("10002:10001", "exportctl", "--config", config, "status"), capture_output=True, timeout=60).returncode, 0)


if __name__ == "__main__":
    unittest.main()
