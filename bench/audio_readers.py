"""The other readers of audio metadata that figures are held against.

`python()` makes a virtual environment with their pinned versions on first use, and says so where
the package index cannot be reached.  Run as a program inside it, with the name of one, it answers
each path on its standard input with a line of JSON: what that reader says, null where it refuses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

VENV = Path(__file__).resolve().parent.parent / ".venv-bench-audio"
TAGS = ("title", "artist", "album", "albumartist", "date", "track", "genre", "comment", "composer")


class Package(NamedTuple):
    """A package of the index."""

    name: str
    version: str


PACKAGES = (Package("tinytag", "2.3.2"), Package("mutagen", "1.48.1"))


def python() -> Optional[str]:
    """The interpreter that has the packages.

    None, with a word on the terminal, where it cannot be made.
    """
    program = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [f"{package.name}=={package.version}" for package in PACKAGES]
    probe = "import " + ", ".join(package.name for package in PACKAGES)
    if (
        program.exists()
        and subprocess.run([program, "-c", probe], capture_output=True).returncode == 0
    ):
        return str(program)
    try:
        venv.create(VENV, with_pip=True)
        command = [
            program,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *wanted,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=180)
    except (OSError, subprocess.SubprocessError):
        print(f"skipped: {' and '.join(wanted)} cannot be installed here")
        return None
    return str(program)


def readers() -> Dict[str, Callable[[str], Any]]:
    """What each peer calls reading a file; those that are not installed are left out."""
    found: Dict[str, Callable[[str], Any]] = {}
    try:
        from tinytag import TinyTag

        found["tinytag"] = TinyTag.get
    except ImportError:
        pass
    try:
        import mutagen

        found["mutagen"] = mutagen.File
    except ImportError:
        pass
    return found


def _tinytag(path: str) -> Optional[Dict[str, Any]]:
    tag = readers()["tinytag"](path)
    if not tag.duration and not tag.samplerate:
        return None  # it answers any name with an object
    tags = {"date": tag.year, "track": None if tag.track is None else str(tag.track)}
    for name in ("title", "artist", "album", "albumartist", "genre", "comment", "composer"):
        tags[name] = getattr(tag, name)
    return {
        "duration": tag.duration,
        "sample_rate": tag.samplerate,
        "channels": tag.channels,
        "tags": tags,
    }


def _mutagen(path: str) -> Optional[Dict[str, Any]]:
    import mutagen

    file = mutagen.File(path)
    if file is None or file.info is None:
        return None
    easy = mutagen.File(path, easy=True)
    tags: Dict[str, List[str]] = {}
    for name in TAGS:
        for key in {"date": ("date", "year"), "track": ("tracknumber", "track")}.get(name, (name,)):
            try:
                values = (easy.tags or {}).get(key)
            except (KeyError, ValueError):
                values = None
            if values:
                tags[name] = [
                    str(one).split("/")[0]
                    for one in (values if isinstance(values, list) else [values])
                ]
    info = file.info
    return {
        "duration": getattr(info, "length", None),
        "sample_rate": getattr(info, "sample_rate", None),
        "channels": getattr(info, "channels", None),
        "tags": tags,
    }


def main() -> None:
    """Answer the paths on standard input."""
    ask = {"tinytag": _tinytag, "mutagen": _mutagen}[sys.argv[1]]
    for line in sys.stdin:
        try:
            answer = ask(line.rstrip("\n"))
        except Exception:  # a peer's exceptions are its way to refuse, and some are its bugs
            answer = None
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
