"""Small JSON objects as bodies, and the page's cookie: what is taken, and what is refused by its
name."""

from __future__ import annotations

import pytest

from audiokit import json_bodies, sessions
from audiokit.json_bodies import members_of
from audiokit.wire.problems import Refusal

KNOWN = {
    "name": json_bodies.text,
    "scopes": json_bodies.words,
    "admin": json_bodies.yes_or_no,
    "files": json_bodies.or_null(json_bodies.count),
    "bytes": json_bodies.number_of_bytes,
    "expires": json_bodies.duration_ms,
    "minutes": json_bodies.minutes_ms,
    "lives": json_bodies.lifetime_ms(3_600_000, "an hour can be"),
}

GOOD = [
    ("", {}, "no body gives no member"),
    (" \r\n", {}, "nor does white space"),
    ("{}", {}, "nor an empty object"),
    ('{"name": "é\\u00e9"}', {"name": "éé"}, "text, escaped or not"),
    ('{"scopes": ["read", "write"]}', {"scopes": ["read", "write"]}, "a list of words"),
    ('{"scopes": "read,write"}', {"scopes": ["read", "write"]}, "words in one string"),
    ('{"admin": false}', {"admin": False}, "a switch"),
    ('{"files": null}', {"files": None}, "null where it means something"),
    ('{"files": 0, "bytes": 5}', {"files": 0, "bytes": 5}, "numbers"),
    ('{"bytes": "10GiB"}', {"bytes": 10 << 30}, "a size in words"),
    ('{"expires": "24h"}', {"expires": 86_400_000}, "a time in words"),
    ('{"expires": 1.5}', {"expires": 1500}, "a time in seconds"),
    ('{"minutes": 0.5}', {"minutes": 30_000}, "half a minute"),
    ('{"lives": 1}', {"lives": 1000}, "the shortest life"),
    ('{"lives": "1h"}', {"lives": 3_600_000}, "the longest one"),
]


@pytest.mark.parametrize("body, members, why", GOOD, ids=[why for *_, why in GOOD])
def test_what_a_body_gives(body, members, why):
    assert members_of(body.encode(), KNOWN) == members, why


BAD = [
    ("{", None, "not JSON"),
    ("{}{}", None, "more than one value"),
    ("[]", None, "no object"),
    ("null", None, "nothing"),
    ("NaN", None, "no number of JSON"),
    ('{"bytes": NaN}', None, "nor inside"),
    ('{"expires": Infinity}', None, "nor endless"),
    ("[" * 10_000, None, "a depth that no reader should follow"),
    ('{"name": "a", "name": "b"}', None, "a member twice"),
    ('{"nme": "a"}', "nme", "an unknown member"),
    ('{"name": null}', "name", "null where it means nothing"),
    ('{"name": 5}', "name", "a number for a text"),
    ('{"name": "\\ud800"}', "name", "half a character"),
    ('{"scopes": [1]}', "scopes", "a list of something else"),
    ('{"scopes": {}}', "scopes", "neither list nor text"),
    ('{"admin": "false"}', "admin", "a word for a switch: it would be true"),
    ('{"admin": 0}', "admin", "a number for a switch"),
    ('{"files": true}', "files", "a switch for a number"),
    ('{"files": -1}', "files", "less than nothing"),
    ('{"files": 1.5}', "files", "not whole"),
    ('{"files": 9007199254740992}', "files", "more than every reader can hold"),
    ('{"bytes": 1e-3}', "bytes", "not whole"),
    ('{"bytes": "10 cats"}', "bytes", "no size"),
    ('{"expires": "soon"}', "expires", "no time"),
    ('{"expires": 1e300}', "expires", "beyond every calendar"),
    ('{"expires": -1}', "expires", "before now"),
    ('{"minutes": "5"}', "minutes", "a word for a number"),
    ('{"lives": 0.999}', "lives", "less than a second"),
    ('{"lives": 3601}', "lives", "longer than the longest"),
    ('{"minutes": 1e300}', "minutes", "beyond every recording"),
]


@pytest.mark.parametrize("body, parameter, why", BAD, ids=[why for *_, why in BAD])
def test_what_a_body_may_not_say(body, parameter, why):
    with pytest.raises(Refusal) as refused:
        members_of(body.encode(), KNOWN)
    assert refused.value.status == 400 and refused.value.members.get("parameter") == parameter, why


def test_every_truncation_of_a_body_is_refused():
    whole = b'{"name": "x", "scopes": ["read"], "expires": "24h"}'
    for end in range(1, len(whole)):
        with pytest.raises(Refusal):
            members_of(whole[:end], KNOWN)


def test_a_body_that_is_not_utf_8_is_refused():
    with pytest.raises(Refusal):
        members_of(b'{"name": "\xff"}', KNOWN)


# -- the cookie ------------------------------------------------------------------------------------

VALUE = sessions.new_value(b"\xfe" * 32)


@pytest.mark.parametrize(
    "is_secure, field",
    [
        (False, f"audioserver={VALUE}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"),
        (
            True,
            f"__Host-audioserver={VALUE}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure",
        ),
    ],
)
def test_a_cookie_is_for_no_script_no_other_site_and_under_tls_for_tls_alone(is_secure, field):
    assert sessions.set_cookie(VALUE, 60, is_secure) == field
    assert sessions.shown({"cookie": field.partition(";")[0]}, is_secure) == VALUE
    assert sessions.shown({"cookie": field.partition(";")[0]}, not is_secure) is None
    assert "Max-Age=0" in sessions.forget_cookie(is_secure)


@pytest.mark.parametrize(
    "cookie, value, why",
    [
        (f"audioserver={VALUE}", VALUE, "alone"),
        (f"a=b; audioserver={VALUE}; c", VALUE, "among others"),
        (f"audioserver = {VALUE} ;", VALUE, "with spaces"),
        (f"audioserver={VALUE}; audioserver={VALUE}", VALUE, "the same twice"),
        (
            f"audioserver={VALUE}; audioserver={'A' * 43}",
            None,
            "two to choose from: a neighbour may have planted one",
        ),
        (f"audioserver={VALUE[:-1]}", None, "too short"),
        (f"audioserver={VALUE}A", None, "too long"),
        (f"audioserver={VALUE[:-1]}é", None, "a character that none has"),
        ("audioserver=", None, "empty, as it is when taken back"),
        (f"audioserver2={VALUE}", None, "another name"),
        (f"Audioserver={VALUE}", None, "names of cookies have a case"),
        ("", None, "an empty field"),
        ("; ; =; audioserver", None, "noise"),
    ],
)
def test_which_cookie_counts(cookie, value, why):
    assert sessions.shown({"cookie": cookie}, False) == value, why


def test_no_field_shows_nothing():
    assert sessions.shown({}, False) is None
