"""Where uploads are until they are kept: temporary files in one folder, and the room that is left for them.

A file here is nobody's yet.  Whatever happens to its upload, nothing of it stays: it is kept, which moves it away, or
discarded; what a crash leaves goes at the next start.  Never takes the last of the disk: some space is kept free, and
what uploads under way have been promised counts as taken.  Raises `Refusal` `no-space`, and OSError for a disk that fails.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

from .blobs.direct import DirectWriter
from .blobs.fileops import FileOps
from .failures import refusal_of
from .wire.problems import Refusal
from .wire.workers import Workers, raised

AHEAD_BYTES = 8 << 20  # so often an upload's bytes are sent to the disk, and so far ahead it has blocks reserved
DIRECT_BYTES = 64 << 20  # of a file from which on it may be written past the page cache: smaller ones are likely to be read soon
_WRITERS = 2  # threads that write so, while others receive: the disk has the next write when it ends one
LOOK_BYTES = 32 << 20  # an upload of unknown length looks for free space once in so many bytes


@contextmanager
def _in_words() -> Iterator[None]:
    """What a failing disk means for whoever uploads."""
    try:
        yield
    except OSError as error:
        raise refusal_of(error) from error


class Upload:
    """One upload's temporary file.  A context manager that discards it unless it was kept."""

    def __init__(self, spool: Spool, path: str, expected: Optional[int], is_there: bool = False) -> None:
        self.path = path
        self.expected = expected  # bytes, None when nobody said
        self._spool = spool
        self._ops = spool.ops
        self._written = 0
        self._look_at = LOOK_BYTES
        self._reserved = self._begun = 0
        self.counted = 0  # bytes that the spool counts as taken by us
        self._direct: Optional[DirectWriter] = None
        self._is_over = False
        make = None if is_there else lambda name, _: self._ops.create(name)
        self.file = open(path, "r+b", buffering=0, opener=make)

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def fileno(self) -> int:
        """The descriptor, for whoever moves bytes without us; then set `written`."""
        return self.file.fileno()

    @property
    def written(self) -> int:
        """Bytes that are in the file.  Setting it sees, now and then, to room for more."""
        return self._written

    @written.setter
    def written(self, count: int) -> None:
        self._written = count
        self._spool.count(self)
        if count >= self._look_at:
            self._look_at = count + LOOK_BYTES
            if self.expected is None or count > self.expected:
                self._spool.check_room(0)

    def _look_ahead(self) -> None:
        """Have the disk begin with what was written, and find blocks for what comes."""
        if self._written - self._begun >= AHEAD_BYTES:
            self.begin_sync()
        if AHEAD_BYTES <= self._written and self._reserved < min(self._written + AHEAD_BYTES, self.expected or 0):
            self._reserve()

    def begin_sync(self) -> None:
        """Have what is there go to the disk while more comes, or while it is looked at; does not wait."""
        self._begun = self._written
        self._ops.begin_sync(self.file.fileno())

    def _reserve(self) -> None:
        """Blocks for what comes next, never far ahead: a promised length alone must not fill the disk."""
        start = max(self._written, self._reserved)
        self._reserved = min(start + 2 * AHEAD_BYTES, self.expected)
        self._ops.reserve(self.file.fileno(), start, self._reserved - start)
        self._spool.count(self)

    @property
    def promised(self) -> int:
        """Bytes that are still to come and have no blocks yet."""
        return max(0, (self.expected or 0) - max(self._written, self._reserved))

    def write(self, data: Any) -> None:
        """Append bytes; Refusal `no-space` when the disk is full."""
        view = memoryview(data)
        with _in_words():
            while view:
                count = self._ops.write(self.file, view)
                view = view[count:]
                self.written += count
                self._look_ahead()

    def lend(self, view: memoryview, piece: Any) -> None:
        """Append bytes that last until `piece` is given back; of a large file they may be written a little later.

        `settle` waits for that.  Refusal `no-space`, of these bytes or of earlier ones.
        """
        if self._direct is None and (self.expected or 0) >= DIRECT_BYTES:
            self._direct = DirectWriter(self._ops, self.path, self._spool.crew)
        count = 0 if self._direct is None else self._direct.takes(self._written, len(view))
        if count:
            with _in_words():
                self._direct.lend(self._written, view[:count], piece)
            self._begun += count
            self.written += count
            self.file.seek(self._written)
        self.write(view[count:])

    def settle(self) -> None:
        """All that was lent is in the file when this returns; Refusal `no-space` when the disk is full."""
        if self._direct is not None:
            with _in_words():
                self._direct.finish()

    def discard(self) -> None:
        """Leave nothing of it; harmless after `keep` and a second time."""
        if self._is_over:
            return
        self.give_away()
        self.file.close()
        self._spool.remove(self.path)

    def move_to(self, path: str) -> None:
        """Close the file and give it to whoever asks, as `path` in the same file system; the upload is over."""
        self.file.close()  # Windows renames no open file
        self._ops.rename(self.path, path)
        self.give_away()

    def give_away(self) -> None:
        """The file has moved to the blob store."""
        self._is_over = True
        if self._direct is not None:
            self._direct.close()
        self._spool.is_over(self)


class Spool:
    """The uploads under way.  Thread-safe."""

    def __init__(self, folder: Path, ops: FileOps, kept_free: int, leave_for_sweep: Callable[[], None]) -> None:
        """In `folder`, which is made; `kept_free` bytes of its disk stay free.

        `leave_for_sweep` is called when a file could not be removed and the next start must look.
        """
        self.ops, self.leave_for_sweep = ops, leave_for_sweep
        self.folder, self.kept_free = folder, kept_free
        self.crew = Workers(_WRITERS, "disk", raised)
        self._uploads: Dict[str, Upload] = {}
        self._promised = 0  # of all of them: to add it up anew for each of 9,000 would take seconds
        self._lock = threading.Lock()
        ops.make_directory(str(folder))

    @property
    def free(self) -> int:
        """Bytes that may still be written, less than 0 when those kept free are not there; OSError."""
        return self.ops.free_bytes(str(self.folder)) - self.kept_free

    def check_room(self, expected: Optional[int]) -> None:
        """Refusal `no-space` unless there is room for `expected` bytes beside what is promised."""
        free = self.free - self._promised
        if free < (expected or 0):
            raise Refusal("no-space", f"{expected or 0} bytes are to be stored, there is room for {max(0, free)}")

    def begin(self, expected: Optional[int]) -> Upload:
        """A temporary file for `expected` bytes (None when nobody knows); Refusal `no-space`."""
        self.check_room(expected)
        with _in_words():
            return self._add(Upload(self, self._fresh(), expected))

    def take_in(self, path: str) -> Upload:
        """A file made elsewhere in the same file system as if it had been received; it is moved, or removed."""
        spooled = self._fresh()
        self.ops.rename(path, spooled)
        try:
            upload = Upload(self, spooled, None, is_there=True)
        except BaseException:
            self.remove(spooled)
            raise
        try:
            upload.written = os.fstat(upload.fileno()).st_size
        except BaseException:
            upload.discard()
            raise
        return self._add(upload)

    def remove(self, path: str) -> None:
        """Remove a file of the folder; what cannot be removed now goes at the next start."""
        try:
            self.ops.remove(path)
        except FileNotFoundError:
            pass
        except OSError:
            self.leave_for_sweep()

    def _fresh(self) -> str:
        return str(self.folder / (os.urandom(16).hex() + ".part"))

    def _add(self, upload: Upload) -> Upload:
        with self._lock:
            self._uploads[upload.path] = upload
        self.count(upload)
        return upload

    def count(self, upload: Upload) -> None:
        """What an upload is promised may have changed."""
        with self._lock:
            if upload.path in self._uploads:
                promised = upload.promised
                self._promised += promised - upload.counted
                upload.counted = promised

    def is_over(self, upload: Upload) -> None:
        """An upload tells that it needs no room any more."""
        with self._lock:
            if self._uploads.pop(upload.path, None) is not None:
                self._promised -= upload.counted

    def sweep(self) -> None:
        """Remove what a crash left; before the first upload."""
        for path in self.folder.glob("*.part"):
            self.ops.remove(str(path))

    def close(self) -> None:
        """Discard what is still under way."""
        with self._lock:
            uploads = list(self._uploads.values())
        for upload in uploads:
            upload.discard()
        self.crew.close()
