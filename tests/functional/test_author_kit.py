"""Somebody writes a plugin with nothing but an installation and the template."""
import json
import os
import shutil
import subprocess
import unittest

from functional.harness import BUILD, SOURCE, System, wait_until


class AuthorKitTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.prefix = self.system.directory / "prefix"
        self.run_("cmake", "--install", BUILD, "--prefix", self.prefix)

    def run_(self, *words, **more):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=280, **more)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_from_template_to_reload(self):
        work = self.system.directory / "work"
        shutil.copytree(SOURCE / "examples" / "plugin_template", work)
        configure = ["cmake", "-S", work, "-B", work / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}"]
        build = ["cmake", "--build", work / "build"]
        # The template knows nothing of this project's build directory, sanitizers included.
        environment = {name: value for name, value in os.environ.items() if name not in ("CXXFLAGS", "CFLAGS", "LDFLAGS")}
        self.run_(*configure, env=environment)
        self.run_(*build, env=environment)
        verdict = self.run_(self.prefix / "bin" / "exportctl", "plugin", "check", work / "build" / "greeting.so")
        self.assertEqual(verdict.splitlines()[-1], "ACCEPTED")
        plugin = self.system.install("greeting.so", work / "build" / "greeting.so")
        self.system.install("greeting.golden.jsonl", work / "build" / "greeting.golden.jsonl")
        self.system.extra = f"[plugin.greeting]\nfile = {plugin}\nword = Servus\n[plugins]\nbake_s = 0\n"
        full = self.run_(self.prefix / "bin" / "exportctl", "--config", self.system.config, "plugin", "check", plugin)
        self.assertIn("4 golden requests", full)
        self.assertIn("can be unmapped", full)
        self.system.start()
        key = self.system.make_key()
        wire = self.system.wire()
        self.addCleanup(wire.close)
        self.assertEqual(wire.call("greeting.hello", {}, key)["result"], {"greeting": "Servus, acme!"})
        source = work / "greeting.cpp"
        source.write_text(source.read_text().replace('", "', '", dear "').replace('"1.0.0"', '"1.1.0"'))
        self.run_(*build, env=environment)
        self.system.install("greeting.so", work / "build" / "greeting.so")
        self.system.ctl("plugin", "reload", "greeting")
        reply = wire.call("greeting.hello", {}, key)
        self.assertEqual((reply["result"]["greeting"], reply["served_by"]["version"]), ("Servus, dear acme!", "1.1.0"))
        counters = self.system.ctl_json("plugin", "show", "greeting")["counters"]
        self.assertEqual(counters["greeted"], 2)  # Both generations together.
        # A golden request that fails keeps a new build out.
        golden = self.system.directory / "plugins" / "greeting.golden.jsonl"
        golden.write_text(golden.read_text() + json.dumps({"name": "says goodbye", "method": "greeting.hello",
                          "caller": {"organization": "acme", "permissions": ["job:read"]}, "expect": {"keys": ["goodbye"]}}) + "\n")
        source.write_text(source.read_text().replace('"1.1.0"', '"1.2.0"'))
        self.run_(*build, env=environment)
        self.system.install("greeting.so", work / "build" / "greeting.so")
        refused = self.system.ctl("plugin", "reload", "greeting", check=False)
        self.assertIn("'says goodbye' to answer with 'goodbye'", refused.stderr)

    def test_what_is_installed_runs(self):
        for program in ("export-workerd", "export-httpd", "exportctl"):
            self.run_(self.prefix / "bin" / program, "--version")
        found = wait_until("the plugin", lambda: list(self.prefix.rglob("download_url.so")))
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].with_name("download_url.golden.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
