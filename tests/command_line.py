"""The program's command line, typed in this process: an interpreter of its own costs more than what most commands do.

That it works as a process, with true pipes and signals, some tests of each command see to.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NamedTuple

import audioserver


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*words, stdin="", encoding="utf-8"):
    """One command from its words to its exit status, where standard output and error speak `encoding`."""
    out = io.TextIOWrapper(io.BytesIO(), encoding, newline="")
    err = io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace", newline="")
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8")), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = audioserver.main(list(map(str, words)))
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdin = before
    return Done(status, *map(_text, (out, err)))


def _text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)
