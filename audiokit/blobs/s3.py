"""A blob store in an S3 bucket: `PREFIXfiles/ab/abcdef…`, the same tree that a directory has.

Only what every store that calls itself S3 does alike is used: PUT with its length and sha256, GET of one range, HEAD,
DELETE, ListObjectsV2, presigned GET, and for what is large an upload in parts (parts.py).  Names are fresh and random,
so that a PUT needs no condition and one that comes late does no harm; an object is there whole or not at all.

`PREFIXstore-id` holds a word that the catalogue knows too, so that nothing is ever stored in, or removed from, a bucket
that belongs to another catalogue.  Never lists to answer anybody: lists may lag.  Raises what http_store.py raises.
"""

from __future__ import annotations

import email.utils
import errno
import io
import os
import re
import selectors
from datetime import datetime, timezone
from functools import partial
from hashlib import sha256 as sha256_of
from typing import Any, BinaryIO, Callable, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote
from xml.etree import ElementTree

from .directory import KEY
from .errors import StoreDown, StoreRefused
from .fileops import FileOps
from .flow import Cut, Flow
from .http_store import PATIENT, Answer, HttpStore, Patience, Request
from .parts import LARGEST, Parts, Sizes
from .place import Credentials, parse, settled

_PIECE = 1 << 18  # bytes read at once where somebody waits for them
_PAGE = 1000  # names a list gives at most
_MARK = "store-id"
_WORD = re.compile(r"[0-9a-f]{32}")
_HASTY = Patience(connect=1.0, silence=2.0, tries=1)  # who asks whether it is well does not wait until it is


class _Found(NamedTuple):
    """One object of a list."""

    name: str
    since: float  # seconds since 1970, by the store's clock


class S3Blobs:
    """Blobs in the bucket that `url` names; see place.py."""

    largest: Optional[int] = LARGEST
    is_far = True
    settles_s = 3600.0  # bytes that no row names may be an upload of another server until then

    def __init__(
        self, url: str, ops: FileOps, environment: Mapping[str, str] = os.environ, patience: Patience = PATIENT,
        say: Callable[[str], None] = lambda text: None, sizes: Optional[Sizes] = None,
    ) -> None:
        """`sizes`: what goes in one request; None: as `url` says."""
        place = settled(parse(url), environment)
        self._patience = patience
        self._ops = ops
        self._prefix = place.prefix
        self.text = f"{place.text} at {place.endpoint.authority}"
        self._store = HttpStore(place, Credentials(environment), environment, patience=patience, say=say)
        self._parts = Parts(self._store, self._prefix, sizes or Sizes.of(place.single), patience)

    def close(self) -> None:
        """End every connection; who waits for one fails now."""
        self._store.close()

    @property
    def is_resting(self) -> bool:
        """Whether it failed so often just now that nobody waits for it."""
        return self._store.is_resting

    def new_key(self) -> str:
        """A fresh key for `put`; nobody can guess it and none comes twice."""
        return os.urandom(16).hex()

    # -- one object ------------------------------------------------------------------------------------

    def put(self, key: str, file: BinaryIO, size: int, sha256: str) -> None:
        """Send the open file `file` (it has a `name`) to be the bytes of `key`, then remove it; durable by then.

        After an error the caller deletes `key`: the store may have taken the bytes and not said so.
        """
        self.send(key, file, size, sha256)
        file.close()  # Windows removes no open file
        self._ops.remove(file.name)

    def send(self, key: str, file: BinaryIO, size: int, sha256: str) -> None:
        """The same, and the file stays."""
        name = self._name(key)
        if self._parts.fits_one(size):
            self._store.ask(Request("PUT", name, body=file, size=size, sha256=sha256))
        else:
            self._parts.put(key, name, file, size, sha256, partial(self.size, key))

    def open(self, key: str, start: int, stop: int, size: int) -> Flow:
        """The bytes `start` to `stop` (exclusive) of `key`, which has `size`, on their way."""
        flow = Flow(self._store, self._name(key), size)
        flow.seek(start, stop)
        return flow

    def pieces(self, key: str) -> Iterator[memoryview]:
        """All bytes of `key` in order; each piece is only lent.  Waits for the store."""
        size = self.size(key)
        if size is None:
            raise FileNotFoundError(errno.ENOENT, "the store has no such object", key)
        yield from self.span(key, 0, size, size)

    def span(self, key: str, start: int, stop: int, size: int) -> Iterator[memoryview]:
        """The bytes `start` to `stop` (exclusive) of `key`, which has `size`, as `pieces` gives them."""
        if start >= stop:
            return
        flow, buffer = self.open(key, start, stop, size), memoryview(bytearray(min(_PIECE, stop - start)))
        try:
            while flow.position < stop:
                try:
                    yield flow.read(buffer)
                except BlockingIOError:
                    if not _wait(flow.fileno(), self._patience.silence):
                        flow.seek(flow.position, stop)
                except Cut:
                    flow.seek(flow.position, stop)
        finally:
            flow.close()

    def lend(self, key: str, path: str) -> None:
        """The bytes of `key` as a new file `path`, durable; FileNotFoundError when they are not there."""
        self.write(self.pieces(key), path)

    def write(self, pieces: Iterator[memoryview], path: str) -> None:
        """What `pieces` or `span` gives as a new file `path`, durable."""
        first = next(pieces, b"")  # before there is a file
        with open(path, "xb", buffering=0, opener=lambda name, _: self._ops.create(name)) as file:
            try:
                view = memoryview(first)
                while view:
                    view = view[self._ops.write(file, view):] or memoryview(next(pieces, b""))
                self._ops.sync(file.fileno())
            except BaseException:
                file.close()
                self._ops.remove(path)
                raise

    def size(self, key: str, patience: Optional[Patience] = None) -> Optional[int]:
        """How many bytes `key` has, None when it is not there."""
        try:
            answer = self._store.ask(Request("HEAD", self._name(key), patience=patience))
        except FileNotFoundError:
            # An answer to HEAD has no body: whether it is the object or the bucket that is missing, GET tells.
            return self._size_by_get(key, patience)
        return _length(answer)

    def _size_by_get(self, key: str, patience: Optional[Patience]) -> Optional[int]:
        try:
            answer = self._store.begin(Request("GET", self._name(key), patience=patience))
        except FileNotFoundError:
            return None
        self._store.drop(answer.line)  # it came to be meanwhile
        return _length(answer)

    def delete(self, key: str) -> None:
        """Remove the bytes of `key`; fine when they are not there."""
        try:
            self._store.ask(Request("DELETE", self._name(key)))
        except FileNotFoundError:
            pass

    def address(self, key: str, seconds: int, name: str, mime: str) -> str:
        """A URL by which whoever has it may fetch the bytes of `key` for so long, called so and of that type."""
        query = [("response-content-disposition", name), ("response-content-type", mime)]
        return self._store.presigned(self._name(key), seconds, query)

    # -- all of them -----------------------------------------------------------------------------------

    def scan(self, after: str = "", older_than_s: float = 0.0) -> Iterator[str]:
        """Every key behind `after`, in order, that has been there for so long by the store's own clock."""
        base = f"{self._prefix}files/"
        # An object made of parts may be told to be as old as the first of them: its note is not older than its end.
        young = self._parts.young(self._aged(self._parts.prefix), older_than_s) if older_than_s else ()
        for name, age in self._aged(base, f"{base}{after[:2]}/{after}" if after else ""):
            key = name[len(base) + 3:]
            if KEY.fullmatch(key) and name == self._name(key) and age >= older_than_s and key not in young:
                yield key

    def give_up(self, older_than_s: float = 0.0) -> int:
        """End uploads in parts that nobody has gone on with for so long; how many there were."""
        return self._parts.give_up(self._aged(self._parts.prefix), older_than_s, self._name)

    def _aged(self, prefix: str, after: str = "") -> Iterator[Tuple[str, float]]:
        """The names that begin so, behind `after`, and for how long each has been there."""
        while True:
            found, now = self._page(prefix, after)
            for one in found:
                yield one.name, max(0.0, now - one.since)  # some round the time of an object up, and now down
            if not found:
                return
            after = found[-1].name

    def _page(self, prefix: str, after: str) -> Tuple[List[_Found], float]:
        query = [("list-type", "2"), ("prefix", prefix), ("max-keys", str(_PAGE)), ("encoding-type", "url")]
        if after:
            query.append(("start-after", after))
        answer = self._store.ask(Request("GET", "", query))
        told = email.utils.parsedate_tz(answer.headers.get("date", ""))
        now = self._store.now() if told is None else float(email.utils.mktime_tz(told))
        found = sorted(_listed(answer.body or b""))
        if found and found[0].name <= after:
            raise StoreRefused(f"asked for the names behind {after!r}, the store lists {found[0].name!r}")
        return found, now

    # -- whose it is -----------------------------------------------------------------------------------

    def mark(self, is_hasty: bool = False) -> Optional[str]:
        """The word that says whose bucket (and prefix) this is; None when it says nothing."""
        try:
            answer = self._store.ask(Request("GET", self._prefix + _MARK, patience=_HASTY if is_hasty else None))
        except FileNotFoundError:
            return None
        word = (answer.body or b"").decode("latin-1").strip()
        if not _WORD.fullmatch(word):
            raise StoreRefused(f"{_MARK} in {self.text} is not ours")
        return word

    def set_mark(self, word: str) -> None:
        """Make the bucket (and prefix) the one that belongs to `word`."""
        body = word.encode("ascii")
        digest = sha256_of(body).hexdigest()
        self._store.ask(Request("PUT", self._prefix + _MARK, body=io.BytesIO(body), size=len(body), sha256=digest))

    def destroy(self) -> None:
        """Remove every key and the mark; what is not ours stays."""
        self.give_up()
        for key in self.scan():
            self.delete(key)
        self._store.ask(Request("DELETE", self._prefix + _MARK))

    def _name(self, key: str) -> str:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return f"{self._prefix}files/{key[:2]}/{key}"


def _length(answer: Answer) -> int:
    length = answer.headers.get("content-length", "")
    if not length.isdigit():
        raise StoreRefused("the store does not say how many bytes an object has")
    return int(length)


def _listed(document: bytes) -> Iterator[_Found]:
    """The objects in the answer to ListObjectsV2."""
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise StoreDown(f"the store's list is cut short: {error}") from None
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise StoreRefused(f"the store lists by {root.tag!r}")
    is_encoded = any(_local(child) == "EncodingType" for child in root)
    for child in root:
        if _local(child) == "Contents":
            members = {_local(member): member.text or "" for member in child}
            name = members.get("Key", "")
            # Some send a space as a plus; no name of ours has either.
            yield _Found(unquote(name) if is_encoded else name, _moment(members.get("LastModified", "")))


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2]


def _moment(text: str) -> float:
    """Seconds since 1970 of 2026-11-21T06:02:38.653Z."""
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise StoreRefused(f"{text!r} is no time of the store's") from None


def _wait(descriptor: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(seconds))
