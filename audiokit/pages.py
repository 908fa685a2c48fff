"""The page for browsers: the files of `ui/` as answers.

They are read once, at start, and kept in memory as they go out: with an entity tag, and
compressed where that makes them smaller. The page names its parts by the digest of their content
(`page.css` becomes `page.1f3870be27.css`), so that a browser keeps a part for ever and still
never shows an old one. Never opens a file that a request names, and never puts anything of a
request or of a record into a page. Raises `Refusal`, and OSError when the folder cannot be read
at start.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from functools import lru_cache
from typing import Any, Dict, NamedTuple, Optional, Tuple

from .wire.answers import Answer, Later
from .wire.conditions import is_current
from .wire.fields import weights
from .wire.policies import DATA, PAGE
from .wire.problems import Refusal
from .wire.responses import Response

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ui")
_MIME = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_SHARED = (("Vary", "Accept-Encoding"),)
_PAGE_ONLY = (
    ("Content-Security-Policy", PAGE),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(self)"),
)
# Of what a browser may be made to open by itself; scripts and styles obey the page's.
_POLICIES = {".html": _PAGE_ONLY, ".json": (("Content-Security-Policy", DATA),), ".svg": (("Content-Security-Policy", DATA),)}
_FOR_EVER = "public, max-age=31536000, immutable"  # a year, the longest that is of use (RFC 8246)
_PART = re.compile(rb"/ui/([a-z-]+)\.([a-z]+)")
_DIGEST_LENGTH = 10  # hex digits of a part's name: enough to tell versions, too short to be a secret


@lru_cache(maxsize=32)
def _packed(content: bytes) -> Optional[bytes]:
    """`content` by gzip where that is smaller: once a process, however many servers it has, as it takes 20 ms."""
    packed = gzip.compress(content, 9, mtime=0)
    return packed if len(packed) < len(content) else None


class Part(NamedTuple):
    """One file as it goes out."""

    mime: str
    plain: bytes
    packed: Optional[bytes]  # gzip, where that is smaller
    digest: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Part:
        return cls(
            _MIME[os.path.splitext(name)[1]],
            content,
            _packed(content),
            hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH],
        )


class Pages:
    """The pages and their parts by name.

    `is_live` reads them again for each request, for who is changing them.
    """

    def __init__(self, folder: str = "", is_live: bool = False) -> None:
        self._folder, self.is_live = folder or FOLDER, is_live
        self._parts, self._current = self._read()

    def _read(self) -> Tuple[Dict[str, Part], Dict[str, str]]:
        """The parts by every name they answer to, and each one's name with its digest."""
        parts: Dict[str, Part] = {}
        current: Dict[str, str] = {}
        names = [name for name in os.listdir(self._folder) if os.path.splitext(name)[1] in _MIME]
        for name in sorted(names, key=lambda name: name.endswith(".html")):  # pages last: they name the others
            with open(os.path.join(self._folder, name), "rb") as file:
                content = file.read()
            stem, extension = os.path.splitext(name)
            if extension == ".html":
                parts[name] = Part.of(name, _PART.sub(lambda found: _hashed(found, current), content))
                continue
            part = Part.of(name, content)
            current[name] = f"{stem}.{part.digest}{extension}"
            parts[name] = parts[current[name]] = part
        return parts, current

    def answer(self, request: Any, name: str) -> Response:
        """The part called `name`, as this request wants it; Refusal where there is none."""
        if self.is_live:
            self._parts, self._current = self._read()
        part = self._parts.get(name)
        if part is None:
            raise Refusal("not-found", f"there is nothing at {request.head.path}")
        is_packed = part.packed is not None and takes_gzip(request.fields.get("accept-encoding", ""))
        etag = f'"{part.digest}-gzip"' if is_packed else f'"{part.digest}"'  # one a representation (RFC 9110, 8.8.3.3)
        is_for_ever = part.digest in name and not self.is_live
        headers = (
            ("ETag", etag),
            ("Cache-Control", _FOR_EVER if is_for_ever else "no-cache"),
            *_SHARED,
        )
        headers += _POLICIES.get(os.path.splitext(name)[1], ())
        # Only entity tags count: the time of a file on this disk says nothing of what is in it.
        if is_current(request.fields, request.head.method, etag):
            return Response(304, headers)
        headers = (("Content-Type", part.mime), *headers)
        if is_packed:
            return Response(200, (*headers, ("Content-Encoding", "gzip")), part.packed)
        return Response(200, headers, part.plain)


def _hashed(found: Any, current: Dict[str, str]) -> bytes:
    name = found.group(0).decode()[len("/ui/") :]
    return b"/ui/" + current.get(name, name).encode()


def takes_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding allows gzip, and does not want the plain form more (RFC 9110 section 12.5.3)."""
    wanted = weights(accepted)
    gzip = wanted.get("gzip", wanted.get("x-gzip", wanted.get("*", 0.0)))
    return gzip > 0 and gzip >= wanted.get("identity", 0.0)


def _answer(request: Any, name: str) -> Answer:
    pages = request.services.pages
    if pages.is_live:
        return Later(lambda: pages.answer(request, name))
    return pages.answer(request, name)


def page(request: Any) -> Answer:
    """GET /, GET /file/{id} and the like: the page itself, which reads its own address."""
    return _answer(request, "index.html")


def part(request: Any) -> Answer:
    """GET /ui/{id}: what the page is made of."""
    request.parameters()
    return _answer(request, request.id)


def description(request: Any) -> Answer:
    """GET /openapi.json: the API for programs."""
    request.parameters()
    return _answer(request, "openapi.json")


def docs(request: Any) -> Answer:
    """GET /docs: the API for people, made of the same description."""
    request.parameters()
    return _answer(request, "docs.html")
