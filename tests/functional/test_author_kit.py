"""Somebody writes a plugin with nothing but an installation: in C++ from the template, in C, and in Rust."""
import json
import os
import re
import resource
import shutil
import subprocess
import unittest

from functional.harness import BUILD, System, wait_until
from functional.skips import need

# Answers {"bytes": the size of the stack of the thread that answers}.
STACK_BYTES = r"""
    pthread_attr_t attributes;
    size_t bytes = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    unsigned char out[] = "\x81\xa5" "bytes\xcf" "12345678";
    for (int index = 0; index < 8; ++index) out[8 + index] = (unsigned char)(bytes >> (56 - 8 * index));
    (void)request;
    return writer->append(writer, out, sizeof out - 1);"""


class AuthorKitTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.prefix = self.system.directory / "prefix"
        self.share = self.prefix / "share" / "export-worker"
        self.run_("cmake", "--install", BUILD, "--prefix", self.prefix)

    def run_(self, *words, **more):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=280, **more)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def copy_example(self, name):
        work = self.system.directory / "work"
        shutil.copytree(self.share / "examples" / name, work)
        return work

    def environment(self):
        """An author's: it knows nothing of this project's build directory, sanitizers included."""
        left_out = ("CXXFLAGS", "CFLAGS", "LDFLAGS", "RUSTFLAGS")
        return {name: value for name, value in os.environ.items() if name not in left_out}

    def check(self, file, *flags):
        return self.run_(self.prefix / "bin" / "exportctl", *flags, "plugin", "check", file)

    def ctl(self, *words):
        return self.run_(self.prefix / "bin" / "exportctl", "--config", self.system.config, "plugin", *words)

    def serve(self, name, file, golden):
        """A daemon that runs the plugin, and a function that calls its method: the answer and the version that gave it."""
        self.assertEqual(self.check(file).splitlines()[-1], "ACCEPTED")
        plugin = self.system.install(f"{name}.so", file)
        self.system.install(f"{name}.golden.jsonl", golden)
        self.system.extra = f"[plugin.{name}]\nfile = {plugin}\nword = Servus\n[plugins]\nbake_s = 0\n"
        self.assertIn("4 golden requests", self.check(plugin, "--config", self.system.config))
        self.system.start()
        key = self.system.make_key()
        wire = self.system.wire()
        self.addCleanup(wire.close)

        def call():
            reply = wire.call(f"{name}.hello", {}, key)
            return reply["result"]["greeting"], reply["served_by"]["version"]
        return call

    def reload_and_roll_back(self, name, file, call):
        """From 1.0.0 to `file`, which is 1.1.0, and back. Generation 1 is the plugin that every daemon of the tests has."""
        self.assertEqual(call(), ("Servus, acme!", "1.0.0"))
        self.system.install(f"{name}.so", file)
        self.assertIn(f"COMMITTED  {name} 1.1.0, generation 3", self.ctl("reload", name))
        self.assertEqual(call(), ("Servus, dear acme!", "1.1.0"))
        self.assertIn(f"COMMITTED  {name} 1.0.0, generation 4", self.ctl("rollback", name))
        self.assertEqual(call(), ("Servus, acme!", "1.0.0"))

    def configure_and_build(self, work):
        environment = self.environment()
        self.run_("cmake", "-S", work, "-B", work / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}", env=environment)
        return lambda: self.run_("cmake", "--build", work / "build", env=environment)

    def test_from_template_to_reload(self):
        work = self.copy_example("plugin_template")
        build = self.configure_and_build(work)
        build()
        call = self.serve("greeting", work / "build" / "greeting.so", work / "build" / "greeting.golden.jsonl")
        self.assertIn("can be unmapped", self.check(self.system.directory / "plugins" / "greeting.so"))
        source = work / "greeting.cpp"
        source.write_text(source.read_text().replace('", "', '", dear "').replace('"1.0.0"', '"1.1.0"'))
        build()
        self.reload_and_roll_back("greeting", work / "build" / "greeting.so", call)
        counters = self.system.ctl_json("plugin", "show", "greeting")["counters"]
        self.assertEqual(counters["greeted"], 3)  # All generations together.
        # A golden request that fails keeps a new build out.
        golden = self.system.directory / "plugins" / "greeting.golden.jsonl"
        golden.write_text(golden.read_text() + json.dumps({"name": "says goodbye", "method": "greeting.hello",
                          "caller": {"organization": "acme", "permissions": ["job:read"]}, "expect": {"keys": ["goodbye"]}}) + "\n")
        source.write_text(source.read_text().replace('"1.1.0"', '"1.2.0"'))
        build()
        self.system.install("greeting.so", work / "build" / "greeting.so")
        refused = self.system.ctl("plugin", "reload", "greeting", check=False)
        self.assertIn("'says goodbye' to answer with 'goodbye'", refused.stderr)

    def test_a_plugin_in_rust_is_served_reloaded_and_rolled_back(self):
        cargo = need("rust", "cargo")
        need("rust", "rustc")
        work = self.copy_example("plugin_rust")
        environment = {**self.environment(), "CARGO_HOME": str(work / "cargo"), "CARGO_TARGET_DIR": str(work / "target")}

        def build():
            self.run_(cargo, "build", "--release", "--offline", cwd=work, env=environment)
            return work / "target" / "release" / "librust_greeting.so"
        call = self.serve("rust_greeting", build(), work / "rust_greeting.golden.jsonl")
        source = work / "src" / "lib.rs"
        panics = 'if caller.organization_id.get() == "panics" {\n panic!("on purpose");\n }\n let mut out'
        text = source.read_text().replace("let mut out", panics)
        self.assertIn(panics, text)
        source.write_text(text.replace('"{}, {}!"', '"{}, dear {}!"').replace('"1.0.0"', '"1.1.0"'))
        self.reload_and_roll_back("rust_greeting", build(), call)
        # A panic is a fault of its request and no more.
        self.ctl("rollback", "rust_greeting")
        self.assertEqual(self.system.wire().call("rust_greeting.hello", {}, self.system.make_key("panics"))["error"]["code"], "plugin_fault")
        self.assertEqual(call(), ("Servus, dear acme!", "1.1.0"))
        # The documentation says why images of Rust stay.
        generations = self.system.ctl_json("plugin", "show", "rust_greeting")["generations"]
        self.assertEqual([generation["state"] for generation in generations], ["active", "parked", "parked", "parked"])
        for generation in generations:
            self.assertIn("a thread-local destructor (import __cxa_thread_atexit_impl)", generation["pinned_by"])

    def test_by_hand_in_c_the_command_of_the_page_and_the_stack_of_a_worker(self):
        page = (self.share / "docs" / "plugin_abi.md").read_text()
        command = re.search(r"```\n(c\+\+ .*?)```", page, re.S).group(1).replace("\\\n", " ").replace("/usr/", f"{self.prefix}/")
        work = self.copy_example("plugin_minimal")
        source = (work / "minimal.c").read_text()
        answer = "return writer->append(writer, request->params.data, request->params.size);"
        self.assertIn(answer, source)
        (work / "mine.cpp").write_text("#include <pthread.h>\n" + source.replace(answer, STACK_BYTES))
        self.run_("sh", "-c", command, cwd=work, env=self.environment())
        self.assertEqual(self.check(work / "mine.so").splitlines()[-1], "ACCEPTED")
        self.system.port = 1  # No shim here.
        self.system.extra = f"[plugin.minimal]\nfile = {self.system.install('minimal.so', work / 'mine.so')}\n"
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_STACK, (soft, hard))
        stacks = {3 << 20: 3 << 20, 8 << 20: 8 << 20}
        if hard == resource.RLIM_INFINITY:
            stacks[resource.RLIM_INFINITY] = 2 << 20
        for limit, expected in stacks.items():
            resource.setrlimit(resource.RLIMIT_STACK, (limit, hard))
            self.system.start_daemon()
            wire = self.system.wire()
            found = wire.call("minimal.echo")["result"]["bytes"]
            wire.close()
            self.assertEqual(self.system.daemon.stop(), 0)
            self.assertAlmostEqual(found, expected, delta=64 << 10)  # A guard is part of it, or is not.
        row = "the soft limit of `ulimit -s` at the start of the daemon, as a rule 8 MiB (2 MiB if unlimited)"
        self.assertIn(f"| worker thread (`handle`) | stack | {row};", page)

    def test_the_kit_alone_has_pages_whose_links_lead_somewhere(self):
        kit = self.system.directory / "kit"
        self.run_("cmake", "--install", BUILD, "--prefix", kit, "--component", "author_kit")
        self.assertFalse((kit / "bin").exists())
        self.assertTrue((kit / "include" / "export-worker" / "protocol" / "plugin_abi" / "plugin.h").exists())
        pages = list((kit / "share" / "export-worker" / "docs").glob("*.md"))
        self.assertEqual({page.name for page in pages}, {"plugin_abi.md", "life_of_a_reload.md"})
        for page in pages:
            for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_what_is_installed_runs(self):
        for program in ("export-workerd", "export-httpd", "exportctl"):
            self.run_(self.prefix / "bin" / program, "--version")
        found = wait_until("the plugin", lambda: list(self.prefix.rglob("download_url.so")))
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].with_name("download_url.golden.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
