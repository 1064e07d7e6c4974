"""The compose file and the Containerfile name what there is, and the configuration beside them is one the programs take."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

from functional.harness import BUILD, SOURCE
from functional.skips import need

CONTAINERFILE = (SOURCE / "Containerfile").read_text()


class ComposeTest(unittest.TestCase):
    folder = SOURCE / "examples" / "compose"
    daemons, shims = ("daemon",), ("shim",)
    database_secrets = ()  # Files of the directory that only the database's service has.

    @classmethod
    def setUpClass(cls):
        cls.compose = yaml.safe_load((cls.folder / "compose.yml").read_text())

    def services(self):
        return self.compose["services"].items()

    def mounts(self):
        for name, service in self.services():
            for volume in service.get("volumes", []):
                source, target, *options = volume.split(":")
                yield name, source, target, options

    def test_what_it_mounts_is_there(self):
        named = set(self.compose["volumes"])
        used = set()
        for name, source, target, _ in self.mounts():
            self.assertTrue(target.startswith("/"), name)
            if source.startswith("."):
                self.assertTrue((self.folder / source).exists(), f"{name}: {source}")
            else:
                used.add(source)
        self.assertEqual(used, named)

    def test_services_wait_for_services_that_there_are(self):
        for name, service in self.services():
            for other, how in service.get("depends_on", {}).items():
                self.assertIn(other, self.compose["services"], name)
                if how["condition"] == "service_healthy":
                    self.assertIn("test", self.compose["services"][other]["healthcheck"])

    def test_nothing_is_open_to_other_machines_and_ours_have_no_rights(self):
        for name, service in self.services():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), name)
        for name in (*self.daemons, *self.shims):
            service = self.compose["services"][name]
            self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["ALL"]))
        # A shim writes to none of its volumes, and has neither a daemon's databases nor its control socket.
        for each in self.shims:
            shim = {target: options for name, _, target, options in self.mounts() if name == each}
            self.assertTrue(all(options == ["ro"] for options in shim.values()), shim)
            self.assertNotIn("/var/lib/export-worker", shim)

    def test_every_image_has_a_version_or_is_ours(self):
        for name, service in self.services():
            self.assertRegex(service["image"], r"^(\$\{EXPORT_WORKER_IMAGE:-export-worker\}|docker\.io/[\w/]+:[\d.]+)$", name)

    def test_the_daemon_and_the_shim_take_the_configuration(self):
        config = self.folder / "export-worker.ini"
        done = subprocess.run([BUILD / "bin" / "export-workerd", "--check-syntax", "--config", config], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = config.read_text()
        # What it names inside the containers, a volume or the image brings.
        targets = {target for _, _, target, _ in self.mounts()} | {"/usr/lib/export-worker/plugins"}
        for path in re.findall(r"(?m)^\w+ = (?:ipc://)?(/[^\n]*)$", text):
            self.assertTrue(any(path == target or path.startswith(f"{target}/") for target in targets), path)
        # The shim reads its keys, too: with those that make_secrets makes.
        with tempfile.TemporaryDirectory(prefix="export-worker-compose-") as name:
            directory = pathlib.Path(name)
            self.make_secrets(directory)
            local = directory / "export-worker.ini"
            local.write_text(text.replace("/etc/export-worker/secrets", str(directory / "shared")))
            done = subprocess.run([BUILD / "bin" / "export-httpd", "--check-config", "--config", local], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)

    def make_secrets(self, directory):
        for folder in ("shared", "store", "database"):
            (directory / folder).mkdir(exist_ok=True)
        subprocess.run([*self.command_of_secrets(), directory / "shared", directory / "store", *([directory / "database"] if self.database_secrets else [])],
                       check=True, timeout=60)

    def command_of_secrets(self):
        return [self.folder / "make_secrets"]

    def test_secrets_are_made_once_and_the_store_knows_the_same(self):
        with tempfile.TemporaryDirectory(prefix="export-worker-compose-") as name:
            directory = pathlib.Path(name)
            self.make_secrets(directory)
            shared = {path.name: path.read_text() for path in (directory / "shared").iterdir()}
            self.assertEqual(sorted(shared), sorted(["link_keys", "s3_secret", *self.database_secrets]))
            for path in (directory / "shared").iterdir():
                self.assertEqual(path.stat().st_mode & 0o777, 0o600 if path.name in self.database_secrets else 0o640)
            for name in self.database_secrets:
                self.assertEqual((directory / "database" / name).read_text(), shared[name])
            identity, = json.loads((directory / "store" / "s3.json").read_text())["identities"]
            self.assertEqual(identity["credentials"][0]["secretKey"], shared["s3_secret"].strip())
            self.assertIn(f"access_key_id = {identity['credentials'][0]['accessKey']}\n", (self.folder / "export-worker.ini").read_text())
            self.make_secrets(directory)
            self.assertEqual({path.name: path.read_text() for path in (directory / "shared").iterdir()}, shared)

    def test_users_and_paths_are_those_of_the_image(self):
        user, group = re.search(r"(?m)^USER (\d+):(\d+)$", CONTAINERFILE).groups()
        self.assertGreater(int(user), 0)
        self.assertIn(f"--gid {group} export-worker", CONTAINERFILE)
        for name in self.shims:
            self.assertEqual(self.compose["services"][name]["user"], f"10002:{group}")
        self.assertIn(f"chown {user}:{group} ", (self.folder / "make_secrets").read_text())
        for path in re.findall(r"(?m)^COPY (?!build/)(\S+) ", CONTAINERFILE):
            self.assertTrue((SOURCE / path).exists(), path)

    def test_scripts_are_sound(self):
        for script in (self.folder / "make_secrets", SOURCE / "etc" / "container" / "healthcheck"):
            self.assertTrue(os.access(script, os.X_OK), script)
            done = subprocess.run([need("shellcheck"), script], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout)


class ClusterComposeTest(ComposeTest):
    """Three daemons, two shims, one PostgreSQL."""
    folder = SOURCE / "examples" / "cluster"
    daemons, shims = ("daemon-1", "daemon-2", "daemon-3"), ("shim-1", "shim-2")
    database_secrets = ("database_password",)

    def command_of_secrets(self):
        return [self.folder / "make_secrets", SOURCE / "examples" / "compose" / "make_secrets"]

    def test_each_daemon_has_a_name_a_state_and_a_socket_of_its_own_which_shims_know(self):
        services = self.compose["services"]
        self.assertEqual([services[name]["hostname"] for name in self.daemons], list(self.daemons))
        mounts = {name: {target: source for each, source, target, _ in self.mounts() if each == name} for name in services}
        for target in ("/var/lib/export-worker", "/run/export-worker"):
            self.assertEqual(len({mounts[name][target] for name in self.daemons}), len(self.daemons))
        known = re.search(r"(?m)^daemons = (.*)$", (self.folder / "export-worker.ini").read_text()).group(1).split()
        for name in self.shims:
            paths = [f"ipc://{target}/data.sock" for target, source in mounts[name].items() if source.startswith("sockets-")]
            self.assertEqual(sorted(known), sorted(paths))
            self.assertEqual({mounts[name][path.removeprefix("ipc://").removesuffix("/data.sock")] for path in known},
                             {mounts[daemon]["/run/export-worker"] for daemon in self.daemons})

    def test_the_proxy_knows_the_shims(self):
        found = re.findall(r"(?m)^    server ([\w-]+):8080;$", (self.folder / "nginx.conf").read_text())
        self.assertEqual(sorted(found), sorted(self.shims))


if __name__ == "__main__":
    unittest.main()
