"""The document at /openapi.json, as tools use it: it describes every field, and clients generated from it reach every route."""
import json
import shutil
import subprocess
import unittest

from functional.harness import NODE_MODULES, SOURCE, SystemTest, need_node

CONTRACT = json.loads((SOURCE / "tests/golden/public_contract.json").read_text())  # Its parts stay word for word.
METHODS = ("get", "post")
TSCONFIG = {"compilerOptions": {"strict": True, "noUncheckedIndexedAccess": True, "target": "es2022", "module": "nodenext", "moduleResolution": "nodenext",
                                "lib": ["es2022", "dom"], "skipLibCheck": True, "types": [], "outDir": "out"}, "include": ["*.ts"]}


class GeneratedClientsTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(20)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]
        cls.document = json.loads(system.http("GET", "/openapi.json").body)

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item and path not in CONTRACT["paths"]:
                    yield f"{method} {path}", item[method]

    def test_every_field_is_described_and_shown(self):
        for name, schema in self.document["components"]["schemas"].items():
            if name in CONTRACT["components"]["schemas"]:
                continue
            for field, each in schema["properties"].items():
                self.assertTrue(each.get("description"), f"{name}.{field}")
                leads_on = "$ref" in json.dumps(each)
                self.assertTrue(leads_on or "example" in each, f"{name}.{field}: no example")
        for name, operation in self.operations():
            for parameter in operation.get("parameters", []):
                self.assertTrue(parameter.get("description"), f"{name} {parameter['name']}")

    def test_refusals_and_credentials_are_described(self):
        self.assertEqual(set(self.document["components"]["securitySchemes"]), {"bearer", "session"})
        self.assertEqual([server["url"] for server in self.document["servers"]], ["/"])
        for name, operation in self.operations():
            expected = {"429"} | ({"415"} if name.startswith("post ") else set()) | ({"401", "503", "504"} if " /api/" in name else set())
            self.assertEqual(expected - set(operation["responses"]), set(), name)
            for status in ("429", "503"):
                if status in operation["responses"]:
                    self.assertIn("Retry-After", operation["responses"][status]["headers"], name)

    def run_tool(self, directory, *command):
        done = subprocess.run([str(c) for c in command], cwd=directory, capture_output=True, text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_generated_clients_call_every_route(self):
        need_node("openapi-typescript", "openapi-fetch", "orval", "typescript")
        directory = self.system.directory / "clients"
        directory.mkdir()
        base = f"http://127.0.0.1:{self.system.port}"
        (directory / "node_modules").symlink_to(NODE_MODULES)
        (directory / "package.json").write_text('{"type": "module"}')
        (directory / "openapi.json").write_text(json.dumps(self.document))
        (directory / "tsconfig.json").write_text(json.dumps(TSCONFIG))
        (directory / "orval.config.cjs").write_text("module.exports = " + json.dumps(
            {"all": {"input": "./openapi.json", "output": {"target": "./orval.ts", "client": "fetch", "baseUrl": base}}}))
        shutil.copy(SOURCE / "tests/node/generated_clients.ts", directory)
        tools = NODE_MODULES / ".bin"
        self.run_tool(directory, tools / "openapi-typescript", "openapi.json", "-o", "schema.d.ts")
        self.run_tool(directory, tools / "orval", "--config", "orval.config.cjs")
        self.run_tool(directory, tools / "tsc", "-p", ".")
        lines = self.run_tool(directory, "node", "out/generated_clients.js", base, self.key, self.job).split("\n")
        answers = {tuple(line.split()[:2]): int(line.split()[2]) for line in lines if line}
        operations = [operation["operationId"] for item in self.document["paths"].values() for method, operation in item.items() if method in METHODS]
        for client in ("openapi-fetch", "orval"):
            called = {operation: status for (who, operation), status in answers.items() if who == client}
            self.assertEqual(len(called), len(operations), called)
            refused = called.pop("retryJob")  # The export has ended well.
            self.assertEqual(refused, 409)
            self.assertEqual({operation: status for operation, status in called.items() if status not in (200, 202)}, {}, client)


if __name__ == "__main__":
    unittest.main()
