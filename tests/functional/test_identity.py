"""Who may do what: every kind of credential, in one table; what is taken back; a provider that is slow or away."""
import itertools
import json
import threading
import time
import unittest

from functional.harness import SOURCE, System, SystemTest, wait_until
from functional.identity import AUDIENCE, ISSUER, Provider, SigningKey, base64url, jwks, make_certificate

EVERYTHING = {"product:read", "job:read", "job:create"}
READING = {"product:read", "job:read"}
THEIRS = "their-session-token"  # A session that only the provider knows.


class IdentityTest(SystemTest):
    """One table, header x cookie x organization x permission, against what docs/identity.md says."""

    @classmethod
    def prepare(cls, system):
        """The daemon is started again, with sessions."""
        cls.signer = SigningKey(system.directory, "one")
        cls.stranger = SigningKey(system.directory, "two")
        cls.roles = system.directory / "roles.ini"
        cls.roles.write_text((SOURCE / "etc/roles.ini").read_text())
        cls.key_set = system.directory / "jwks.json"
        cls.key_set.write_text(jwks(cls.signer))
        system.extra = f"[auth]\nroles_file = {cls.roles}\njwks_file = {cls.key_set}\nissuer = {ISSUER}\naudience = {AUDIENCE}\n"
        system.daemon.stop()
        system.start_daemon()
        wait_until("the shim sees the daemon", lambda: system.http("GET", "/readyz").status == 200)
        for subject, organization, role, verb in (("several", "acme", "Viewer", "set"), ("several", "umbrella", "Owner", "set"),
                                                  ("gone", "acme", "Owner", "deactivate"), ("opaque", "acme", "Viewer", "set")):
            system.ctl("member", verb, subject, "--organization", organization, "--role", role)
        cls.session = system.ctl_json("session", "create", "opaque", "--expires-in", 600)["token"]
        revoked = system.ctl_json("key", "create", "--organization", "acme", "--permission", "product:read")
        system.ctl("key", "revoke", revoked["id"])
        token, now = cls.signer.token, int(time.time())
        none = f"{base64url(json.dumps({'alg': 'none', 'kid': 'one'}).encode())}.{token('editor', ['Editor']).split('.')[1]}."
        # Name: (credential, {organization: permissions}, or None when it is none).
        cls.credentials = {
            "nothing": ("", None),
            "key": (system.make_key(), {"acme": EVERYTHING}),
            "key of a reader": (system.make_key(permissions="job:read"), {"acme": {"job:read"}}),
            "key of another": (system.make_key(organization="umbrella"), {"umbrella": EVERYTHING}),
            "revoked key": (revoked["key"], None),
            "nonsense": ("nonsense", None),
            "owner": (token("owner", ["Owner"]), {"acme": EVERYTHING}),
            "viewer": (token("viewer", ["Viewer"]), {"acme": READING}),
            "no role": (token("nobody"), {"acme": set()}),
            "unknown role": (token("custom", ["Emperor"]), {"acme": set()}),
            "several": (token("several", ["Owner"]), {"acme": READING, "umbrella": EVERYTHING}),
            "several in the token": (token("both", organizations=[{"organization_id": "umbrella", "roles": ["Viewer"]}], roles=["Owner"]),
                                     {"acme": EVERYTHING, "umbrella": READING}),
            "not active": (token("gone", ["Owner"]), {"acme": None}),
            "opaque session": (cls.session, {"acme": READING}),
            "expired": (token("late", ["Owner"], exp=now - 60), None),
            "not yet valid": (token("early", ["Owner"], nbf=now + 60), None),
            "another issuer": (token("x", ["Owner"], iss="stytch.com/other"), None),
            "another audience": (token("x", ["Owner"], aud="other"), None),
            "alg none": (none, None),
            "unknown kid": (cls.stranger.token("x", ["Owner"]), None),
            "somebody else's signature": (cls.stranger.token("x", ["Owner"], header={"kid": "one"}), None),
            "too long": (token("x" * 9000, ["Owner"]), None),
        }

    def expect(self, header, cookie, organization, permission):
        """Status and detail, from the rules."""
        name = header if header != "nothing" else cookie
        if name == "nothing":
            return 401, "Not authenticated"
        text, organizations = self.credentials[name]
        if organizations is None or (name == cookie != header and text.startswith("mo_")):
            return 401, "Invalid credentials"
        if organization and organization not in organizations:
            return 403, "Not a member of this organization"
        active = [name for name, permissions in organizations.items() if permissions is not None]
        if not organization and len(active) > 1:
            return 403, "Member of several organizations: name one in X-Organization-ID"
        permissions = organizations[organization or next(iter(active or organizations))]
        if permissions is None:
            return 401, "Invalid credentials"
        if permission not in permissions:
            return 403, f"Missing required permission: {permission}"
        return None

    def test_every_decision(self):
        routes = {"product:read": ("GET", "/api/products/export/none/download-url", 404, "Export job not found"),
                  "job:read": ("GET", "/api/jobs/none/status", 404, "Job not found"),
                  "job:create": ("POST", "/api/jobs/none/cancel", 404, "Job not found")}
        cookies = ["nothing", "owner", "viewer", "opaque session", "not active", "expired", "key", "nonsense"]
        cases = 0
        for header, cookie, organization, permission in itertools.product(self.credentials, cookies, ["", "acme", "umbrella", "no/such"], routes):
            method, target, status, detail = routes[permission]
            fields = {}
            if header != "nothing":
                fields["Authorization"] = f"Bearer {self.credentials[header][0]}"
            if cookie != "nothing":
                fields["Cookie"] = f"theme=dark; stytch_session={self.credentials[cookie][0]}"
                fields["Origin"] = f"http://127.0.0.1:{self.system.port}"  # As a page of this site sends it.
            if organization:
                fields["X-Organization-ID"] = organization
            expected = self.expect(header, cookie, organization, permission) or (status, detail)
            response = self.system.http(method, target, fields)
            found = (response.status, json.loads(response.body)["detail"])
            self.assertEqual(found, expected, (header, cookie, organization, permission))
            self.assertEqual(response.headers.get("WWW-Authenticate"), "Bearer" if expected[0] == 401 else None)
            cases += 1
        print(f"\n{cases} decisions")

    def status_of(self, token):
        return self.system.api("GET", "/api/jobs/none/status", token).status

    def test_access_ends_within_seconds(self):
        """A member who is deactivated, a session that is ended, a key that is revoked, a role that changes, a key set that changes."""
        token = self.signer.token("leaver", ["Owner"])
        self.assertEqual(self.status_of(token), 404)
        self.system.ctl("member", "deactivate", "leaver", "--organization", "acme")
        self.assertEqual(self.status_of(token), 401)
        self.system.ctl("member", "set", "leaver", "--organization", "acme", "--role", "Viewer")
        self.assertEqual(self.status_of(token), 404)
        self.assertEqual(self.system.api("POST", "/api/jobs/none/cancel", token).status, 403)

        session = self.system.ctl_json("session", "create", "opaque")
        self.assertEqual(self.status_of(session["token"]), 404)
        self.assertIn(session["id"], self.system.ctl("session", "list").stdout)
        self.system.ctl("session", "revoke", session["id"])
        self.assertEqual(self.status_of(session["token"]), 401)

        key = self.system.ctl_json("key", "create", "--organization", "acme", "--permission", "job:read")
        self.assertEqual(self.status_of(key["key"]), 404)
        self.system.ctl("key", "revoke", key["id"])
        self.assertEqual(self.status_of(key["key"]), 401)

        emperor = self.signer.token("emperor", ["Emperor"])
        self.assertEqual(self.status_of(emperor), 403)
        self.roles.write_text((SOURCE / "etc/roles.ini").read_text() + "\n[role.Emperor]\npermissions = job:read\n")
        self.system.daemon.popen.send_signal(1)
        wait_until("the new role", lambda: self.status_of(emperor) == 404)

        self.roles.write_text((SOURCE / "etc/roles.ini").read_text())
        self.system.daemon.popen.send_signal(1)
        wait_until("the role to be gone", lambda: self.status_of(emperor) == 403)

        owner = self.credentials["owner"][0]
        self.assertEqual(self.status_of(owner), 404)
        self.key_set.write_text(jwks(self.stranger))
        began = time.monotonic()
        wait_until("the old key to be over", lambda: self.status_of(owner) == 401)
        self.assertEqual(self.status_of(self.stranger.token("x", ["Owner"])), 404)
        self.key_set.write_text(jwks(self.signer))
        wait_until("the old key to be back", lambda: self.status_of(owner) == 404)
        print(f"\na change of the key set is noticed within {time.monotonic() - began:.1f} s, there and back")

    def test_nothing_secret_is_written_down(self):
        texts = [path.read_bytes() for path in self.system.directory.rglob("*") if path.is_file() and (path.suffix in (".log", ".db") or path.name.endswith("-wal"))]
        # The secret part of a JWT is its signature, that of a key follows its id. Base64url contains "_", so only a key is cut there.
        for name, secret in (("owner", self.credentials["owner"][0].split(".")[2]), ("opaque session", self.credentials["opaque session"][0]),
                             ("key", self.credentials["key"][0].split("_")[2])):
            self.assertGreater(len(secret), 20, name)
            self.assertFalse(any(secret.encode() in text for text in texts), name)
        self.assertGreater(len(texts), 3)

    def test_operators_are_told_what_is_wrong(self):
        for arguments, words in ((("member", "set", "m", "--organization", "acme"), "roles: expected them"),
                                 (("member", "set", "m", "--organization", "no/such", "--role", "Viewer"), "organization: expected"),
                                 (("session", "create", "nobody"), "No member has the subject 'nobody'"),
                                 (("session", "create", "opaque", "--expires-in", "0"), "expires_in_seconds: expected"),
                                 (("session", "revoke", "nope"), "No session has the id 'nope'")):
            refused = self.system.ctl(*arguments, check=False)
            self.assertNotEqual(refused.returncode, 0, arguments)
            self.assertIn(words, refused.stderr)
        self.assertIn("several", self.system.ctl("member", "list", "--organization", "umbrella").stdout)


class ProviderTest(unittest.TestCase):
    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)
        self.signer = SigningKey(self.system.directory, "one")
        self.provider = Provider([self.signer])
        self.addCleanup(self.provider.close)
        secret = self.system.secret("provider_secret", "hush\n")
        self.system.extra = (f"[auth]\nroles_file = {self.system.sample_roles()}\nissuer = {ISSUER}\naudience = {AUDIENCE}\n"
                             f"jwks_url = {self.provider.url}/jwks\nsession_url = {self.provider.url}/sessions/authenticate\n"
                             f"session_user = project-test\nsession_secret_file = {secret}\nsession_cache_s = 1\n")
        self.system.start()
        self.provider.sessions[THEIRS] = ("member-1", "acme", ["Viewer"])

    def status_of(self, token):
        return self.system.http("GET", "/api/jobs/none/status", {"Cookie": f"stytch_session={token}"}).status

    def test_sessions_of_the_provider(self):
        wait_until("the key set", lambda: self.status_of(self.signer.token("m", ["Viewer"])) == 404)
        self.assertEqual(self.status_of(THEIRS), 404)
        self.assertEqual(self.status_of("made-up-session-token"), 401)
        del self.provider.sessions[THEIRS]
        wait_until("the end of the session to be noticed", lambda: self.status_of(THEIRS) == 401)

    def test_a_slow_provider_holds_up_nobody_else(self):
        key = self.system.make_key()
        self.provider.may_answer.clear()
        self.provider.sessions.update({f"slow-session-token-{n}": ("member-1", "acme", ["Viewer"]) for n in range(8)})
        statuses = []
        threads = [threading.Thread(target=lambda n=n: statuses.append(self.status_of(f"slow-session-token-{n}"))) for n in range(8)]
        for thread in threads:
            thread.start()
        # The daemon's session lookup threads are all waiting now, and so are the other requests for one of them.
        wait_until("requests at the provider", lambda: self.provider.asked >= 4)
        slowest = 0
        for _ in range(50):
            began = time.perf_counter()
            self.assertEqual(self.system.api("GET", "/api/jobs/none/status", key).status, 404)
            slowest = max(slowest, time.perf_counter() - began)
        self.assertEqual(statuses, [], "the provider was still busy")
        self.provider.may_answer.set()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [404] * 8)
        print(f"\nwhile the provider is busy, the slowest of 50 other requests took {slowest * 1000:.0f} ms")
        self.assertLess(slowest, 1)

    def test_a_provider_that_is_away_is_a_503(self):
        self.provider.status = 500
        response = self.system.http("GET", "/api/jobs/none/status", {"Cookie": f"stytch_session={THEIRS}"})
        self.assertEqual(response.status, 503)
        self.assertEqual(response.headers["Retry-After"], "1")
        for n in range(10):
            self.assertEqual(self.status_of(f"session-token-number-{n}"), 503)
        self.assertLessEqual(self.provider.asked, 6, "a provider that fails is left alone")

    def test_strangers_use_up_neither_the_provider_nor_the_lookups_of_others(self):
        wire = self.system.wire()
        self.addCleanup(wire.close)

        def ask(token, **auth):
            reply = wire.call("jobs.status", {"job_id": "none"}, auth={"session": token, **auth})
            return reply["error"]["code"]

        self.assertEqual(ask(THEIRS, client_address="192.0.2.2"), "not_found")
        codes = [ask(f"session-token-number-{n}", client_address="192.0.2.1") for n in range(200)]
        self.assertEqual(codes[0], "unauthenticated")
        self.assertIn("rate_limited", codes)
        self.assertLess(codes.count("unauthenticated"), 100)
        self.assertLessEqual(self.provider.asked, codes.count("unauthenticated") + 1)
        # Its own session, known before, and sessions of others go on.
        self.assertEqual(ask(THEIRS, client_address="192.0.2.1"), "not_found")
        self.provider.sessions["another-session-token"] = ("member-2", "acme", ["Viewer"])
        self.assertEqual(ask("another-session-token", client_address="192.0.2.3"), "not_found")
        # A provider that has had enough: those it knows go on, the others are told to come back.
        self.provider.status = 429
        self.assertEqual(ask("a-session-token-never-seen", client_address="192.0.2.4"), "overloaded")
        asked = self.provider.asked
        for n in range(20):
            self.assertEqual(ask(f"a-session-token-never-seen-{n}", client_address="192.0.2.4"), "overloaded")
            self.assertEqual(ask(THEIRS, client_address="192.0.2.2"), "not_found")
        self.assertEqual(self.provider.asked, asked)

    def test_what_is_ours_is_never_sent_to_the_provider(self):
        key = self.system.make_key()
        for token in (key, key.upper(), key[:30], f'"{key}"', key[:20] + "x" * 50, "short", "x" * 2000):
            self.assertEqual(self.status_of(token), 401, token)
        self.assertEqual(self.provider.asked, 0)


class TlsProviderTest(unittest.TestCase):
    """The provider as it is in production: over TLS, and believed only with a certificate somebody vouches for."""

    def start(self, ca_file):
        system = System()
        self.addCleanup(system.close)
        signer = SigningKey(system.directory, "one")
        certificate = make_certificate(system.directory / "provider.pem")
        other = make_certificate(system.directory / "other.pem")
        provider = Provider([signer], certificate)
        self.addCleanup(provider.close)
        provider.sessions[THEIRS] = ("member-1", "acme", ["Viewer"])
        secret = system.secret("provider_secret", "hush\n")
        trusted = {"theirs": f"ca_file = {certificate}.crt\n", "another": f"ca_file = {other}.crt\n", "the system's": ""}[ca_file]
        system.extra = (f"[auth]\nroles_file = {system.sample_roles()}\nissuer = {ISSUER}\naudience = {AUDIENCE}\n"
                        f"jwks_url = {provider.url}/jwks\nsession_url = {provider.url}/sessions/authenticate\n"
                        f"session_user = project-test\nsession_secret_file = {secret}\n{trusted}")
        system.start()
        return system, signer, provider

    def status_of(self, system, token):
        return system.http("GET", "/api/jobs/none/status", {"Cookie": f"stytch_session={token}"}).status

    def test_over_tls(self):
        system, signer, provider = self.start("theirs")
        wait_until("the key set", lambda: self.status_of(system, signer.token("m", ["Viewer"])) == 404)
        self.assertEqual(self.status_of(system, THEIRS), 404)
        self.assertEqual(self.status_of(system, "made-up-session-token"), 401)
        self.assertEqual(provider.asked, 2)

    def test_a_certificate_nobody_vouches_for(self):
        for ca_file in ("another", "the system's"):
            system, signer, provider = self.start(ca_file)
            log = wait_until("the refusal in the log", lambda: (text := system.daemon.text()) and "certificate" in text and text)
            self.assertIn(f"ask {provider.url}: ", log)
            self.assertEqual(self.status_of(system, signer.token("m", ["Viewer"])), 401, "no key set, no session")
            self.assertEqual(self.status_of(system, THEIRS), 503)
            self.assertEqual((provider.fetched, provider.asked), (0, 0), "nothing was said to a stranger")


if __name__ == "__main__":
    unittest.main()
