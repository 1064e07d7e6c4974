"""Headless Chromium over its debugging pipe (--remote-debugging-pipe: JSON messages, each ended by a NUL, descriptors 3 and 4)."""
import base64
import json
import os
import select
import subprocess
import time

from functional.harness import PATIENCE_S, wait_until


class Chromium:
    def __init__(self, directory):
        to_read, self.to_browser = os.pipe()
        self.from_browser, to_write = os.pipe()
        # Whatever the numbers are here, they are 3 and 4 there.
        command = (f'exec 3<&{to_read} 4>&{to_write}; exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage '
                   f'--no-first-run --remote-debugging-pipe --user-data-dir="$0" about:blank')
        self.log = open(directory / "chromium.log", "wb")
        self.popen = subprocess.Popen(["/bin/bash", "-c", command, str(directory / "chromium")], pass_fds=[to_read, to_write],
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, "HOME": str(directory)})
        os.close(to_read)
        os.close(to_write)
        self.number = 0
        self.buffer = b""
        self.events = []
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.page(f"{domain}.enable")

    def read(self, until):
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.from_browser], [], [], left)[0]:
                raise AssertionError(f"Chromium does not answer; its log is {self.log.name}")
            data = os.read(self.from_browser, 1 << 20)
            if not data:
                raise AssertionError(f"Chromium has ended; its log is {self.log.name}")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, params=None, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self.read(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def page(self, method, params=None):
        return self.call(method, params, self.session)

    def evaluate(self, expression):
        """The value of a JavaScript expression; promises are awaited."""
        result = self.page("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"])
        return result["result"].get("value")

    def navigate(self, url):
        return self.page("Page.navigate", {"url": url})

    def wait_for(self, expression):
        return wait_until(expression, lambda: self.evaluate(expression))

    def screenshot(self, path, width=1100, height=1400):
        self.page("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        path.write_bytes(base64.b64decode(self.page("Page.captureScreenshot", {"format": "png"})["data"]))

    def close(self):
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            pass
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.log.close()
