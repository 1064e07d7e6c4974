"""Real clients: Chromium on /docs and on a download, curl, wget, Python's requests, Node's fetch."""
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import threading
import unittest

from functional.chromium import Chromium
from functional.harness import System, SystemTest, wait_until
from functional.skips import need


class ChromiumTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        need("chromium")
        system.import_generated(50)
        cls.key = system.make_key()
        cls.job = system.ctl_json("export", "submit", "--organization", "acme", "--wait", "--filename", "Übersicht 2026.csv")["job_id"]
        cls.browser = Chromium(system.directory)
        cls.addClassCleanup(cls.browser.close)

    def test_the_docs_page_shows_every_route_and_tries_one(self):
        browser = self.browser
        browser.events.clear()
        browser.navigate(f"http://127.0.0.1:{self.system.port}/docs")
        browser.wait_for("document.querySelectorAll('main details').length > 0")
        document = json.loads(self.system.http("GET", "/openapi.json").body)
        wanted = sorted(f"{method.upper()}{path}" for path, item in document["paths"].items() for method in item)
        shown = browser.evaluate("[...document.querySelectorAll('main > details > summary')].map(s => s.children[0].textContent + s.children[1].textContent)")
        self.assertEqual(sorted(shown), wanted)
        self.assertEqual(browser.evaluate("document.title"), document["info"]["title"])
        # As a user does it: open the route, fill in, send.
        browser.evaluate("document.getElementById('get_export_download_url').querySelector('summary').click()")
        browser.wait_for("document.querySelector('#get_export_download_url form') !== null")
        browser.evaluate(f"document.getElementById('token').value = {json.dumps(self.key)};"
                         f"document.querySelector('#get_export_download_url input[name=job_id]').value = {json.dumps(self.job)};"
                         "document.querySelector('#get_export_download_url button').click()")
        text = browser.wait_for("(text => text.includes('download_url') && text.includes('200') && text)(document.querySelector('#get_export_download_url [aria-live]').innerText)")
        self.assertIn('"filename": "Übersicht 2026.csv"', text)
        pictures = os.environ.get("EXPORT_WORKER_SCREENSHOTS")
        picture = pathlib.Path(pictures or self.system.directory) / "docs.png"
        browser.screenshot(picture)
        self.assertGreater(picture.stat().st_size, 20_000)
        # A refusal is shown as one, too.
        browser.evaluate("document.getElementById('token').value = 'nonsense'; document.querySelector('#get_export_download_url button').click()")
        browser.wait_for("document.querySelector('#get_export_download_url [aria-live] .bad') !== null")
        # Nothing from anywhere else, and nothing the policy or the console complains of.
        asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
        self.assertTrue(asked)
        self.assertEqual([url for url in asked if not url.startswith(f"http://127.0.0.1:{self.system.port}/")], [])
        complaints = [e["params"]["entry"] for e in browser.events if e.get("method") == "Log.entryAdded" and "favicon" not in json.dumps(e) and "401" not in json.dumps(e)]
        self.assertEqual(complaints, [])

    def test_a_post_can_be_tried_with_an_idempotency_key_and_shows_its_curl_line(self):
        browser = self.browser
        browser.navigate(f"http://127.0.0.1:{self.system.port}/docs")
        browser.wait_for("document.querySelectorAll('main details').length > 0")
        browser.evaluate("document.getElementById('export_products_async').querySelector('summary').click()")
        form = "document.querySelector('#export_products_async form')"
        browser.wait_for(f"{form} !== null")
        browser.evaluate(f"document.getElementById('token').value = {json.dumps(self.key)};"
                         f"{form}.querySelector('input[name=Idempotency-Key]').value = \"it's mine\";"
                         f"{form}.querySelector('textarea').value = '{{}}'; {form}.querySelector('button').click()")
        line = browser.wait_for("document.querySelector('#export_products_async .curl')?.innerText")
        self.assertNotIn(self.key, line)
        done = subprocess.run(["sh", "-c", line + " -s"], env={**os.environ, "KEY": self.key}, capture_output=True, text=True, timeout=30)
        shown = browser.evaluate("document.querySelector('#export_products_async [aria-live]').innerText")
        self.assertIn(json.loads(done.stdout)["job_id"], shown, "the same key is the same job")

    def test_markup_in_a_document_stays_text(self):
        """What a path or a description says is shown, not run."""
        self.browser.navigate(f"http://127.0.0.1:{self.system.port}/docs")
        self.browser.wait_for("document.querySelectorAll('main details').length > 0")
        self.assertTrue(self.browser.evaluate("make('p', {}, '<img src=x onerror=alert(1)>').children.length === 0"))

    def test_a_download_has_its_name(self):
        folder = self.system.directory / "downloads"
        folder.mkdir()
        self.browser.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True})
        link = self.system.mint(self.job, self.key).json["download_url"]
        self.browser.navigate(link)
        wait_until("the file", lambda: [p for p in folder.iterdir() if p.suffix == ".csv"])
        self.assertEqual([p.name for p in folder.iterdir()], ["Übersicht 2026.csv"])
        self.assertEqual((folder / "Übersicht 2026.csv").read_bytes(), self.system.fetch(link).body)


class CorsTest(SystemTest):
    """A page of another origin, in a real browser."""
    @classmethod
    def configure(cls, system):
        need("chromium")
        pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BlankPage)
        cls.addClassCleanup(pages.server_close)
        cls.addClassCleanup(pages.shutdown)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        cls.listed = f"http://127.0.0.1:{pages.server_port}"
        cls.other = f"http://localhost:{pages.server_port}"  # The same page, another origin.
        system.http_keys = f"cors_origins = {cls.listed}\n"

    @classmethod
    def prepare(cls, system):
        system.import_generated(20)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]
        cls.browser = Chromium(system.directory)
        cls.addClassCleanup(cls.browser.close)

    def fetch(self, url, options):
        """What `fetch` gives the page: status, some headers, the text; or "blocked"."""
        self.browser.evaluate("window.got = null; fetch(%s, %s).then(async r => { window.got = [r.status, r.headers.get('content-disposition'), "
                              "r.headers.get('x-request-id'), await r.text()]; }).catch(() => { window.got = 'blocked'; })"
                              % (json.dumps(url), json.dumps(options)))
        return self.browser.wait_for("window.got")

    def test_a_listed_page_reads_and_others_do_not(self):
        base = f"http://127.0.0.1:{self.system.port}"
        mint = f"{base}/api/products/export/{self.job}/download-url"
        options = {"headers": {"Authorization": f"Bearer {self.key}"}}
        self.browser.navigate(f"{self.listed}/")
        status, _, request_id, text = self.fetch(mint, options)
        self.assertEqual((status, bool(request_id)), (200, True))
        link = json.loads(text)["download_url"]
        status, disposition, _, text = self.fetch(link, {})
        self.assertEqual((status, text), (200, self.system.fetch(link).body.decode()))
        self.assertIn("attachment", disposition)
        status, _, _, text = self.fetch(f"{base}/api/products/export-async", {
            "method": "POST", "body": "{}", "headers": {**options["headers"], "Content-Type": "application/json", "Idempotency-Key": "from a page"}})
        self.assertEqual(status, 202, text)
        self.browser.navigate(f"{self.other}/")
        self.assertEqual(self.fetch(mint, options), "blocked")
        self.assertEqual(self.fetch(f"{base}/livez", {}), "blocked")


class BlankPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class DocsOffTest(unittest.TestCase):
    def test_the_page_can_be_switched_off(self):
        system = System()
        self.addCleanup(system.close)
        system.http_keys = "docs = off\n"
        system.start()
        self.assertEqual(system.http("GET", "/docs").status, 404)
        self.assertEqual(system.http("GET", "/openapi.json").status, 200)


class ClientsTest(SystemTest):
    @classmethod
    def prepare(cls, system):
        system.import_generated(3000)
        cls.key = system.make_key()
        cls.job = system.export()["job_id"]
        cls.link = system.mint(cls.job, cls.key).json["download_url"]
        cls.whole = system.fetch(cls.link).body

    def url(self):
        return f"http://127.0.0.1:{self.system.port}/api/products/export/{self.job}/download-url"

    def test_wget_resumes(self):
        need("wget")
        target = self.system.directory / "wget.csv"
        target.write_bytes(self.whole[:5000])
        subprocess.run(["wget", "-q", "-c", "-O", str(target), self.link], check=True, timeout=60)
        self.assertEqual(hashlib.sha256(target.read_bytes()).digest(), hashlib.sha256(self.whole).digest())

    def test_python_requests(self):
        import requests
        with requests.Session() as session:
            answer = session.get(self.url(), headers={"Authorization": f"Bearer {self.key}"}, timeout=30)
            self.assertEqual(list(answer.json()), ["download_url", "filename", "expires_in_seconds"])
            self.assertEqual(session.get(answer.json()["download_url"], timeout=30).content, self.whole)
            part = session.get(self.link, headers={"Range": "bytes=-100"}, timeout=30)
            self.assertEqual((part.status_code, part.content), (206, self.whole[-100:]))

    def test_node_fetch(self):
        need("node")
        script = """const [url, key] = process.argv.slice(1);
            const answer = await fetch(url, {headers: {Authorization: `Bearer ${key}`}});
            const {download_url} = await answer.json();
            const file = await fetch(download_url);
            const {createHash} = await import("node:crypto");
            console.log(createHash("sha256").update(Buffer.from(await file.arrayBuffer())).digest("hex"));"""
        done = subprocess.run(["node", "--input-type=module", "-e", script, self.url(), self.key], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stdout.strip(), hashlib.sha256(self.whole).hexdigest())

    def test_a_link_ends_with_its_file(self):
        """The file is the job's: once it is gone, so is every link."""
        job = self.system.export()["job_id"]
        link = self.system.mint(job, self.key).json["download_url"]
        self.assertEqual(self.system.fetch(link).status, 200)
        for path in self.system.files():
            if job in path.name:
                path.unlink()
        gone = self.system.fetch(link)
        self.assertEqual((gone.status, json.loads(gone.body)["detail"]), (410, "Export file is no longer available"))


if __name__ == "__main__":
    unittest.main()
