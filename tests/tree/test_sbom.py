"""scripts/sbom: the mandatory fields of SPDX 2.3, and the libraries that the programs are known to use."""
import json
import os
import pathlib
import re
import subprocess
import unittest

from functional.harness import BUILD, SOURCE

PACKAGE_FIELDS = {"SPDXID", "name", "versionInfo", "supplier", "downloadLocation", "filesAnalyzed", "licenseConcluded", "licenseDeclared", "copyrightText"}


def sbom(build):
    return subprocess.run([SOURCE / "scripts" / "sbom", "--build", str(build)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1800000000"})


class SbomTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.done = sbom(BUILD)
        assert cls.done.returncode == 0, cls.done.stderr
        cls.document = json.loads(cls.done.stdout)
        cls.packages = {package["name"]: package for package in cls.document["packages"]}

    def related(self, kind):
        names = {package["SPDXID"]: name for name, package in self.packages.items()}
        return {(names.get(each["spdxElementId"]), names.get(each["relatedSpdxElement"])) for each in self.document["relationships"]
                if each["relationshipType"] == kind}

    def test_the_document(self):
        document = self.document
        self.assertEqual((document["spdxVersion"], document["dataLicense"], document["SPDXID"]), ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        version = re.search(r"project\(export_worker VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual(document["name"], f"export-worker-{version}")
        self.assertRegex(document["documentNamespace"], r"^https://[^#\s]+$")
        self.assertEqual(document["creationInfo"]["created"], "2027-01-15T08:00:00Z")
        self.assertRegex(document["creationInfo"]["creators"][0], "^Tool: ")

    def test_packages(self):
        self.assertEqual(len(self.packages), len(self.document["packages"]))
        for name, package in self.packages.items():
            self.assertLessEqual(PACKAGE_FIELDS, package.keys(), name)
            self.assertRegex(package["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")
            self.assertIs(package["filesAnalyzed"], False)
            for reference in package.get("externalRefs", []):
                self.assertRegex(reference["referenceLocator"], r"^pkg:deb/debian/[a-z0-9+.-]+@[^\s:]+\?arch=[a-z0-9]+$")
        self.assertEqual(len({package["SPDXID"] for package in self.document["packages"]}), len(self.packages))

    def test_relationships_are_between_what_is_listed(self):
        known = {package["SPDXID"] for package in self.document["packages"]} | {"SPDXRef-DOCUMENT"}
        for each in self.document["relationships"]:
            self.assertLessEqual({each["spdxElementId"], each["relatedSpdxElement"]}, known)
        self.assertEqual(self.related("DESCRIBES"), {(None, "export-worker"), (None, "export-worker-httpd")})

    def test_libraries_and_headers(self):
        depends = self.related("DEPENDS_ON")
        for library in ("libzmq5", "libsqlite3-0", "libcurl4", "libssl3", "libc6"):
            self.assertIn(("export-worker", library), depends)
        self.assertIn(("export-worker-httpd", "libzmq5"), depends)
        self.assertNotIn(("export-worker-httpd", "libcurl4"), depends)
        self.assertIn(("libzmq5", "libsodium23"), depends)
        headers = {package for program, package in self.related("STATIC_LINK") if program == "export-worker"}
        self.assertLessEqual({"cppzmq-dev", "nlohmann-json3-dev", "libexpected-dev"}, headers)
        self.assertNotIn("libfmt-dev", headers)

    def test_the_same_build_gives_the_same_bytes(self):
        self.assertEqual(sbom(BUILD).stdout, self.done.stdout)

    def test_a_build_that_is_missing_says_what_to_do(self):
        done = sbom(pathlib.Path("/nonexistent"))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("build first", done.stderr)


if __name__ == "__main__":
    unittest.main()
