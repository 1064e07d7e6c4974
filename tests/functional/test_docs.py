"""What the documentation shows is what the programs take."""
import json
import re
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, System


class DocsTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)

    def check_config(self, text):
        path = self.system.directory / "checked.ini"
        path.write_text(text)
        return subprocess.run([BUILD / "bin" / "export-workerd", "--config", path, "--check-config"], capture_output=True, text=True)

    def test_every_store_page_has_a_configuration_that_works(self):
        pages = sorted((SOURCE / "docs" / "stores").glob("*.md"))
        self.assertEqual({page.stem for page in pages}, {"README", "s3", "gcs", "azure", "cloudfront", "local"})
        count = 0
        for page in pages:
            for block in re.findall(r"```ini\n(.*?)```", page.read_text(), re.S):
                done = self.check_config(f"[daemon]\nstate_dir = /var/lib/x\n[export]\nworkers = 0\n{block}")
                self.assertEqual(done.returncode, 0, f"{page.name}: {done.stderr}")
                count += 1
        self.assertGreaterEqual(count, 6)

    def test_every_key_of_a_store_page_is_known(self):
        """The tables name keys; a key that the daemon does not know would be refused as a typing error."""
        blocks = {"s3": "kind = s3\nprefix = s3://merchant/\nregion = r\n", "gcs": "kind = gcs\nprefix = gs://merchant/\n",
                  "azure": "kind = azure\nprefix = az://exports/\naccount = a\n", "cloudfront": "kind = cloudfront\nbase_url = https://h\n",
                  "local": "kind = local\nroot = /srv\nbase_url = https://h\nkey_file = /k\n"}
        for kind, block in blocks.items():
            text = (SOURCE / "docs" / "stores" / f"{kind}.md").read_text()
            named = set(re.findall(r"(?m)^\| `(\w+)`", text)) | set(re.findall(r"`(\w+_file|sts_endpoint|metadata_endpoint|role_arn|part_mib)`", text))
            for key in named - {"static", "environment", "profile", "web_identity", "container", "instance", "default", "prefix"}:
                found = self.check_config(f"[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[store.a]\n{block}{key} = 12\n").stderr
                if "unknown key" in found:  # It belongs to another source of credentials.
                    sources = ("static", "profile", "web_identity", "instance", "hmac", "connection_string", "account_key")
                    answers = [self.check_config(f"[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[store.a]\n{block}credentials = {s}\n{key} = /12\n").stderr
                               for s in sources]
                    self.assertTrue(any(f"unknown key '{key}'" not in a and "expected one of" not in a for a in answers), (kind, key, answers))

    def test_the_sample_configuration_works_and_so_do_its_comments(self):
        text = (SOURCE / "etc" / "export-worker.ini").read_text()
        self.assertEqual(self.check_config(text).returncode, 0)
        # Every "# key = value" and "# [section]" taken in: what is shown as the default must be a value that is accepted.
        shown = re.sub(r"(?m)^# (\[[\w.]+\]|\w+ = .*)$", r"\1", text).replace("STATE_DIR", "/var/lib/export-worker")
        shown = re.sub(r"(?m)^(session_token_file|endpoint|public_endpoint|allow_needed) = .*$", r"# \g<0>", shown)
        done = self.check_config(shown)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_lines_of_the_signing_page_are_signed(self):
        text = (SOURCE / "docs" / "signing.md").read_text()
        lines = re.findall(r'(?m)^\{"provider".*$', text)
        self.assertGreaterEqual(len(lines), 3)
        done = subprocess.run([BUILD / "bin" / "exportctl", "sign", "--explain"], input="\n".join(lines) + "\n", capture_output=True, text=True)
        for line, answer in zip(lines, done.stdout.splitlines(), strict=True):
            self.assertIn("url", json.loads(answer), (line, answer))

    def test_links_between_pages_lead_somewhere(self):
        for page in [SOURCE / "README.md", *(SOURCE / "docs").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
                if "://" not in target:
                    self.assertTrue((page.parent / target).exists(), f"{page.relative_to(SOURCE)}: {target}")


if __name__ == "__main__":
    unittest.main()
