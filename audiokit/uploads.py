"""One upload on its way in: from the bytes of a body to a record of the catalogue.

The bytes go to a temporary file of the storage; the sha256 is taken behind the writer by another thread; when
all is there the content is looked at, and kept or refused.  Nothing here knows sockets or SQL.  Raises
`Refusal`; whatever happens, `abandon` leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .digests import BEHIND, FollowingDigest, WritingDigest
from .formats.info import AudioInfo, Damaged, NotAudio
from .held import Held
from .names import valid_name
from .parameters import bad, twice
from .wire.answers import Sink
from .wire.company import Work, alone
from .wire.fields import parse_content_disposition, parse_digest_field
from .wire.multipart import Field, MultipartParser, PartBegin, PartData, PartEnd, boundary_of
from .wire.problems import Refusal
from .wire.responses import Response, json_response
from .wire.targets import split_query

_SMALL = 1 << 16  # bytes of a body that one read takes
METADATA_KEYS = 64  # uploader's own fields a file may have
METADATA_BYTES = 16 << 10  # bytes of UTF-8 they may take together: a record stays a page, not a book


class Promises(NamedTuple):
    """The sha-256 that a client promises (RFC 9530), before its body or as trailers behind it."""

    audio: Optional[bytes]  # Repr-Digest
    message: Optional[bytes]  # Content-Digest: the body as sent

    @classmethod
    def of(cls, fields: Dict[str, str]) -> Promises:
        """What header fields or trailers promise; Refusal for what is no digest."""
        return cls(*[parse_digest_field(fields.get(name, "")).get("sha-256") for name in ("repr-digest", "content-digest")])


class Wishes(NamedTuple):
    """What the request's head and parameters say of an upload."""

    name: Optional[str]  # from name= or Content-Disposition
    overwrite: bool
    metadata: Dict[str, str]
    promises: Promises  # what the client says of the bytes
    boundary: Optional[bytes]  # of multipart/form-data, else None
    length: Optional[int]  # Content-Length, None for chunked
    is_message_hashed: bool  # whether a digest of the message, and not of the audio alone, is to be held against it

    @classmethod
    def of(cls, request: Any, name: Optional[str], overwrite: bool, metadata: Dict[str, str]) -> Wishes:
        """These, and what the header fields of `request` say of its body; Refusal where it is not the audio itself."""
        fields = request.fields
        check_is_itself(fields)
        kind = fields.get("content-type", "").split(";")[0].strip().lower()
        promises = Promises.of(fields)
        announced = {name.strip(" \t").lower() for name in fields.get("trailer", "").split(",")}
        return cls(
            name, overwrite, metadata, promises,
            boundary_of(fields["content-type"]) if kind == "multipart/form-data" else None,
            request.framing.length, promises.message is not None or "content-digest" in announced,
        )

    @property
    def size(self) -> Optional[int]:
        """Bytes of the audio, where that is known: a form's length is not its file's."""
        return self.length if self.boundary is None else None


def check_is_itself(fields: Dict[str, str]) -> None:
    """Refuse a body under a coding, which would be kept as something else than it is, and a part of one.

    `curl -C` and `curl -r` send a Content-Range with POST, too, and would leave a piece as the file.
    """
    codings = {coding.strip(" \t").lower() for coding in fields.get("content-encoding", "").split(",")}
    if codings - {"", "identity"}:
        raise Refusal(
            "not-audio", f"Content-Encoding: {fields['content-encoding'][:80]!r}: audio is taken as it is, under no coding",
            headers=[("Accept-Encoding", "identity")],  # RFC 9110 sections 12.5.3 and 15.5.16
        )
    if "content-range" in fields:  # section 14.5
        raise Refusal("bad-request", f"Content-Range: {fields['content-range'][:80]!r}: a file is taken whole, not in parts")


def disposed_name(fields: Dict[str, str]) -> Optional[str]:
    """The name that Content-Disposition gives, `filename*` before `filename`; None where there is none."""
    if "content-disposition" not in fields:
        return None
    _, plain, extended = parse_content_disposition(fields["content-disposition"])
    return plain if extended is None else extended


def wishes_of(request: Any) -> Wishes:
    """What the head of an upload says; Refusal for whatever it alone makes impossible, a quota apart."""
    services, framing = request.services, request.framing
    most = services.storage.most(services.settings.max_upload)
    if not framing.is_given:
        raise Refusal("length-required", "an upload needs Content-Length or Transfer-Encoding: chunked")
    name, overwrite, metadata = parameters(split_query(request.head.query))
    name = disposed_name(request.fields) if name is None else name
    wishes = Wishes.of(request, name, overwrite, metadata)
    framing.check_fits(most)
    if name is not None:
        valid_name(name)
    services.storage.check_room(framing.length)
    return wishes


def parameters(pairs: List[Tuple[str, str]]) -> Tuple[Optional[str], bool, Dict[str, str]]:
    """`name`, `overwrite` and `meta.KEY` out of query or form parameters; Refusal names a wrong one."""
    name: Optional[str] = None
    overwrite: Optional[bool] = None
    metadata: Dict[str, str] = {}
    for key, value in pairs:
        if key == "name":
            if name is not None:
                raise twice(key)
            name = value
        elif key == "overwrite":
            if overwrite is not None:
                raise twice(key)
            if value not in ("true", "false"):
                raise bad(key, f"overwrite is {value!r}, not true or false")
            overwrite = value == "true"
        elif key.startswith("meta."):
            if key[5:] in metadata:
                raise twice(key)
            metadata[key[5:]] = value
        else:
            raise bad(key, f"there is no parameter {key!r} here")
    check_metadata(metadata)
    return name, bool(overwrite), metadata


def check_metadata(metadata: Dict[str, str]) -> None:
    """Refuse metadata with an empty or overlong key, or too much of it."""
    for key, value in metadata.items():
        if not key or len(key) > 100 or not key.isprintable():
            raise bad("meta." + key, f"{key!r} is no key of 1 to 100 characters")
        if any(ord(c) < 32 and c not in "\t\n" or 0xD800 <= ord(c) < 0xE000 or ord(c) == 127 for c in value):
            raise bad("meta." + key, f"meta.{key} has a control character")
    total = sum(len(k.encode()) + len(v.encode()) for k, v in metadata.items())
    if len(metadata) > METADATA_KEYS or total > METADATA_BYTES:
        raise Refusal(
            "bad-parameter", f"{len(metadata)} metadata fields of {total} bytes; {METADATA_KEYS} fields and "
            f"{METADATA_BYTES} bytes are taken", parameter="meta", limit=METADATA_BYTES,
        )


class ReceivingSink(Sink):
    """A body that is audio, on its way into a temporary file; whoever derives from it says what then."""

    def __init__(
        self, wishes: Wishes, storage: Any, identify: Callable[[Any, int], AudioInfo], crew: Any,
        portable: bool = False, room: Optional[int] = None,
    ) -> None:
        """`room`: bytes of audio that a quota leaves, None for any number."""
        self._wishes, self._storage, self._identify, self._crew = wishes, storage, identify, crew
        self._room = room
        # What comes in one piece is hashed as it passes: reading it back would cost more than it saves.
        self._follows = hasattr(os, "preadv") and not portable and (wishes.length is None or wishes.length > _SMALL)
        self._upload: Any = None
        self._digest: Any = None
        self._message = hashlib.sha256() if wishes.boundary and wishes.is_message_hashed else None
        self._promises = [wishes.promises]
        self._form = Form(wishes.boundary) if wishes.boundary else None

    def open(self) -> None:
        """Make the temporary file; Refusal `no-space` when there is no room for it."""
        self._upload = self._storage.begin_upload(self._wishes.length)
        fd = self._upload.fileno()
        self._digest = FollowingDigest(fd, self._crew) if self._follows else WritingDigest()

    def write(self, piece: memoryview) -> None:
        """Take bytes of the body."""
        if self._form is None:
            self._store(piece)
            return
        if self._message is not None:
            self._message.update(piece)
        for data in self._form.feed(piece):
            self._store(data)

    def lend(self, view: memoryview, piece: Any) -> None:
        """Take bytes of the body, and hash them where they are."""
        if self._form is None:
            self._store(view, piece)
        else:
            self.write(view)

    def trailed(self, fields: Dict[str, str]) -> None:
        """Take digests that were known when all was sent, as of who streams (RFC 9530 sections 2 and 3)."""
        promises = Promises.of(fields)
        if promises.message is not None and self._form is not None and self._message is None:
            raise Refusal("bad-request", "a form's Content-Digest behind it has to be announced: Trailer: Content-Digest")
        self._promises.append(promises)

    def abandon(self) -> None:
        """Leave nothing behind; harmless after `finish`."""
        upload, self._upload = self._upload, None
        if upload is not None:
            if self._follows:
                self._digest.close()
            upload.discard()

    def _check_room(self, count: int) -> None:
        """A body of unknown length ends where the quota does, not where the disk does."""
        if self._room is not None and self._upload.written + count > self._room:
            raise self._over_room()

    def _over_room(self) -> Refusal:
        return Refusal("over-quota", f"there is room for {self._room} bytes, and more come", close=True, limit=self._room)

    def _store(self, view: memoryview, piece: Any = None) -> None:
        self._check_room(len(view))
        if not self._follows:
            self._upload.write(view)
            self._digest.wrote(view)
        elif piece is None:
            self._upload.write(view)
            self._digest.grew(len(view))
        else:
            self._upload.lend(view, piece)
            piece.keep()
            self._digest.lent(view, piece)

    def _said(self) -> Tuple[Optional[str], bool, Dict[str, str]]:
        """name, overwrite and metadata of head and form together; Refusal when the form is not whole."""
        if self._form is not None:
            return self._form.merge(self._wishes)
        return self._wishes.name, self._wishes.overwrite, self._wishes.metadata

    def _checked_digest(self) -> bytes:
        """The sha256 of the audio; Refusal where the client promised another one."""
        upload = self._upload
        if upload.written >= BEHIND:
            upload.begin_sync()  # the disk works while the rest is hashed
        sha256 = self._digest.digest()
        upload.settle()
        message = sha256 if self._form is None else self._message and self._message.digest()
        for promises in self._promises:
            for promised, found, field in (
                (promises.audio, sha256, "Repr-Digest"), (promises.message, message, "Content-Digest"),
            ):
                if promised is not None and promised != found:
                    raise Refusal(
                        "digest-mismatch", f"{field} promises sha-256 {promised.hex()}, the bytes have {found.hex()}"
                    )
        return sha256

    def _look(self, upload: Any) -> AudioInfo:
        try:
            return self._identify(upload.file, upload.written)
        except Damaged as damaged:
            raise Refusal("damaged-audio", damaged.reason, **_offset(damaged))
        except NotAudio as other:
            raise Refusal("not-audio", other.reason, **_offset(other))


class KeepingSink(ReceivingSink):
    """One that is kept in the storage, at less cost in company where that is on this disk; see `finishing`."""

    def __init__(self, wishes: Wishes, storage: Any, *others: Any) -> None:
        super().__init__(wishes, storage, *others)
        self.likes_company = storage.likes_company

    def hold(self) -> None:
        """Take the bytes into memory: whoever has all of them writes them where they are to stay, once."""
        self._upload, self._digest, self._follows = Held(), WritingDigest(), False

    def finish(self) -> Response:
        """Check, look, keep; the answer to whoever sent it."""
        return alone(self.finishing())

    def finishing(self) -> Work[Response]:
        """The same, in company."""
        raise NotImplementedError


class UploadSink(KeepingSink):
    """The body of POST /post on its way into the storage (a `Sink`)."""

    def __init__(
        self, wishes: Wishes, storage: Any, identify: Callable[[Any, int], AudioInfo], crew: Any,
        extension_of: Callable[[AudioInfo], str], who: Any, portable: bool = False, room: Optional[int] = None,
        check: Optional[Callable[[Any], None]] = None,
    ) -> None:
        """`check` is given the file of that name before anything is kept, None where there is none; it may refuse."""
        super().__init__(wishes, storage, identify, crew, portable, room)
        self._extension_of, self._who, self._check = extension_of, who, check

    def finishing(self) -> Work[Response]:
        """Check, look, keep; 201 or 200 with the record."""
        upload = self._upload
        name, overwrite, metadata = self._said()
        sha256 = self._checked_digest()
        info = self._look(upload)
        kept = yield from self._storage.keeping(
            upload, name=name, info=info, sha256=sha256.hex(), size=upload.written, metadata=metadata,
            overwrite=overwrite, default_extension=self._extension_of(info), owner=self._who.account,
            uploaded_by=self._who.name, check=self._check,
        )
        self._upload = None
        # No Repr-Digest: it would be the record's own, not the audio's (RFC 9530 section 3.1).
        headers = [("Location", f"/files/{kept.id}")] if kept.outcome == "created" else []
        return json_response(kept.record.encode(), 201 if kept.outcome == "created" else 200, headers)


def _offset(error: NotAudio) -> Dict[str, int]:
    return {} if error.offset is None else {"offset": error.offset}


class Form:
    """A multipart/form-data body: its first part with a file name is the audio, other fields are parameters.

    Form fields are read as the query's are, and come behind them: `name=` in the URL wins.
    """

    def __init__(self, boundary: bytes) -> None:
        self._parser = MultipartParser(boundary)
        self._pairs: List[Tuple[str, str]] = []
        self._in_file = False
        self._has_file = False
        self._filename: Optional[str] = None

    @property
    def filename(self) -> Optional[str]:
        """What the file's part says it is called, without folders; None where it does not."""
        return (self._filename or "").replace("\\", "/").rsplit("/", 1)[-1] or None

    @property
    def has_file(self) -> bool:
        """Whether a part with a file name has begun."""
        return self._has_file

    def close(self) -> List[Tuple[str, str]]:
        """The other fields, in order; Refusal when the form is not whole."""
        self._parser.close()
        return self._pairs

    def feed(self, data: memoryview) -> List[memoryview]:
        """The bytes of the audio in `data`."""
        out = []
        for event in self._parser.feed(data):
            if isinstance(event, PartData):
                if self._in_file:
                    out.append(event.data)
            elif isinstance(event, PartBegin):
                self._in_file = event.filename is not None and not self._has_file
                if self._in_file:
                    self._has_file, self._filename = True, event.filename
            elif isinstance(event, Field):
                self._pairs.append((event.name, event.value))
            elif isinstance(event, PartEnd):
                self._in_file = False
        return out

    def merge(self, wishes: Wishes) -> Tuple[Optional[str], bool, Dict[str, str]]:
        """name, overwrite and metadata of head and form together; Refusal when the form is not whole."""
        pairs = self.close()
        if not self._has_file:
            raise Refusal("bad-request", "the form has no part with a file name: there is no audio in it")
        name, overwrite, metadata = parameters(pairs)
        metadata = {**metadata, **wishes.metadata}
        check_metadata(metadata)
        name = wishes.name if wishes.name is not None else name
        if name is None:
            name = self.filename
        return name, overwrite or wishes.overwrite, metadata
