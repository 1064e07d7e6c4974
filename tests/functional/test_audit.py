"""The operators' audit trail, the keys' last use and rotation, and whom the data side answered: against the real programs."""
import json
import os
import unittest

import msgpack
from functional.harness import SystemTest, wait_until
from functional.skips import sqlite_only


class AuditTest(SystemTest):
    @classmethod
    def configure(cls, system):
        system.daemon_keys = "log_level = debug\nlog_format = json\n"

    def lines(self, message, **fields):
        """The log's events of this name with these fields."""
        events = [json.loads(line) for line in self.system.daemon.text().splitlines() if line.startswith("{")]
        return [e for e in events if e["message"] == message and all(e.get(name) == value for name, value in fields.items())]

    def audit(self, method, **fields):
        lines = wait_until(f"the line of {method}", lambda: self.lines("audit", method=method, **fields))
        self.assertEqual({line["uid"] for line in lines}, {os.geteuid()})
        self.assertTrue(all(line["pid"] > 0 for line in lines), lines)
        return lines[-1]

    def test_every_verb_of_an_operator_leaves_a_line(self):
        key = self.system.ctl_json("key", "create", "--organization", "audited", "--name", "ci", "--permission", "job:read")
        line = self.audit("control.key_create", made=key["id"])
        self.assertEqual((line["outcome"], line["organization"], line["target"]), ("ok", "audited", "ci"))
        self.assertEqual(json.loads(line["detail"]), {"permissions": ["job:read"]})
        fresh = self.system.ctl_json("key", "rotate", key["id"], "--overlap", "1h")
        self.audit("control.key_rotate", target=key["id"], made=fresh["id"], organization="audited")
        self.system.ctl("key", "revoke", key["id"])
        self.audit("control.key_revoke", target=key["id"], outcome="ok", organization="audited")
        self.system.ctl("member", "set", "ann", "--organization", "audited", "--role", "Viewer")
        self.audit("control.member_set", target="ann", organization="audited")
        session = self.system.ctl_json("session", "create", "ann")
        self.audit("control.session_create", target="ann", made=session["id"])
        self.system.ctl("session", "revoke", session["id"])
        self.audit("control.session_revoke", target=session["id"])
        self.system.ctl("organization", "set", "audited", "--hold")
        self.audit("control.organization_set", organization="audited", detail='{"held":true}')
        job = self.system.ctl_json("export", "submit", "--organization", "audited", "--format", "jsonl", "--max-attempts", "3")["job_id"]
        line = self.audit("exports.submit", organization="audited", made=job)
        self.assertEqual(json.loads(line["detail"]), {"format": "jsonl", "max_attempts": 3})
        self.system.ctl("job", "cancel", job)
        self.audit("jobs.cancel", target=job, outcome="ok")
        self.system.ctl("plugin", "reload", "download_url", "--dry-run")
        self.audit("control.plugin_reload", target="download_url")
        for secret in (key["key"][20:], fresh["key"][20:], session["token"][4:]):
            self.assertNotIn(secret, self.system.daemon.text())

    def test_refusals_leave_a_line_and_no_secret(self):
        key = self.system.make_key()
        self.assertEqual(self.system.ctl("key", "revoke", key, check=False).returncode, 1)
        self.audit("control.key_revoke", target="(hidden)", outcome="not_found")
        self.system.ctl("session", "create", "unknown-subject", check=False)
        self.audit("control.session_create", target="unknown-subject", outcome="not_found")
        self.system.ctl("job", "cancel", "no-such-job", check=False)
        self.audit("jobs.cancel", target="no-such-job", outcome="not_found")
        url = "http://127.0.0.1/exports/a?expires=1&filename=x&sig=c2VjcmV0"
        pasted = self.system.secret(key, "no plugin\n")
        for words in (("link", url), ("job", "cancel", url), ("member", "set", url, "--organization", "audited", "--role", "Viewer"), ("plugin", "load", pasted)):
            self.system.ctl(*words, check=False)
        self.audit("download_url.get", target="(hidden)")
        self.audit("jobs.cancel", target="(hidden)")
        self.audit("control.plugin_load", target="(hidden)")
        wait_until("the refusal of the plugin", lambda: "plugin (hidden)" in self.system.daemon.text())
        for target in (f"/api/jobs/?job_type=mos_{'b' * 43}", f"/api/jobs/%6do_{key[3:]}"):
            self.system.http("GET", target)
        for secret in ("c2VjcmV0", key[20:], "b" * 43):
            self.assertNotIn(secret, self.system.daemon.text())
            self.assertNotIn(secret, self.system.shim.text())
        control = self.system.control()
        self.addCleanup(control.close)
        self.assertEqual(control.call("no.such")["error"]["code"], "unknown_method")
        self.audit("no.such", outcome="unknown_method")
        self.assertEqual(control.raw(msgpack.packb([1]))["error"]["code"], "bad_request")
        self.audit("", outcome="bad_request")
        self.assertNotIn(key[20:], self.system.daemon.text())

    def check_both_lines(self, words, method, good):
        before = len(self.lines("audit", method=method))
        self.assertEqual(self.system.ctl(*words, check=False).returncode, 0 if good else 1, words)
        lines = wait_until(f"both lines of {words}", lambda: self.lines("audit", method=method)[before:][1:] and self.lines("audit", method=method)[before:])
        self.assertEqual(lines[0]["outcome"], "started")
        self.assertEqual(lines[1]["outcome"] == "ok", good, lines[1])
        self.assertNotIn(lines[1]["outcome"], ("started", "unknown"))
        self.assertEqual(lines[0]["target"], lines[1]["target"])

    @sqlite_only
    def test_work_that_ends_later_has_its_own_line(self):
        file = self.system.directory / "file"
        file.write_text("no directory, no plugin\n")
        file.chmod(0o600)
        for words, method, good in ((("backup", self.system.directory / "copies"), "control.backup_begin", True),
                                    (("plugin", "load", file), "control.plugin_load", False),
                                    (("plugin", "reload", "download_url", "--file", file), "control.plugin_reload", False),
                                    (("plugin", "reload", "download_url", "--dry-run"), "control.plugin_reload", True)):
            self.check_both_lines(words, method, good)
        # A copy that fails: no file, but a directory.
        artifact = next((self.system.state / "plugins" / "artifacts").glob("*.so"))
        artifact.rename(artifact.with_suffix(".kept"))
        artifact.mkdir()
        self.check_both_lines(("backup", self.system.directory / "more"), "control.backup_begin", False)
        artifact.rmdir()
        artifact.with_suffix(".kept").rename(artifact)

    def test_the_data_side_names_whom_it_answered(self):
        key = self.system.make_key("named")
        wire = self.system.wire()
        self.addCleanup(wire.close)
        for method in ("jobs.status", "download_url.get"):  # The daemon's own, and a plugin's.
            request = wire.send(method, {"job_id": "none"}, key)
            wire.receive(request)
            caller = wait_until("the line", lambda: self.lines("caller", request_id=request))[0]
            self.assertEqual((caller["method"], caller["organization"], caller["key_id"], caller["subject"]), (method, "named", key.split("_")[1], ""))

    def test_a_key_is_rotated_without_a_failing_request(self):
        def status(key):
            return self.system.api("GET", "/api/jobs/none/status", key).status
        old = self.system.ctl_json("key", "create", "--organization", "rotating", "--permission", "job:read", "--name", "ci")
        self.assertIsNone(old["expires_at"])
        refused = self.system.ctl("key", "rotate", old["id"], check=False)
        self.assertEqual((refused.returncode, "--overlap" in refused.stderr), (64, True))
        for bad in ("soon", "-5", "1w", "h", "1.5h", "99999999999999999999d"):
            self.assertEqual(self.system.ctl("key", "rotate", old["id"], f"--overlap={bad}", check=False).returncode, 64, bad)
        fresh = self.system.ctl_json("key", "rotate", old["id"], "--overlap", "1h")
        self.assertEqual((status(old["key"]), status(fresh["key"])), (404, 404))
        listed = {key["id"]: key for key in self.system.ctl_json("key", "list", "--organization", "rotating")["items"]}
        self.assertIsNotNone(listed[old["id"]]["expires_at"])
        self.assertIsNotNone(listed[old["id"]]["last_used_at"])
        self.assertEqual(listed[fresh["id"]]["permissions"], ["job:read"])
        last = self.system.ctl_json("key", "rotate", fresh["id"], "--overlap", "0", "--expires-in", "1d")
        self.assertEqual((status(fresh["key"]), status(last["key"])), (401, 404))
        self.assertIn("required", self.system.ctl("key", "rotate", last["id"], "--overlap", "1h", check=False).stderr)

    def test_a_list_that_is_longer_than_a_page_is_whole(self):
        control = self.system.control()
        self.addCleanup(control.close)
        for number in range(501):
            control.call("control.member_set", {"subject": f"m{number}", "organization": "large", "roles": ["Viewer"]})
        page = control.call("control.member_list", {"organization": "large"})["result"]
        self.assertEqual((len(page["items"]), page["next"] is None), (500, False))
        self.assertEqual(len(self.system.ctl_json("member", "list", "--organization", "large")["items"]), 501)

    def test_link_explain_can_be_granted(self):
        self.system.import_generated(3, "explained")
        job = self.system.export("explained")["job_id"]
        wire = self.system.wire()
        self.addCleanup(wire.close)
        for permissions, code in (("product:read", "permission_denied"), ("link:explain", None)):
            reply = wire.call("download_url.explain", {"job_id": job}, self.system.make_key("explained", permissions))
            self.assertEqual(reply.get("error", {}).get("code"), code)


if __name__ == "__main__":
    unittest.main()
