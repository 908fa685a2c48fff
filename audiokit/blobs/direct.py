"""Pages of a new file on their way past the page cache, in other threads while the next ones come.

A large file that was just received is not read again soon.  Written in this way nothing of it is copied, no memory is
looked for to hold it, and when all is written nothing is left to be sent to the disk.  Never writes part of a page;
what is written is durable only after a sync of the file.  Raises OSError, of the first write that failed.
"""

from __future__ import annotations

import threading
from collections import deque
from mmap import PAGESIZE
from typing import Any, Deque, Optional, Tuple

from .fileops import FileOps


class DirectWriter:
    """Writes what is lent to it into one file, in `crew`'s threads.  Whoever lends, finishes and closes is one thread at a time."""

    def __init__(self, ops: FileOps, path: str, crew: Any) -> None:
        self._ops, self._crew = ops, crew
        self._descriptor = ops.open_direct(path)
        self._lent: Deque[Tuple[int, memoryview, Any]] = deque()  # where in the file, what, and whose
        self._changed = threading.Condition()
        self._under_way = 0
        self._error: Optional[Exception] = None

    def takes(self, position: int, count: int) -> int:
        """How many of `count` bytes it can write at `position`: whole pages at a page's beginning, if any at all."""
        return 0 if self._descriptor is None or position % PAGESIZE else count - count % PAGESIZE

    def lend(self, position: int, view: memoryview, piece: Any) -> None:
        """Have `view` written at `position`; its bytes stay as they are until `piece` is given back."""
        self._check()
        piece.keep()
        self._lent.append((position, view, piece))
        self._crew.submit(self._write_one)

    def finish(self) -> None:
        """All that was lent is in the file when this returns; writes here what nobody has begun."""
        while self._write_one():
            pass
        self._wait()
        self._check()

    def close(self) -> None:
        """Write nothing more, and let go of the file; harmless a second time."""
        with self._changed:
            while self._lent:
                self._lent.popleft()[2].give_back()
        self._wait()
        if self._descriptor is not None:
            self._ops.close(self._descriptor)
            self._descriptor = None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)

    def _write_one(self) -> bool:
        """Write one part, if there is any left."""
        with self._changed:
            if not self._lent:
                return False
            position, view, piece = self._lent.popleft()
            self._under_way += 1
        try:
            if self._error is None:
                self._ops.write_direct(self._descriptor, view, position)
        except Exception as error:  # a bug too: what is not in the file must not be taken for written
            self._error = error
        finally:
            piece.give_back()
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
        return True
