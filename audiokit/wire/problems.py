"""Every refusal the server can speak: its code, its status, its title, and the answer's body (RFC
9457).

`Refusal` is an exception that carries the whole answer, so that whoever finds something wrong says
what, and nobody in between has to know.  Never says anything of the inside, and never raises while
it speaks.
"""

from __future__ import annotations

import errno
import json
from typing import Any, Dict, Iterable, Tuple

_DETAIL_MAX = 1000  # characters of `detail`: values are echoed, floods are not

# code: (status of RFC 9110 section 15 or RFC 6585, title)
PROBLEMS: Dict[str, Tuple[int, str]] = {
    "bad-request": (400, "The request is malformed"),
    "bad-parameter": (400, "A parameter is wrong"),
    "bad-name": (400, "The name cannot be used"),
    "digest-mismatch": (400, "The bytes do not have the promised digest"),
    "incomplete-body": (400, "The body ended early"),
    "unauthorized": (401, "Who is asking is not known"),
    "forbidden": (403, "This is not allowed"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The method does not apply here"),
    "timeout": (408, "The request took too long"),
    "name-taken": (409, "The name is taken"),
    "not-ready": (409, "It is not ready yet"),
    "gone": (410, "It is gone"),
    "length-required": (411, "The length of the body is not given"),
    "precondition-failed": (412, "A condition of the request does not hold"),
    "too-large": (413, "The body is too large"),
    "over-quota": (413, "The quota is used up"),
    "target-too-long": (414, "The request target is too long"),
    "not-audio": (415, "The content is not audio that is read here"),
    "unsupported-conversion": (415, "The conversion is not offered"),
    "range-not-satisfiable": (416, "No requested range is there"),
    "expectation-failed": (417, "The expectation cannot be met"),
    "misdirected-host": (421, "This server does not answer for that host"),
    "damaged-audio": (422, "The audio is too damaged to describe"),
    "too-many-requests": (429, "Too many requests"),
    "head-too-large": (431, "The request's header section is too large"),
    "internal": (500, "A fault of the server"),
    "not-implemented": (501, "This is not implemented"),
    "busy": (503, "The server is busy"),
    "draining": (503, "The server is shutting down"),
    "http-version": (505, "The HTTP version is not spoken here"),
    "no-space": (507, "There is no room to store it"),
}

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def is_full(error: BaseException) -> bool:
    """Whether an error of the system says that a disk is full, or a file as large as it may be: `no-space`."""
    return isinstance(error, OSError) and error.errno in _FULL


class Refusal(Exception):
    """The client asked for something that will not be done; carries the answer.

    `detail` names the thing and the value; `headers` are (name, value) pairs of the answer; `close`
    ends the connection with it; further `members` (parameter, offset, limit, …) go into the body.
    An unknown code is a fault of ours: KeyError.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Iterable[Tuple[str, str]] = (),
        close: bool = False,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.title = PROBLEMS[code]
        self.code = code
        self.detail = detail
        self.headers = tuple(headers)
        self.close = close
        self.members = members

    def body(self) -> bytes:
        """The problem as application/problem+json, ending in a newline."""
        problem = {
            "type": "/problems/" + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail[:_DETAIL_MAX],
            "code": self.code,
            **self.members,
        }
        # What cannot be encoded (half a surrogate pair, from a client's escapes) must not break the
        # answer.
        text = json.dumps(problem, ensure_ascii=False, default=repr)
        return text.encode("utf-8", "replace") + b"\n"
