"""What is too large for one PUT goes to an S3 store in parts, which become one object at the end or none.

    1 CreateMultipartUpload           crash: an upload without a part, which holds no bytes
    2 a note of it, PREFIXparts/…     crash, from here on: the collector reads the note, has the store forget the parts
    3 UploadPart, one after another   and removes the note, when that is as old as the grace; until the end it is kept young
    4 CompleteMultipartUpload         crash: an object without a row, which the collector removes as any other
    5 its size is asked for

The note stays, whatever the end is, until the collector comes: a part that was on its way when the others were given up
may arrive behind that, and some stores say of an object that it is as old as the beginning of its upload.  So nothing
depends on ListMultipartUploads, of which no two stores have the same idea.

Each part goes with its own sha256, which is signed, and with its MD5, which is what every store compares; all parts
together have to have the sha256 of the file before the object is made.  The ETag of a part is given back as it came; that
of the object, of which no two stores have the same idea either, is never read.  Raises what http_store.py raises, and
OSError where the file is not what it was.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import re
import time
from typing import Any, BinaryIO, Callable, Iterator, List, NamedTuple, Optional, Set, Tuple
from xml.etree import ElementTree

from .errors import StoreDown, StoreError, StoreRefused
from .http_store import HttpStore, Patience, Request

MOST_PARTS = 1000  # of one object: what Swift takes by default; AWS takes 10,000
LARGEST_PUT = 5 << 30  # bytes of one PUT and of one part: "Amazon S3 multipart upload limits", and Swift's and Ceph's default
SMALLEST_PART = 5 << 20  # bytes of any but the last, by the same page
LARGEST = MOST_PARTS * LARGEST_PUT  # bytes of one object; AWS takes 5 TiB
_RENEWED_S = 60.0  # so old a note is written anew while its upload goes on: the grace may be minutes
_LONGEST_S = 300.0  # of the tries of one part; of making one object of all, and of the first look at it: rclone hashes it then
_PIECE = 1 << 18  # bytes hashed at once
_LONGEST_ID = 4096  # characters of an upload's id; AWS's have some 130
_NOTE = re.compile(r"([0-9a-f]{32})\.[0-9a-f]{16}")


class Sizes(NamedTuple):
    """What goes in one request, in bytes."""

    # Ten seconds of a gigabit line.  A PUT that fails is sent again from its beginning, and not at all when it took
    # longer than http_store.py tries; below, one PUT is faster than parts at every store that was measured.
    single: int = 1 << 30
    part: int = 64 << 20

    @classmethod
    def of(cls, single: Optional[int]) -> Sizes:
        """These where an address says what goes in one PUT; None: the usual ones."""
        return cls() if single is None else cls(single, min(single, cls().part))

    def of_parts(self, size: int) -> int:
        """Bytes of each part but the last of a file of so many: as many parts as a store takes."""
        return max(self.part, -(-size // MOST_PARTS))


class Parts:
    """Sends large files to the store under `prefix`, and ends what others left half sent.  Thread-safe."""

    def __init__(self, store: HttpStore, prefix: str, sizes: Sizes, patience: Patience) -> None:
        self._store, self._prefix, self._sizes = store, f"{prefix}parts/", sizes
        self._hasty = patience._replace(tries=1, silence=min(patience.silence, 2.0), answer=min(patience.answer, 5.0))
        # A part may take minutes by itself, and is worth another try then; so may making one object of all parts.
        self._patience = patience._replace(deadline=max(patience.deadline, _LONGEST_S))
        self._patient = self._patience._replace(
            silence=max(patience.silence, _LONGEST_S), answer=max(patience.answer, _LONGEST_S),
        )

    def fits_one(self, size: int) -> bool:
        """Whether a file of so many bytes goes in one PUT."""
        return size <= self._sizes.single

    def put(
        self, key: str, name: str, file: BinaryIO, size: int, sha256: str, size_of: Callable[[Patience], Optional[int]],
    ) -> None:
        """Make the open `file` the object `name`; `size_of` asks the store for its size.

        After an error what was sent is given up, as far as the store can be told.
        """
        upload = self._begin(name)
        note = _Note(self._store, f"{self._prefix}{key}.{os.urandom(8).hex()}", upload)
        try:
            tags = self._send(name, upload, note, file, size, sha256)
            self._complete(name, upload, tags)
            found = size_of(self._patient)
            if found != size:
                raise StoreDown(f"of {size} bytes that were sent in parts the store has {found}")
        except BaseException:
            self._abort(name, upload, self._hasty)
            raise

    def _begin(self, name: str) -> str:
        answer = self._store.ask(Request("POST", name, [("uploads", "")], body=io.BytesIO()))
        upload = _member(answer.body or b"", "UploadId")
        if not upload or len(upload) > _LONGEST_ID:
            raise StoreRefused("the store begins an upload in parts and does not say which")
        return upload

    def _send(self, name: str, upload: str, note: _Note, file: BinaryIO, size: int, sha256: str) -> List[str]:
        """Send all parts; their tags."""
        whole, tags, most = hashlib.sha256(), [], self._sizes.of_parts(size)
        for start in range(0, size, most):
            note.keep_young()
            part = _Part(file, start, min(most, size - start))
            tags.append(self._send_one(name, upload, len(tags) + 1, part, whole))
        if whole.hexdigest() != sha256:
            raise OSError(errno.EIO, "the file changed on this disk while it was sent to the store")
        return tags

    def _send_one(self, name: str, upload: str, number: int, part: _Part, whole: Any) -> str:
        sha256, md5 = part.digests(whole)
        try:
            answer = self._store.ask(Request(
                "PUT", name, [("partNumber", str(number)), ("uploadId", upload)],
                headers=() if md5 is None else (("Content-MD5", md5),), body=part, size=part.size, sha256=sha256,  # type: ignore[arg-type]
                patience=self._patience,
            ))
        except FileNotFoundError:
            raise StoreDown(f"the store forgot an upload before its part {number}") from None
        tag = answer.headers.get("etag", "")
        if not tag:
            raise StoreRefused("the store takes a part and does not give it a tag")
        return tag

    def _complete(self, name: str, upload: str, tags: List[str]) -> None:
        root = ElementTree.Element("CompleteMultipartUpload")
        for number, tag in enumerate(tags, 1):
            part = ElementTree.SubElement(root, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = tag
        body = ElementTree.tostring(root)
        try:
            self._store.ask(Request(
                "POST", name, [("uploadId", upload)], body=io.BytesIO(body), size=len(body),
                sha256=hashlib.sha256(body).hexdigest(), patience=self._patient,
            ))
        except FileNotFoundError:
            pass  # another try was heard before, and its answer lost: whether the object is there, its size will tell

    def _abort(self, name: str, upload: str, patience: Optional[Patience] = None) -> None:
        """Have the store forget the parts; with a `patience` of its own what fails is the collector's."""
        try:
            self._store.ask(Request("DELETE", name, [("uploadId", upload)], patience=patience))
        except FileNotFoundError:
            pass
        except StoreError:
            if patience is None:
                raise

    # -- what was begun --------------------------------------------------------------------------------

    def young(self, notes: Iterator[Tuple[str, float]], older_than_s: float) -> Set[str]:
        """The keys of uploads whose notes, given with their ages, are not yet so old."""
        found = [(_NOTE.fullmatch(name[len(self._prefix):]), age) for name, age in notes]
        return {match.group(1) for match, age in found if match is not None and age < older_than_s}

    def give_up(self, notes: Iterator[Tuple[str, float]], older_than_s: float, name_of: Callable[[str], str]) -> int:
        """End every upload whose note is so old, and remove the note; how many there were.

        Of an upload that has become an object the store knows nothing any more: nothing happens to that.
        """
        count = 0
        for note, age in notes:
            match = _NOTE.fullmatch(note[len(self._prefix):])
            if match is None or age < older_than_s:
                continue
            try:
                answer = self._store.ask(Request("GET", note))
            except FileNotFoundError:
                continue  # another server was faster
            self._abort(name_of(match.group(1)), (answer.body or b"").decode("utf-8", "replace"))
            self._store.ask(Request("DELETE", note))
            count += 1
        return count

    @property
    def prefix(self) -> str:
        """What every note's name begins with."""
        return self._prefix


class _Note:
    """That an upload was begun: an object of its own, since uploads themselves cannot be listed everywhere."""

    def __init__(self, store: HttpStore, name: str, upload: str) -> None:
        self._store, self._name, self._body = store, name, upload.encode()
        self._since: Optional[float] = None

    def keep_young(self) -> None:
        """Write it, if that was not done just now."""
        now = time.monotonic()
        if self._since is None or now - self._since >= _RENEWED_S:
            digest = hashlib.sha256(self._body).hexdigest()
            self._store.ask(Request("PUT", self._name, body=io.BytesIO(self._body), size=len(self._body), sha256=digest))
            self._since = now


class _Part:
    """Some of a file, read as if it were one."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self.size = file, start, size

    def seek(self, position: int) -> None:
        """Read on from there."""
        self._file.seek(self._start + position)

    def readinto(self, view: memoryview) -> Optional[int]:
        """The next bytes; whoever reads stops at the end."""
        return self._file.readinto(view)  # type: ignore[attr-defined]

    def digests(self, whole: Any) -> Tuple[str, Optional[str]]:
        """Its sha256 in hex and its MD5 as Content-MD5 has it, None where there is none; `whole` hashes it too."""
        sha256, md5 = hashlib.sha256(), _md5()
        view, left = memoryview(bytearray(_PIECE)), self.size
        self.seek(0)
        while left:
            count = self.readinto(view[: min(left, _PIECE)])
            if not count:
                raise OSError(errno.EIO, f"the file ends {left} bytes early")
            for one in (sha256, whole, md5):
                if one is not None:
                    one.update(view[:count])
            left -= count
        return sha256.hexdigest(), None if md5 is None else base64.b64encode(md5.digest()).decode("ascii")


def _md5() -> Any:
    """An MD5, if this machine has one: where only approved algorithms are, it does not, and the sha256 has to do."""
    try:
        return hashlib.md5()
    except ValueError:
        return None


def _member(document: bytes, name: str) -> str:
    """The text of a member of an answer; "" where it has none."""
    try:
        root = ElementTree.fromstring(document.strip())
    except ElementTree.ParseError as error:
        raise StoreDown(f"the store's answer is cut short: {error}") from None
    return next((child.text or "" for child in root if child.tag.rpartition("}")[2] == name), "")
