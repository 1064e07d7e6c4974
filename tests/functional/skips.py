"""What a run leaves out, and how it says so: peers that are missing, and tests of the full form.

A peer is a program or a set of files that this project does not bring: a browser, a proxy, an SDK. A test that uses one
calls need() first. A missing peer is a skip whose reason names the package that brings it; tests/run_module.py reports it.
"""
import os
import shutil
import unittest

# Peer, as `scripts/test --without` takes it: what brings it. `postgresql` and `vectors` are used by the unit tests.
PEERS = {
    "buildah": "install buildah mmdebstrap",
    "caddy": "install caddy",
    "chromium": "install chromium",
    "clang-format": "install clang-format",
    "libreoffice": "install libreoffice-calc-nogui",
    "man": "install man-db",
    "nginx": "install nginx-light",
    "node": "install nodejs npm",
    "patroni": "install patroni etcd-server",
    "pgbouncer": "install pgbouncer",
    "postgresql": "install postgresql-15",
    "prometheus": "install prometheus",
    "pyflakes": "install pyflakes3",
    "rust": "install rustc cargo",
    "shellcheck": "install shellcheck",
    "slowhttptest": "install slowhttptest",
    "systemd": "install systemd",
    "systemd-nspawn": "install systemd-container mmdebstrap",
    "vectors": "set EXPORT_WORKER_VECTORS_DIR",
    "wget": "install wget",
    "wrk": "install wrk",
    "zsh": "install zsh",
}
LEFT_OUT = "left out by --without "  # A reason that begins like this was asked for; it does not count as a skip.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # Debian leaves these out of a user's PATH; nginx is there.


def find_program(name):
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def need(peer, program=None):
    """Path of the peer's program (named like the peer unless given). Skips the test if it is missing or left out."""
    if peer in os.environ.get("EXPORT_WORKER_WITHOUT", "").split(","):
        raise unittest.SkipTest(LEFT_OUT + peer)
    path = find_program(program or peer)
    if path is None:
        raise unittest.SkipTest(f"{program or peer} is missing; {PEERS[peer]}")
    return path


def sqlite_only(test):
    """Decorator of a method or class: about the files of SQLite, so absent from a run with EXPORT_WORKER_DATABASE=postgres."""
    test.sqlite_only = True
    return test


def full_form(test):
    """Decorator of a method or class: part of the full form only (EXPORT_WORKER_FORM=full), absent from the short one."""
    test.full_form_only = True
    return test
