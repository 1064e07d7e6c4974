"""Whatever is asked, the answer is one the OpenAPI document describes: generated requests, hostile ones among them, validated by python3-jsonschema."""
import collections
import http.client
import json
import os
import random
import string
import urllib.parse
import unittest

import jsonschema

from functional.harness import FULL, SANITIZED, SystemTest

REQUESTS = 1000 if SANITIZED else 6000 if FULL else 2000
SEED = int(os.environ.get("EXPORT_WORKER_SEED", "20261125"))
# What the framing policy answers before any route is asked (docs/http.md), and what every authenticated route may.
FRAMING = {400, 404, 405, 411, 413, 414, 431}
COMMON = {401, 403, 404, 409, 410, 503, 504}

HOSTILE = ["", " ", ".", "..", "%00", "\u0000", "'", '"', "\\", "/", "//", "a/b", "<script>", "{{7*7}}", "${jndi:ldap://x}", "' OR 1=1 --", "\u202e", "\ufeff",
           "\U0001f7e2", "\u0130", "null", "true", "-1", "1e400", "NaN", "0x10", "9" * 40, "a" * 128, "a" * 129, "a" * 1500, "../../etc/passwd", "%", "%zz", "%2e%2e",
           "\r\nX-Injected: yes", "a\tb", "=cmd|' /C calc'!A0", "\ud800", "__proto__", "constructor", "1970-01-01T00:00:00Z", "2026-13-45"]


class Generator:
    """Requests from the document's schemas: good ones, nearly good ones and nonsense."""

    def __init__(self, document, seed, known):
        self.random = random.Random(seed)
        self.document = document
        self.known = known  # Job ids that exist.

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def text(self):
        kind = self.random.random()
        if kind < 0.5:
            return self.random.choice(HOSTILE)
        if kind < 0.8:
            return "".join(self.random.choices(string.printable, k=self.random.randrange(1, 30)))
        return "".join(chr(self.random.choice([self.random.randrange(0x20, 0x250), self.random.randrange(0x4e00, 0x9fff)])) for _ in range(self.random.randrange(1, 12)))

    def value(self, schema, depth=0):
        schema = self.resolve(schema)
        if depth > 6 or self.random.random() < 0.08:
            return self.random.choice([None, True, -1, 0, 1.5, 2**63, "x", [], {}, [[]], self.text()])
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self.value(self.random.choice(options), depth + 1)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type", "object")
        if kind == "object":
            properties = schema.get("properties", {})
            out = {name: self.value(each, depth + 1) for name, each in properties.items()
                   if name in schema.get("required", []) or self.random.random() < 0.3}
            if self.random.random() < 0.1:
                out[self.text()[:60]] = self.text()
            return out
        if kind == "array":
            return [self.value(schema.get("items", {"type": "string"}), depth + 1) for _ in range(self.random.randrange(4))]
        if kind == "integer":
            return self.random.choice([0, 1, 2, 50, 500, 501, -1, 2**31, 2**53, 2**64])
        if kind == "number":
            return self.random.choice([0, 0.5, -1.5, 1e300])
        if kind == "boolean":
            return self.random.random() < 0.5
        return self.text() if self.random.random() < 0.6 else self.random.choice(["csv", "jsonl", "key", "crawl", "export", "name"])

    def request(self, path, method, operation):
        target = path
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                value = self.random.choice(self.known) if self.random.random() < 0.6 else self.text()
                value = urllib.parse.quote(value.encode("utf-8", "surrogatepass"), safe="") if self.random.random() < 0.97 else value.encode("ascii", "ignore").decode()
                # Another path would be another operation's answer.
                target = target.replace(f"{{{parameter['name']}}}", "".join(c for c in value if 0x20 < ord(c) < 0x7f and c not in "/?") or "x")
        query = [(p["name"], str(self.value(p["schema"]))) for p in operation.get("parameters", []) if p["in"] == "query" and self.random.random() < 0.5]
        if query:
            target += "?" + urllib.parse.urlencode(query, errors="surrogatepass")
        body = None
        if method == "post":
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {"type": "object"})
            body = json.dumps(self.value(schema)).encode()
            if self.random.random() < 0.05:
                body = bytes(self.random.randrange(256) for _ in range(self.random.randrange(60)))
        return target, body


class ContractTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(30)
        cls.keys = [system.make_key()] * 12 + [system.make_key(permissions="job:read"), system.make_key(organization="umbrella"), "nonsense", ""]
        cls.jobs = [system.export()["job_id"], system.api("POST", "/api/jobs/", cls.keys[0], {"job_type": "crawl", "total_items": 3}).json["job_id"],
                    system.ctl_json("job", "show", system.submit(cls.keys[0], format="csv"))["job_id"]]

    def validator(self, document, schema):
        return jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver("", document))

    def test_generated_requests(self):
        document = json.loads(self.system.http("GET", "/openapi.json").body)
        operations = [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]
        error = self.validator(document, {"$ref": "#/components/schemas/ErrorResponse"})
        generator = Generator(document, SEED, self.jobs)
        connection = http.client.HTTPConnection("127.0.0.1", self.system.port, timeout=30)
        seen = collections.Counter()
        for number in range(REQUESTS):
            path, method, operation = generator.random.choice(operations)
            target, body = generator.request(path, method, operation)
            key = generator.random.choice(self.keys)
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            if generator.random.random() < 0.05:
                headers["X-Organization-ID"] = generator.random.choice(["acme", "umbrella", "no/such", "a" * 100])
            said = (SEED, number, method, target, body)
            try:
                connection.request(method.upper(), target, body=body, headers=headers)
                response = connection.getresponse()
                data = response.read()
            except http.client.HTTPException as broken:
                self.fail((said, repr(broken)))
            if response.headers.get("Connection") == "close":
                connection.close()
            self.assertNotIn(response.status, (500, 502), said)
            self.assertIsNone(response.headers.get("X-Injected"), said)
            self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(response.headers["Content-Type"], "application/json", said)
            described = operation["responses"].get(str(response.status))
            if described:
                self.validator(document, described["content"]["application/json"]["schema"]).validate(json.loads(data))
            else:
                self.assertIn(response.status, FRAMING | COMMON, said)
                error.validate(json.loads(data))
            seen[f"{response.status}"] += 1
            seen[operation["operationId"]] += 1
        connection.close()
        print(f"\n{REQUESTS} requests, seed {SEED}: " + ", ".join(f"{count} x {what}" for what, count in sorted(seen.items()) if what.isdigit()))
        for _, _, operation in operations:
            self.assertGreater(seen[operation["operationId"]], REQUESTS / 100, operation["operationId"])
        for status in ("200", "202", "401", "403", "404", "409", "422"):
            self.assertGreater(seen[status], 0, f"no {status}: the generator has become too harmless")
        self.assertEqual(self.system.http("GET", "/readyz").status, 200)

    def test_what_the_schemas_exclude_is_refused(self):
        document = json.loads(self.system.http("GET", "/openapi.json").body)
        job = {"job_type": "crawl", "total_items": 1}
        year = 366 * 86400
        cases = [("ExportRequest", "/api/products/export-async", {}, [
                     {"filename": ""}, {"filename": "a" * 256}, {"columns": ["key"] * 2001}, {"columns": [""]}, {"columns": [{"property": "a" * 513}]},
                     {"product_keys": ["a" * 513]}, {"template": ""}, {"template": "a" * 129}, {"deadline_s": year + 1}, {"start_at": "2026-06-01T04:00:00+02:00"},
                     {"filter": {"updated_since": "2026-06-01"}}, {"filter": {"labels": ["a"] * 101}}, {"filter": {"product_type": ""}},
                     {"filter": {"properties": {}}}, {"unknown": 1}]),
                 ("JobCreateRequest", "/api/jobs/", job, [
                     {"job_type": ""}, {"job_type": "a" * 65}, {"triggered_by": "a" * 257}, {"deadline_s": year + 1}, {"silence_limit_s": year + 1}, {"unknown": 1}]),
                 ("JobProgressRequest", f"/api/jobs/{self.jobs[1]}/progress", {}, [
                     {"stage": "a" * 2049}, {"message": "a" * 2049}, {"unknown": 1}, {"error": {"entity_key": "", "error_type": "x", "message": "x"}},
                     {"error": {"entity_key": "x", "error_type": "a" * 129, "message": "x"}}, {"warning": {"entity_key": "x", "error_type": "x", "message": "x", "more": 1}}])]
        for name, path, good, excluded in cases:
            validator = self.validator(document, {"$ref": f"#/components/schemas/{name}"})
            self.assertTrue(validator.is_valid(good), name)
            for fields in excluded:
                self.assertFalse(validator.is_valid(good | fields), (name, str(fields)[:80]))
                self.assertEqual(self.system.api("POST", path, self.keys[0], good | fields).status, 422, (name, str(fields)[:80]))
        at_the_bounds = {"format": "csv", "filename": "a" * 251 + ".csv", "columns": ["key"], "deadline_s": year, "start_at": "2026-06-01T04:00:00Z"}
        self.assertTrue(self.validator(document, {"$ref": "#/components/schemas/ExportRequest"}).is_valid(at_the_bounds))
        self.assertEqual(self.system.api("POST", "/api/products/export-async", self.keys[0], at_the_bounds).status, 202)


if __name__ == "__main__":
    unittest.main()
