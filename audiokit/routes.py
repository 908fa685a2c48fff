"""The routes: functions from a request to an answer.

They know requests and responses as values, the storage and what looks at audio; they know nothing of sockets or
threads.  A route returns a `Response`, or `Later` for work that may wait on the disk, or `Receive` for a body;
or it raises `Refusal`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from . import account_routes, content, json_bodies, link_routes, listing, pages, peak_routes, resample_routes
from .accounts import ADMIN, ANYONE, DELETE, EVERYBODY, KNOWN, READ, WRITE, Who
from .parameters import bad, once, one_of
from .preconditions import check_untagged, guard
from .uploads import UploadSink, check_metadata, wishes_of
from .wire.answers import Answer, Later, Receive
from .wire.bodies import Framing
from .wire.conditions import etag_of, is_current
from .wire.heads import Head
from .wire.problems import Refusal
from .wire.responses import Response, json_response
from .wire.targets import split_query

_CHANGE_LIMIT = 64 << 10  # bytes of a change: metadata's own limit and room for JSON's escapes


class Services(NamedTuple):
    """What routes work with; made once by the server."""

    storage: Any
    settings: Any
    identify: Callable[[Any, int], Any]
    extension_of: Callable[[Any], str]
    hashing: Any  # the workers that hash behind uploads
    boundary: Callable[[], str]  # a fresh boundary for multipart/byteranges
    jobs: Any  # conversions
    peaks: Any  # what waveforms are drawn from
    pages: Any  # what browsers are shown
    authenticator: Any  # finds out who asks
    audit: Callable[[str], None]  # writes a line about accounts
    link_key: bytes  # signs links
    now_ms: Callable[[], int]  # milliseconds since 1970, UTC
    chance: Callable[[int], bytes]  # so many bytes that nobody can guess


class Request(NamedTuple):
    """One request as a route sees it."""

    head: Head
    framing: Framing
    services: Services
    id: str = ""  # of the path, where the route has one
    who: Who = EVERYBODY
    address: str = "-"  # of the client
    is_secure: bool = False  # whether it came over TLS

    @property
    def fields(self) -> Dict[str, str]:
        """The header fields by lower-case name."""
        return self.head.fields

    def parameters(self, *known: str) -> Dict[str, str]:
        """The query's parameters; Refusal names one that is unknown, given twice or empty."""
        return once(split_query(self.head.query), known)

    def which(self, *others: str) -> Tuple[Dict[str, str], Dict[str, str]]:
        """The file that is meant, as arguments of the storage: {"id": …} or {"name": …}; and the other parameters."""
        if self.id:
            return {"id": self.id}, self.parameters(*others)
        found = self.parameters("id", "name", *others)
        if ("id" in found) == ("name" in found):
            raise bad("name", "one of name and id says which file is meant")
        key = "id" if "id" in found else "name"
        return {key: found.pop(key)}, found

    def check_conditions(self, is_there: Callable[[], bool] = lambda: True) -> None:
        """Refusal where a condition does not hold for the thing of the path, which has no entity tag, if it is there."""
        check_untagged(self.fields, self.head.method, is_there)

    def check_holds(self, instead: str) -> None:
        """Refusal unless who asks may change the file of the path; `instead`: who may where they only read it."""
        if self.services.storage.record(id=self.id, owner=self.who.account, reach=self.who.holds) is None:
            raise self.not_held(instead)

    def not_held(self, instead: str) -> Refusal:
        """Why a file cannot be changed: it is shared for reading alone, or as far as they may know there is none."""
        if self.services.storage.record(id=self.id, owner=self.who.account, reach=self.who.reach) is None:
            return content.no_file({"id": self.id})
        return Refusal("forbidden", f"the file is shared for reading; {instead}")


# What careless clients call a credential in a URL, where logs, histories and Referer fields would keep it.
_CREDENTIAL = re.compile(
    r"(?:^|&)(?:access_token|token|api_?key|auth|authorization|password|passwd|secret|credential)=", re.IGNORECASE
)


def has_credential(query: str) -> bool:
    """Whether a query carries what looks like a credential."""
    return _CREDENTIAL.search(query) is not None


def credential_in_url() -> Refusal:
    """What is said of it; the value is not repeated."""
    return Refusal(
        "bad-request", "a credential has no place in a URL, where logs and histories keep it: "
        "send it in the Authorization field, and think about revoking this one"
    )


_SECRET_PATH = re.compile(r"/drop/.*", re.DOTALL)


def without_secret(target: str) -> str:
    """The path of a request's target, as logs may keep it: without the secret of a drop, however it was spelled."""
    path = target.partition("?")[0]
    plain = unquote(path) if "%" in path else path
    return _SECRET_PATH.sub("/drop/***", plain) if "/drop/" in plain else path


# -- reading ------------------------------------------------------------------------------------------------


def info(request: Request) -> Answer:
    """GET /info, GET /files/{id}: the record."""
    meant, _ = request.which()
    who = request.who
    record = request.services.storage.record(owner=who.names, reach=who.reach, **meant)
    if record is None:
        raise content.no_file(meant)
    # /info is asked again and again: it answers with the record alone.
    if not request.id:
        return json_response(record.encode())
    etag = etag_of(record)
    if is_current(request.fields, request.head.method, etag):
        return Response(304, (("ETag", etag), ("Cache-Control", "no-cache")))
    return json_response(record.encode(), 200, (("ETag", etag), *resample_routes.offer(request.id, record)))


def list_files(request: Request) -> Answer:
    """GET /list, GET /files: records that fit the filters, a page of them."""
    wanted = listing.parse(split_query(request.head.query))
    if wanted.is_quick and request.who.lists is not None:
        return _list_page(request, wanted)
    return Later(lambda: _list_page(request, wanted), is_slow=True)


def _list_page(request: Request, wanted: Any) -> Response:
    page = request.services.storage.list(wanted, request.who.lists)
    headers: List[Tuple[str, str]] = []
    following = "null"
    if page.next_cursor is not None:
        target = request.head.path + "?" + wanted.next_query(page.next_cursor)
        most = request.services.settings.max_target
        if len(target) > most:  # nobody could follow it here
            words = f"the link to the next page would have {len(target)} bytes, {most} are taken: ask with fewer filters"
            raise Refusal("target-too-long", words, limit=most)
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
        if not wrong:
            return json_response(b'{"status": "ok"}')
        return json_response({"status": "ill", "detail": "; ".join(wrong.values()), "engines": wrong}, 503)

    return Later(look, is_far=True)


def live(request: Request) -> Answer:
    """GET /health/live: that this process answers, whatever it depends on; no reason to start it anew."""
    request.parameters()
    return json_response(b'{"status": "ok"}')


def download(request: Request) -> Answer:
    """GET /download, GET /files/{id}/content: the bytes, whole or in ranges."""
    meant, others = request.which("disposition")
    kind = one_of(others, "disposition", ("attachment", "inline")) or "attachment"
    storage, who = request.services.storage, request.who
    return content.stored(
        request, lambda: storage.content(owner=who.names, reach=who.reach, **meant), lambda: content.no_file(meant), kind
    )


# -- changing -----------------------------------------------------------------------------------------------


def post(request: Request) -> Answer:
    """POST /post, POST /files: stores the body.  All that the head alone can tell is refused here."""
    services, who = request.services, request.who
    wishes, settings = wishes_of(request), services.settings
    room = None
    if wishes.name is not None or wishes.boundary is None:  # a form may name a file that is there, and replace it
        room = services.storage.room(who.account, wishes.size, wishes.name, wishes.overwrite)
    sink = UploadSink(
        wishes, services.storage, services.identify, services.hashing, services.extension_of, who, settings.portable,
        room, guard(request.fields, request.head.method),
    )
    return Receive(sink, services.storage.most(settings.max_upload))


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Refusal("bad-name", "name is not a string", parameter=name)
    return value


def _metadata(name: str, value: Any) -> Dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise bad(name, "metadata is not an object of strings")
    check_metadata(value)
    return value


_OWNERS = "its owner changes and removes it"
_CHANGES = {"name": _name, "metadata": _metadata, "shared": json_bodies.yes_or_no}


def change(request: Request) -> Answer:
    """PATCH /files/{id}: renames, replaces metadata, shares."""
    request.parameters()
    if not request.framing.is_given:
        raise Refusal("length-required", "a change needs a body, with Content-Length or chunked")
    request.check_holds(_OWNERS)
    return json_bodies.receive(request, _CHANGES, lambda given: _change(request, given), _CHANGE_LIMIT, is_tagged=True)


def _change(request: Request, given: Dict[str, Any]) -> Response:
    who = request.who
    check = guard(request.fields, request.head.method)
    record = request.services.storage.change(request.id, owner=who.account, reach=who.holds, check=check, **given)
    if record is None:
        raise request.not_held(_OWNERS)
    return json_response(record.encode(), 200, [("ETag", etag_of(record))])


def remove(request: Request) -> Answer:
    """DELETE /files/{id}."""
    request.parameters()

    def work() -> Response:
        check = guard(request.fields, request.head.method)
        if not request.services.storage.remove(request.id, request.who.account, request.who.holds, check):
            raise request.not_held(_OWNERS)
        return Response(204, ())

    return Later(work, is_far=True)


class Rule(NamedTuple):
    """What answers a method of a path, and which scope it takes to ask."""

    run: Callable[[Request], Answer]
    scope: str  # ANYONE, KNOWN, or one of SCOPES


ROUTES: Dict[str, Dict[str, Rule]] = {
    # Whoever asks gets the page: it knows nothing, and what it shows it asks for in the reader's name.
    "/": {"GET": Rule(pages.page, ANYONE)},
    "/file/{id}": {"GET": Rule(pages.page, ANYONE)},
    "/account": {"GET": Rule(pages.page, ANYONE)},
    "/ui/{id}": {"GET": Rule(pages.part, ANYONE)},
    "/docs": {"GET": Rule(pages.docs, ANYONE)},
    "/openapi.json": {"GET": Rule(pages.description, ANYONE)},
    "/post": {"POST": Rule(post, WRITE)},
    "/list": {"GET": Rule(list_files, READ)},
    "/info": {"GET": Rule(info, READ)},
    "/download": {"GET": Rule(download, READ)},
    "/files": {"GET": Rule(list_files, READ), "POST": Rule(post, WRITE)},
    "/files/{id}": {"GET": Rule(info, READ), "PATCH": Rule(change, WRITE), "DELETE": Rule(remove, DELETE)},
    "/files/{id}/content": {"GET": Rule(download, READ)},
    "/files/{id}/peaks": {"GET": Rule(peak_routes.peaks, READ)},
    # A conversion takes a worker's time and room on the disk: reading alone does not begin one, nor end it.
    "/resample": {"POST": Rule(resample_routes.resample, WRITE)},
    "/resample/{id}": {"GET": Rule(resample_routes.status, READ), "DELETE": Rule(resample_routes.remove, WRITE)},
    "/resample/{id}/events": {"GET": Rule(resample_routes.events, READ)},
    "/resample/{id}/result": {"GET": Rule(resample_routes.result, READ)},
    # Whoever lets others see or send something writes: a token that only reads makes no way in that outlives it.
    "/files/{id}/links": {"GET": Rule(link_routes.of_file, WRITE), "POST": Rule(link_routes.make, WRITE)},
    "/links/{id}": {"GET": Rule(link_routes.follow, ANYONE), "DELETE": Rule(link_routes.revoke, WRITE)},
    "/drops": {"GET": Rule(link_routes.list_drops, WRITE), "POST": Rule(link_routes.make_drop, WRITE)},
    "/drops/{id}": {"DELETE": Rule(link_routes.remove_drop, WRITE)},
    "/drop/{token}": {"GET": Rule(pages.page, ANYONE), "POST": Rule(link_routes.upload, ANYONE)},
    "/session": {"POST": Rule(account_routes.log_in, ANYONE), "DELETE": Rule(account_routes.log_out, ANYONE)},
    "/me": {"GET": Rule(account_routes.me, KNOWN), "PATCH": Rule(account_routes.change_me, KNOWN)},
    "/tokens": {"GET": Rule(account_routes.list_tokens, KNOWN), "POST": Rule(account_routes.make_token, KNOWN)},
    "/tokens/{id}": {"DELETE": Rule(account_routes.revoke_token, KNOWN)},
    "/users": {"GET": Rule(account_routes.list_users, ADMIN), "POST": Rule(account_routes.add_user, ADMIN)},
    "/users/{name}": {
        "GET": Rule(account_routes.user, ADMIN), "PATCH": Rule(account_routes.change_user, ADMIN),
        "DELETE": Rule(account_routes.remove_user, ADMIN),
    },
    "/users/{name}/tokens": {
        "GET": Rule(account_routes.user_tokens, ADMIN), "POST": Rule(account_routes.make_user_token, ADMIN),
    },
    "/health": {"GET": Rule(health, ANYONE)},
    "/health/live": {"GET": Rule(live, ANYONE)},
}
# Behind each of these comes what the route is about, and what it is called in the table.
_WITH_ID = {
    "/files/": "{id}", "/resample/": "{id}", "/links/": "{id}", "/drops/": "{id}", "/drop/": "{token}",
    "/tokens/": "{id}", "/users/": "{name}", "/file/": "{id}", "/ui/": "{id}",
}


def find(path: str) -> Tuple[Optional[Dict[str, Rule]], str]:
    """The methods of `path` and the id in it, or (None, "") for a path that is not there."""
    methods = ROUTES.get(path)
    if methods is not None and "{" not in path:
        return methods, ""
    for prefix, what in _WITH_ID.items():
        if path.startswith(prefix):
            id, slash, rest = path[len(prefix) :].partition("/")
            methods = ROUTES.get(prefix + what + slash + rest)
            if id and methods is not None:
                return methods, id
    return None, ""
