"""The log: one line a request, and the faults of ours, written by a thread of its own.

Never holds up the loop: a reader of standard error that stops reading costs lines (counted and said), not
answers.  Never writes what may be a credential: no header fields, no query.
"""

from __future__ import annotations

import json
import threading
import time
from queue import SimpleQueue
from typing import Any, Callable, Dict, Optional, TextIO, Tuple

_BACKLOG = 20_000  # lines that may wait for a slow reader: about 2 MB


def printable(text: str) -> str:
    """`text` with every control, separator and undecodable character escaped, so that it stays one line."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]


def _text_line(entry: Dict[str, Any]) -> str:
    return "{time} {client} {who} {method} {path} {status} {bytes} {ms:.1f}ms{note}".format(
        note="" if entry["whole"] else " broken", **dict(entry, status=entry["status"] or "-")
    )


def _json_line(entry: Dict[str, Any]) -> str:
    return json.dumps(entry)


class AccessLog:
    """Lines to `stream`, as `kind` says: "text", "json" or "none" (then only faults are written)."""

    def __init__(self, kind: str, stream: TextIO) -> None:
        self.is_on = kind != "none"
        self._line: Callable[[Dict[str, Any]], str] = _json_line if kind == "json" else _text_line
        self._audit_line = _json_line if kind == "json" else "{time} audit: {audit}".format_map
        self._stream = stream
        self._queue: SimpleQueue = SimpleQueue()
        self._lost = 0
        self._second: Tuple[int, str] = (0, "")
        self._thread: Optional[threading.Thread] = None
        self._starting = threading.Lock()  # workers report faults, and the loop requests

    def entry(self, connection: Any, note: Tuple[str, str, str], status: Optional[int], sent: int, whole: bool) -> None:
        """One request: `note` is (method, target, who), `sent` bytes with the head, `whole` unless broken.

        `status` is None where the client left before there was an answer.
        """
        self._put((time.time(), connection.handler.client_host, note, status, sent, time.monotonic() - connection.started, whole))

    def bug(self, number: str, text: str) -> None:
        """A fault of ours, with the id that its answer carried."""
        self._put(f"audioserver: internal error {number}\n{text}")

    def audit(self, text: str) -> None:
        """A line about who may come in: what was changed, who was refused."""
        if self.is_on:
            now = time.time()
            self._put(self._audit_line({"time": self._time(now), "audit": printable(text)}) + "\n")

    def say(self, text: str) -> None:
        """A line of the program's own."""
        self._put(f"audioserver: {printable(text)}\n")

    def close(self) -> None:
        """Write what is waiting; give up on a reader that does not read."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(2.0)
            self._thread = None

    def _put(self, item: Any) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                    self._thread.start()
        if self._queue.qsize() >= _BACKLOG:
            self._lost += 1
            return
        self._queue.put(item)

    def _run(self) -> None:
        ended = False
        while not ended:
            lines = []
            item = self._queue.get()
            while True:
                if item is None:
                    ended = True
                    break
                lines.append(item if isinstance(item, str) else self._format(item))
                if self._queue.empty() or len(lines) >= 1000:
                    break
                item = self._queue.get()
            if self._lost:
                lines.append(f"audioserver: {self._lost} lines of the log were lost, nobody read them\n")
                self._lost = 0
            try:
                self._stream.write("".join(lines))
                self._stream.flush()
            except (OSError, ValueError):  # standard error is gone: serving matters more
                pass

    def _time(self, now: float) -> str:
        known, second = self._second, int(now)
        if known[0] != second:
            self._second = known = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return "%s.%03dZ" % (known[1], now % 1 * 1000)

    def _format(self, item: tuple) -> str:
        now, client, (method, target, who), status, sent, seconds, whole = item
        entry = {
            "time": self._time(now),
            "client": client,
            "who": who,
            "method": printable(method) or "-",
            "path": printable(target.split("?", 1)[0]) or "-",
            "status": status,
            "bytes": sent,
            "ms": round(seconds * 1000, 1),
            "whole": whole,
        }
        return self._line(entry) + "\n"
