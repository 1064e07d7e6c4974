"""exportctl in a shell: on terminals of several widths, in a pipe, with Ctrl-C; completion in bash and zsh; manual pages."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import msgpack
import zmq

from functional.harness import BUILD, PATIENCE_S, SOURCE, SystemTest, scratch_directory, wait_until
from functional.skips import need

CTL = BUILD / "bin" / "exportctl"
COMPLETIONS = SOURCE / "exportctl" / "completions"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words, columns, environment=None, cwd=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.popen = subprocess.Popen([str(word) for word in words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=cwd,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env={**env, "TERM": "xterm", **(environment or {})})
        os.close(slave)
        self.text = ""

    def read(self):
        """What comes next; empty at the end."""
        if not select.select([self.master], [], [], 0.1)[0]:
            return None
        try:
            data = os.read(self.master, 65536).decode(errors="replace")
        except OSError:  # The program has gone.
            return ""
        self.text += data
        return data

    def wait_for(self, pattern):
        end = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, (pattern, self.text)
            assert self.read() != "", (pattern, self.text)

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """Everything it has printed, and its status."""
        while self.read() != "":
            pass
        status = self.popen.wait(PATIENCE_S)
        os.close(self.master)
        return self.text, status


class TerminalTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(20)
        for _ in range(3):
            system.export()

    def on_terminal(self, columns, *words, **environment):
        return Terminal([CTL, "--config", self.system.config, *words], columns, environment).end()[0]

    def test_everything_fits_the_terminal(self):
        for columns in (50, 80, 200):
            for words in (["job", "list"], ["plugin", "list"], ["organization", "list"], ["plugin", "history"], ["--help"], ["export", "submit", "--help"]):
                text = ESCAPES.sub("", self.on_terminal(columns, *words))
                text = text.split("\nExamples:")[0]  # Those are for copying.
                wide = [line for line in text.replace("\r", "").split("\n") if len(line) > columns]
                self.assertEqual(wide, [], (columns, words))
        job = self.system.ctl_json("job", "list")["items"][0]["job_id"]
        for columns in (50, 80, 200):  # An id is never broken: it is what is copied.
            self.assertIn(job, self.on_terminal(columns, "job", "list"))
        # In a pipe a job is one line, however long.
        piped = self.system.ctl("job", "list").stdout
        self.assertEqual([line for line in piped.splitlines() if job in line], [next(line for line in piped.splitlines() if line.startswith(job))])

    def test_colors_only_where_they_are_wanted(self):
        self.assertIn("\x1b[1mJOB", self.on_terminal(200, "job", "list"))
        self.assertIn("\x1b[31mexportctl: no verb", self.on_terminal(80, "statsu"))
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            for words in (["job", "list"], ["statsu"]):
                self.assertNotIn("\x1b", self.on_terminal(80, *words, **environment))
        self.assertNotIn("\x1b", self.system.ctl("job", "list").stdout)

    def test_the_progress_of_an_import_stays_on_its_line(self):
        catalog = self.system.directory / "large.jsonl"
        self.system.ctl("catalog", "generate", "--products", 5000, "--output", catalog)
        for columns in (20, 50, 80):
            text = self.on_terminal(columns, "catalog", "import", catalog, "--organization", "large")
            bar, _, report = text.rpartition("\r\n5000 products imported")
            drawn = [ESCAPES.sub("", part) for part in bar.split("\r")]
            self.assertIn("100%", drawn[-1], text)
            self.assertTrue(all(len(part) < columns and "\n" not in part for part in drawn), (columns, drawn))
            self.assertIn("0 lines rejected", report)
        self.assertNotIn("\r", self.on_terminal(80, "catalog", "import", catalog, "--organization", "large", TERM="dumb").replace("\r\n", ""))

    def test_ctrl_c_ends_the_waiting_and_names_the_job(self):
        self.system.ctl("organization", "set", "held", "--hold")
        self.system.import_generated(2, "held")
        terminal = Terminal([CTL, "--config", self.system.config, "export", "submit", "--organization", "held", "--wait"], 80)
        terminal.wait_for("pending")
        terminal.type("\x03")
        text, status = terminal.end()
        self.assertEqual(status, 130, text)
        job = re.search(r"stopped waiting; job (\S+) goes on: exportctl job show \1 shows it, exportctl job cancel \1 stops it", text)[1]
        self.assertEqual(self.system.ctl_json("job", "show", job)["status"], "pending")
        running = subprocess.Popen([CTL, "--config", self.system.config, "--json", "export", "submit", "--organization", "held", "--wait"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("the second job", lambda: len(self.system.ctl_json("job", "list", "--organization", "held")["items"]) == 2)
        wait_until("its handler", lambda: int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{running.pid}/status").read())[1], 16) & 2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
        self.assertEqual((running.returncode, out), (130, ""))
        self.assertIn('"code":"interrupted"', err)


class SilentDaemonTest(unittest.TestCase):
    def test_ctrl_c_ends_the_waiting_for_an_answer(self):
        directory = scratch_directory("export-worker-silent-")
        self.addCleanup(shutil.rmtree, directory)
        (directory / "run").mkdir()
        config = directory / "export-worker.ini"
        config.write_text(f"[daemon]\nstate_dir = {directory}\n")
        silent = zmq.Context.instance().socket(zmq.ROUTER)
        self.addCleanup(silent.close, 0)
        silent.setsockopt(zmq.RCVTIMEO, PATIENCE_S * 1000)
        silent.bind(f"ipc://{directory}/run/control.sock")
        running = subprocess.Popen([CTL, "--config", config, "export", "submit", "--organization", "acme", "--wait"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        *envelope, request = silent.recv_multipart()
        submitted = {"v": 1, "id": msgpack.unpackb(request)["id"], "ok": True, "result": {"job_id": "j1", "status": "pending"}}
        silent.send_multipart([*envelope, msgpack.packb(submitted)])
        silent.recv_multipart()  # How the job is.
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
        self.assertEqual((out, running.returncode), ("", 130), err)
        self.assertIn("stopped waiting; job j1 goes on", err)


class CompletionTest(unittest.TestCase):
    def in_bash(self, *words):
        """What bash would offer."""
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _exportctl "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETIONS / "exportctl.bash", CTL, *words], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.stdout.split("\n")[:-1]

    def test_bash_offers_every_verb_and_flag(self):
        page = subprocess.run([CTL, "_man", "exportctl.1"], capture_output=True, text=True, check=True, timeout=60).stdout.replace("\\-", "-")
        verbs = re.findall(r'\.SS "(.*?)"\n(.*?)(?=\.SS|\.SH)', page, re.S)
        self.assertGreaterEqual(len(verbs), 48)
        for verb, text in verbs:
            words = verb.split()
            self.assertIn(words[-1], self.in_bash(*words[:-1], words[-1][:2]), verb)
            for flag in re.findall(r"\\fB(--[\w-]+)", text):
                self.assertIn(flag, self.in_bash(*words, flag[:3]), verb)

    def test_bash_completes_what_is_typed(self):
        self.assertEqual(subprocess.run(["bash", "-n", COMPLETIONS / "exportctl.bash"], capture_output=True, text=True).stderr, "")
        self.assertEqual(self.in_bash("export", "submit", "--format", "=", "x"), ["xlsx"])
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(f"{directory}/a place/below")
            terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], 200, {"PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}", "PS1": "> "}, directory)
            terminal.type(f"bind 'set bell-style none'; source '{COMPLETIONS / 'exportctl.bash'}'; echo rea''dy\n")
            terminal.wait_for("ready\r")
            for typed, shown in (("organ\tse\t", "exportctl organization set "), ("export submit --fo\t", "--fo.*--format.*--formulas|--format "),
                                 ("backup a\t", r"backup a\\ place/"), ("export submit --format=xl\t", "--format=xlsx ")):
                terminal.type(f"exportctl {typed}")
                if typed == "export submit --fo\t":
                    terminal.type("\t\t")  # Two candidates: the first is for what they have in common.
                terminal.wait_for(shown)
                terminal.type("\x15")
            terminal.type("exit\n")
            terminal.end()

    def test_zsh_offers_the_same(self):
        zsh = need("zsh")
        self.assertEqual(subprocess.run([zsh, "-f", "-n", COMPLETIONS / "_exportctl"], capture_output=True, text=True).stderr, "")
        with tempfile.TemporaryDirectory() as directory:
            terminal = Terminal([zsh, "-f", "-i"], 200, {"PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}", "HOME": directory, "TERM": "dumb"}, directory)
            terminal.type(f"fpath=('{COMPLETIONS}' $fpath); autoload -U compinit; compinit -u -D; unsetopt beep; echo rea''dy\n")
            terminal.wait_for("ready\r")
            terminal.type("exportctl organ\tse\t")
            terminal.wait_for(r"exportctl organization[ \x08]*set ")
            terminal.type("\x15exportctl plugin quarantine \t\t")
            terminal.wait_for("lift .*-- let a file be loaded again")
            terminal.type("\x15exit\n")
            terminal.end()


class ManPagesTest(unittest.TestCase):
    PAGES = ("exportctl.1", "export-workerd.8", "export-httpd.8", "export-worker.ini.5")

    def test_man_has_nothing_to_say_about_them(self):
        man = need("man")
        for page in self.PAGES:
            done = subprocess.run([man, "--warnings", "-E", "UTF-8", "-l", BUILD / "man" / page], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)
            self.assertIn("SEE ALSO", done.stdout)

    def test_they_name_every_flag_and_key(self):
        def page(name):
            return (BUILD / "man" / name).read_text().replace("\\-", "-")
        for program in ("export-workerd", "export-httpd"):
            text = subprocess.run([BUILD / "bin" / program, "--help"], capture_output=True, text=True, timeout=20).stdout
            flags = re.findall(r"(?m)^  (--[\w-]+)", text)
            self.assertGreater(len(flags), 3)
            for flag in flags:
                self.assertIn(f"\\fB{flag}", page(f"{program}.8"))
        sample = (SOURCE / "etc" / "export-worker.ini").read_text()
        for key in re.findall(r"(?m)^(?:# )?(\w+) = ", sample):
            self.assertIn(f"\\fB{key} = ", page("export-worker.ini.5"))
        for section in re.findall(r"(?m)^(?:# )?(\[.*\])$", sample):
            self.assertIn(f'.SH "{section}"', page("export-worker.ini.5"))


if __name__ == "__main__":
    unittest.main()
