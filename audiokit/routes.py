"""The routes: functions from a request to an answer.

They know requests and responses as values, the storage and what looks at audio; they know nothing of sockets or
threads.  A route returns a `Response`, or `Later` for work that may wait on the disk, or `Receive` for a body;
or it raises `Refusal`.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import content, listing, pages, peak_routes, resample_routes
from .uploads import UploadSink, Wishes, check_metadata, parameters
from .wire.answers import Answer, Later, Receive, Sink
from .wire.bodies import Framing
from .wire.fields import parse_content_disposition, parse_digest_field
from .wire.heads import Head
from .wire.multipart import boundary_of
from .wire.problems import Refusal
from .wire.responses import Response, json_response
from .wire.targets import split_query

_LOOKS = 9  # at a file that is replaced again and again, before missing bytes count as a fault
_PATCH_LIMIT = 64 << 10  # bytes of a PATCH body: metadata's own limit and room for JSON's escapes


class Services(NamedTuple):
    """What routes work with; made once by the server."""

    storage: Any
    settings: Any
    identify: Callable[[Any, int], Any]
    extension_of: Callable[[Any], str]
    valid_name: Callable[[str], str]
    hashing: Any  # the workers that hash behind uploads
    boundary: Callable[[], str]  # a fresh boundary for multipart/byteranges
    jobs: Any  # conversions
    peaks: Any  # what waveforms are drawn from
    pages: Any  # what browsers are shown


class Request(NamedTuple):
    """One request as a route sees it."""

    head: Head
    framing: Framing
    services: Services
    id: str = ""  # of the path, where the route has one

    @property
    def fields(self) -> Dict[str, str]:
        """The header fields by lower-case name."""
        return self.head.fields

    def parameters(self, *known: str) -> Dict[str, str]:
        """The query's parameters; Refusal names one that is unknown, given twice or empty."""
        found: Dict[str, str] = {}
        for key, value in split_query(self.head.query):
            if key not in known:
                raise Refusal("bad-parameter", f"there is no parameter {key!r} here", parameter=key)
            if key in found:
                raise Refusal("bad-parameter", f"{key} is given twice", parameter=key)
            if not value:
                raise Refusal("bad-parameter", f"{key} is empty", parameter=key)
            found[key] = value
        return found

    def which(self, *others: str) -> Tuple[Dict[str, str], Dict[str, str]]:
        """The file that is meant, as arguments of the storage: {"id": …} or {"name": …}; and the other parameters."""
        if self.id:
            return {"id": self.id}, self.parameters(*others)
        found = self.parameters("id", "name", *others)
        if ("id" in found) == ("name" in found):
            raise Refusal("bad-parameter", "one of name and id says which file is meant", parameter="name")
        key = "id" if "id" in found else "name"
        return {key: found.pop(key)}, found


def _not_found(meant: Dict[str, str]) -> Refusal:
    (key, value), = meant.items()
    return Refusal("not-found", f"no file has the {key} {value!r}")


# -- reading ------------------------------------------------------------------------------------------------


def info(request: Request) -> Answer:
    """GET /info, GET /files/{id}: the record."""
    meant, _ = request.which()
    record = request.services.storage.record(**meant)
    if record is None:
        raise _not_found(meant)
    # /info is asked again and again: it answers with the record alone.
    links = resample_routes.offer(request.id, record) if request.id else ()
    return json_response(record.encode(), 200, links)


def list_files(request: Request) -> Answer:
    """GET /list, GET /files: records that fit the filters, a page of them."""
    wanted = listing.parse(split_query(request.head.query))
    if wanted.is_quick:
        return _list_page(request, wanted)
    return Later(lambda: _list_page(request, wanted))


def _list_page(request: Request, wanted: Any) -> Response:
    page = request.services.storage.list(wanted)
    headers: List[Tuple[str, str]] = []
    following = "null"
    if page.next_cursor is not None:
        target = request.head.path + "?" + wanted.next_query(page.next_cursor)
        following = json.dumps(target)
        headers.append(("Link", f'<{target}>; rel="next"'))
    body = '{"files": [%s], "total": %d, "total_exact": %s, "next": %s}' % (
        page.records, page.total, "true" if page.total_exact else "false", following,
    )
    return json_response(body.encode(), 200, headers)


def health(request: Request) -> Answer:
    """GET /health."""
    request.parameters()

    def look() -> Response:
        wrong = request.services.storage.health()
        if wrong is None:
            return json_response(b'{"status": "ok"}')
        return json_response(json.dumps({"status": "ill", "detail": wrong}).encode(), 503)

    return Later(look)


def download(request: Request) -> Answer:
    """GET /download, GET /files/{id}/content: the bytes, whole or in ranges."""
    meant, others = request.which("disposition")
    kind = others.get("disposition", "attachment")
    if kind not in ("attachment", "inline"):
        raise Refusal("bad-parameter", f"disposition is {kind!r}, not attachment or inline", parameter="disposition")
    for _ in range(_LOOKS):
        try:
            return _content(request, meant, kind)
        except FileNotFoundError:  # replaced or removed between the look at its row and at its bytes
            pass
    return _content(request, meant, kind)


def _content(request: Request, meant: Dict[str, str], kind: str) -> Response:
    storage = request.services.storage
    file = storage.content(**meant)
    if file is None:
        raise _not_found(meant)
    kept = content.Kept(
        file.size, file.sha256, file.mime, file.name, file.uploaded_ms // 1000, lambda: storage.open_content(file)
    )
    return content.answer(request, kept, kind)


# -- changing -----------------------------------------------------------------------------------------------


def post(request: Request) -> Answer:
    """POST /post, POST /files: stores the body.  All that the head alone can tell is refused here."""
    services, framing = request.services, request.framing
    settings = services.settings
    if not framing.is_given:
        raise Refusal("length-required", "an upload needs Content-Length or Transfer-Encoding: chunked")
    wishes = _wishes(request)
    if (framing.length or 0) > settings.max_upload:
        raise Refusal(
            "too-large", f"the body has {framing.length} bytes, {settings.max_upload} are taken",
            limit=settings.max_upload,
        )
    if wishes.name is not None:
        services.valid_name(wishes.name)
    services.storage.check_room(framing.length)
    sink = UploadSink(
        wishes, services.storage, services.identify, services.hashing, services.extension_of, settings.portable
    )
    return Receive(sink, settings.max_upload)


def _wishes(request: Request) -> Wishes:
    fields = request.fields
    name, overwrite, metadata = parameters(split_query(request.head.query))
    if name is None and "content-disposition" in fields:
        _, filename, extended = parse_content_disposition(fields["content-disposition"])
        name = extended if extended is not None else filename
    kind = fields.get("content-type", "").split(";")[0].strip().lower()
    return Wishes(
        name, overwrite, metadata,
        parse_digest_field(fields.get("repr-digest", "")).get("sha-256"),
        parse_digest_field(fields.get("content-digest", "")).get("sha-256"),
        boundary_of(fields["content-type"]) if kind == "multipart/form-data" else None,
        request.framing.length,
    )


class _PatchSink(Sink):
    """The JSON of PATCH /files/{id}."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._body = bytearray()

    def write(self, piece: memoryview) -> None:
        self._body += piece

    def finish(self) -> Response:
        wanted = _patch_of(bytes(self._body))
        storage = self._request.services.storage
        record = storage.change(self._request.id, name=wanted.get("name"), metadata=wanted.get("metadata"))
        if record is None:
            raise _not_found({"id": self._request.id})
        return json_response(record.encode())


def _patch_of(body: bytes) -> Dict[str, Any]:
    try:
        wanted = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal("bad-request", f"the body is not JSON: {error}")
    if not isinstance(wanted, dict):
        raise Refusal("bad-request", "the body is not a JSON object")
    for key in wanted:
        if key not in ("name", "metadata"):
            raise Refusal("bad-parameter", f"{key!r} cannot be changed; name and metadata can", parameter=key)
    if "name" in wanted and not isinstance(wanted["name"], str):
        raise Refusal("bad-name", "name is not a string", parameter="name")
    metadata = wanted.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Refusal("bad-parameter", "metadata is not an object of strings", parameter="metadata")
    check_metadata(metadata)
    return wanted


def change(request: Request) -> Answer:
    """PATCH /files/{id}: renames, replaces metadata."""
    request.parameters()
    if not request.framing.is_given:
        raise Refusal("length-required", "a change needs a body, with Content-Length or chunked")
    if (request.framing.length or 0) > _PATCH_LIMIT:
        raise Refusal("too-large", f"a change has at most {_PATCH_LIMIT} bytes", limit=_PATCH_LIMIT)
    if request.services.storage.record(id=request.id) is None:
        raise _not_found({"id": request.id})
    return Receive(_PatchSink(request), _PATCH_LIMIT)


def remove(request: Request) -> Answer:
    """DELETE /files/{id}."""
    request.parameters()

    def work() -> Response:
        if not request.services.storage.remove(request.id):
            raise _not_found({"id": request.id})
        return Response(204, ())

    return Later(work)


Route = Callable[[Request], Answer]
ROUTES: Dict[str, Dict[str, Route]] = {
    "/": {"GET": pages.page},
    "/file/{id}": {"GET": pages.page},
    "/ui/{id}": {"GET": pages.part},
    "/post": {"POST": post},
    "/list": {"GET": list_files},
    "/info": {"GET": info},
    "/download": {"GET": download},
    "/files": {"GET": list_files, "POST": post},
    "/files/{id}": {"GET": info, "PATCH": change, "DELETE": remove},
    "/files/{id}/content": {"GET": download},
    "/files/{id}/peaks": {"GET": peak_routes.peaks},
    "/resample": {"POST": resample_routes.resample},
    "/resample/{id}": {"GET": resample_routes.status, "DELETE": resample_routes.remove},
    "/resample/{id}/events": {"GET": resample_routes.events},
    "/resample/{id}/result": {"GET": resample_routes.result},
    "/health": {"GET": health},
}
_WITH_ID = ("/files/", "/resample/", "/file/", "/ui/")


def find(path: str) -> Tuple[Optional[Dict[str, Route]], str]:
    """The methods of `path` and the id in it, or (None, "") for a path that is not there."""
    methods = ROUTES.get(path)
    if methods is not None and "{" not in path:
        return methods, ""
    for prefix in _WITH_ID:
        if path.startswith(prefix):
            id, slash, rest = path[len(prefix) :].partition("/")
            methods = ROUTES.get(prefix + ("{id}/" + rest if slash else "{id}"))
            if id and methods is not None:
                return methods, id
    return None, ""
