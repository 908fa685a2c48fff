"""Signed links: whatever is changed, added or left out, the signature does not fit."""

from __future__ import annotations

import hmac
import os
import random
import stat
from base64 import urlsafe_b64encode

import pytest

from audiokit.blobs import FileOps
from audiokit.keyfile import BadKey, read_or_make
from audiokit.links import (
    Link,
    claim_of,
    drop_target,
    is_drop_token,
    new_drop_token,
    new_id,
    target_of,
    whole_seconds,
)
from audiokit.wire.problems import Refusal
from audiokit.wire.targets import split_query

KEY = bytes(range(32))
ID = new_id(bytes(15))
LINK = Link(ID, "file", 7, True, 1_000, 1_700_000_000_000)
NOW = LINK.expires_ms - 1


def claim(target, *, key=KEY, method="GET", now_ms=NOW):
    path, _, query = target.partition("?")
    return claim_of(key, method, path[len("/links/") :], split_query(query), now_ms)


def test_a_link_says_what_was_signed():
    text = f"18:audioserver link 13:GET31:/links/{ID}8:download4:true7:expires10:1700000000"
    signature = (urlsafe_b64encode(hmac.new(KEY, text.encode(), "sha256").digest()).decode().rstrip("="))
    assert (
        target_of(KEY, LINK)
        == f"/links/{ID}?download=true&expires=1700000000&signature={signature}"
    )
    for link in (LINK, LINK._replace(download=False)):
        assert claim(target_of(KEY, link)) == (ID, link.download, link.expires_ms)


def test_a_link_is_for_head_as_for_get_and_its_order_does_not_matter():
    target = target_of(KEY, LINK)
    assert claim(target, method="HEAD") == claim(target)
    path, _, query = target.partition("?")
    assert claim(path + "?" + "&".join(reversed(query.split("&")))) == claim(target)


def signature_of(target):
    return target.rpartition("=")[2]


GOOD = target_of(KEY, LINK)
OTHER_ID = new_id(b"\1" * 15)
CHANGED = [
    (GOOD.replace("true", "false"), "another way of showing it"),
    (GOOD.replace("true", "TRUE"), "another spelling"),
    (GOOD.replace("1700000000", "1800000000"), "a later end"),
    (GOOD.replace("1700000000", "01700000000"), "the same number, written otherwise"),
    (GOOD.replace(ID, OTHER_ID), "another file's link"),
    (GOOD.replace("download=true&", ""), "a parameter less"),
    (GOOD.replace("&expires=1700000000", ""), "no end"),
    (GOOD + "&x=1", "an unknown parameter"),
    (GOOD + "&x", "an unknown parameter without a value"),
    (GOOD + "&download=true", "the same parameter again"),
    (GOOD + "&download=false", "a second opinion"),
    (GOOD + "&expires=1800000000", "a second end"),
    (GOOD + "&signature=" + signature_of(GOOD), "the signature again"),
    (GOOD[:-1], "a signature that is cut"),
    (GOOD[:-1] + ("A" if GOOD[-1] != "A" else "B"), "a signature with another last character"),
    (GOOD + "A", "a signature that goes on"),
    (GOOD + "=", "padding"),
    (GOOD.partition("&signature")[0], "no signature"),
    (GOOD.replace(signature_of(GOOD), ""), "an empty signature"),
    (GOOD.replace(signature_of(GOOD), "%C3%A9" * 43), "a signature beyond ASCII"),
    (f"/links/{ID}", "nothing but the id"),
    (f"/links/{ID}?signature={signature_of(GOOD)}", "only the signature"),
    (f"/links/?{GOOD.partition('?')[2]}", "no id"),
]


@pytest.mark.parametrize("target, why", CHANGED, ids=[why for _, why in CHANGED])
def test_a_link_that_is_not_as_it_was_made_is_refused(target, why):
    with pytest.raises(Refusal) as refused:
        claim(target)
    assert refused.value.code == "forbidden", why
    assert "signature" in refused.value.detail and signature_of(GOOD) not in refused.value.detail


def test_no_single_character_of_a_link_can_be_changed():
    for place in range(len("/links/"), len(GOOD)):
        changed = GOOD[:place] + ("1" if GOOD[place] != "1" else "2") + GOOD[place + 1 :]
        with pytest.raises(Refusal):
            claim(changed)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""])
def test_a_link_is_for_no_other_method(method):
    with pytest.raises(Refusal):
        claim(GOOD, method=method)


def test_a_link_of_another_key_is_refused():
    with pytest.raises(Refusal):
        claim(GOOD, key=bytes(32))


def test_a_link_ends_at_its_second():
    assert claim(GOOD, now_ms=LINK.expires_ms - 1).expires_ms == LINK.expires_ms
    with pytest.raises(Refusal, match="expired"):
        claim(GOOD, now_ms=LINK.expires_ms)
    assert whole_seconds(1_999) == 1_000


def test_that_a_link_has_expired_is_told_to_nobody_without_a_true_signature():
    with pytest.raises(Refusal, match="signature"):
        claim(GOOD.replace("true", "false"), now_ms=LINK.expires_ms)


@pytest.mark.parametrize(
    "text, is_one",
    [
        (new_drop_token(bytes(32)), True),
        (new_drop_token(b"\xff" * 32), True),
        (new_drop_token(bytes(31)), False),
        (new_drop_token(bytes(32)) + "\n", False),
        ("drop_", False),
        ("", False),
    ],
)
def test_a_drop_s_token_is_known_by_its_form(text, is_one):
    assert is_drop_token(text) is is_one


def test_a_drop_s_link_is_a_path_that_needs_no_escapes():
    assert drop_target(new_drop_token(b"\xff" * 32)) == "/drop/drop_" + "_" * 42 + "8"


# -- the key ---------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_read_by_nobody_else(tmp_path):
    path = tmp_path / "link.key"
    key = read_or_make(path, FileOps())
    assert len(key) == 32 and read_or_make(path, FileOps()) == key
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["link.key"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_key_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "link.key"
    key = read_or_make(path, FileOps())
    path.chmod(0o644)
    assert read_or_make(path, FileOps()) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "00", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n\n0", " " + "0" * 64])
def test_a_file_that_is_no_key_is_not_signed_with(tmp_path, text):
    path = tmp_path / "link.key"
    path.write_text(text)
    with pytest.raises(BadKey, match="link.key"):
        read_or_make(path, FileOps())


def test_a_key_whose_making_was_cut_off_is_made_anew(tmp_path):
    (tmp_path / "link.key.part").write_text("00")
    assert len(read_or_make(tmp_path / "link.key", FileOps())) == 32
    assert [one.name for one in tmp_path.iterdir()] == ["link.key"]


class Failing(FileOps):
    """The n-th operation on the disk fails; every later one works."""

    def __init__(self, n):
        self.left = n

    def _count(self):
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "made up")

    def create(self, path):
        self._count()
        return super().create(path)

    def write(self, file, data):
        self._count()
        return super().write(file, data)

    def sync(self, descriptor):
        self._count()
        super().sync(descriptor)

    def rename(self, source, target):
        self._count()
        super().rename(source, target)

    def sync_directory(self, path):
        self._count()
        super().sync_directory(path)


@pytest.mark.parametrize("n", range(1, 7))
def test_a_key_whose_making_fails_anywhere_is_whole_or_not_there(tmp_path, n):
    path, ops = tmp_path / "link.key", Failing(n)
    try:
        read_or_make(path, ops)
        assert n == 6, "there are five operations"
    except OSError as error:
        assert error.errno == 28
    assert not path.exists() or len(path.read_text()) == 65
    assert len(read_or_make(path, ops)) == 32
    assert [one.name for one in tmp_path.iterdir()] == ["link.key"]


def test_garbage_is_refused_and_nothing_else():
    rng = random.Random(7)
    for _ in range(2000):
        target = list(GOOD)
        for _ in range(rng.randrange(1, 6)):
            target[rng.randrange(len("/links/"), len(target))] = rng.choice("&=?%+a0/\u00e9.")
        changed = "".join(target)
        if changed != GOOD:
            with pytest.raises(Refusal):
                claim(changed)
