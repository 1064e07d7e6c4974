"""Plugins that hang or are away: what callers, operators and the methods of others see of it."""
import unittest

from functional.harness import BUILD, System


class AwayTest(unittest.TestCase):
    def test_links_of_a_plugin_that_is_not_loaded_can_be_asked_for_again(self):
        system = System()
        self.addCleanup(system.close)
        (system.directory / "plugins" / "download_url.golden.jsonl").unlink()
        system.install("download_url.so", BUILD / "fixtures" / "download_url_hangs.so")
        system.extra = "[plugins]\nprobe_timeout_s = 2\nbake_s = 0\n"
        system.start()
        key = system.make_key()
        wire = system.wire()
        self.addCleanup(wire.close)
        error = wire.call("download_url.get", {"job_id": "x"}, key)["error"]
        self.assertEqual((error["code"], error["retryable"], error["executed"]), ("plugin_unavailable", True, "no"))
        self.assertRegex(error["message"], "^plugin download_url is not loaded, so 'download_url.get' is unavailable; .*exportctl status")
        away = system.mint("x", key)
        self.assertEqual((away.status, away.headers["Retry-After"]), (503, "10"))
        self.assertIn("is not loaded", away.json["detail"])
        self.assertEqual(system.api("GET", "/api/jobs/", key).status, 200)
        system.install("download_url.so", BUILD / "plugins" / "download_url.so")
        self.assertIn("COMMITTED", system.ctl("plugin", "reload", "download_url").stdout)
        self.assertEqual(system.mint("x", key).status, 404)
        self.assertEqual(system.daemon.stop(), 70)  # The load that hangs is left behind.


if __name__ == "__main__":
    unittest.main()
