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

COMPOSE = SOURCE / "examples" / "compose"
SERVICES = yaml.safe_load((COMPOSE / "compose.yml").read_text())
CONTAINERFILE = (SOURCE / "Containerfile").read_text()


class ComposeTest(unittest.TestCase):
    def services(self):
        return SERVICES["services"].items()

    def mounts(self):
        for name, service in self.services():
            for volume in service.get("volumes", []):
                source, target, *options = volume.split(":")
                yield name, source, target, options

    def test_what_it_mounts_is_there(self):
        named = set(SERVICES["volumes"])
        used = set()
        for name, source, target, _ in self.mounts():
            self.assertTrue(target.startswith("/"), name)
            if source.startswith("./"):
                self.assertTrue((COMPOSE / source).exists(), f"{name}: {source}")
            else:
                used.add(source)
        self.assertEqual(used, named)

    def test_services_wait_for_services_that_there_are(self):
        for name, service in self.services():
            for other, how in service.get("depends_on", {}).items():
                self.assertIn(other, SERVICES["services"], name)
                if how["condition"] == "service_healthy":
                    self.assertIn("test", SERVICES["services"][other]["healthcheck"])

    def test_nothing_is_open_to_other_machines_and_ours_have_no_rights(self):
        for name, service in self.services():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), name)
        for name in ("daemon", "shim"):
            service = SERVICES["services"][name]
            self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["ALL"]))
        # The shim writes to none of its volumes, and has neither the daemon's databases nor its control socket.
        shim = {target: options for name, _, target, options in self.mounts() if name == "shim"}
        self.assertTrue(all(options == ["ro"] for options in shim.values()), shim)
        self.assertNotIn("/var/lib/export-worker", shim)

    def test_every_image_has_a_version_or_is_ours(self):
        for name, service in self.services():
            self.assertRegex(service["image"], r"^(\$\{EXPORT_WORKER_IMAGE:-export-worker\}|docker\.io/[\w/]+:[\d.]+)$", name)

    def test_the_daemon_and_the_shim_take_the_configuration(self):
        config = COMPOSE / "export-worker.ini"
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
        for folder in ("shared", "store"):
            (directory / folder).mkdir(exist_ok=True)
        subprocess.run([COMPOSE / "make_secrets", directory / "shared", directory / "store"], check=True, timeout=60)

    def test_secrets_are_made_once_and_the_store_knows_the_same(self):
        with tempfile.TemporaryDirectory(prefix="export-worker-compose-") as name:
            directory = pathlib.Path(name)
            self.make_secrets(directory)
            shared = {path.name: path.read_text() for path in (directory / "shared").iterdir()}
            self.assertEqual(sorted(shared), ["link_keys", "s3_secret"])
            for path in (directory / "shared").iterdir():
                self.assertEqual(path.stat().st_mode & 0o777, 0o640)
            identity, = json.loads((directory / "store" / "s3.json").read_text())["identities"]
            self.assertEqual(identity["credentials"][0]["secretKey"], shared["s3_secret"].strip())
            self.assertIn(f"access_key_id = {identity['credentials'][0]['accessKey']}\n", (COMPOSE / "export-worker.ini").read_text())
            self.make_secrets(directory)
            self.assertEqual({path.name: path.read_text() for path in (directory / "shared").iterdir()}, shared)

    def test_users_and_paths_are_those_of_the_image(self):
        user, group = re.search(r"(?m)^USER (\d+):(\d+)$", CONTAINERFILE).groups()
        self.assertGreater(int(user), 0)
        self.assertIn(f"--gid {group} export-worker", CONTAINERFILE)
        self.assertEqual(SERVICES["services"]["shim"]["user"], f"10002:{group}")
        self.assertIn(f"chown {user}:{group} ", (COMPOSE / "make_secrets").read_text())
        for path in re.findall(r"(?m)^COPY (?!build/)(\S+) ", CONTAINERFILE):
            self.assertTrue((SOURCE / path).exists(), path)

    def test_scripts_are_sound(self):
        for script in (COMPOSE / "make_secrets", SOURCE / "etc" / "container" / "healthcheck"):
            self.assertTrue(os.access(script, os.X_OK), script)
            done = subprocess.run([need("shellcheck"), script], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
