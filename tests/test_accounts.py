"""The rules of accounts: who may do what, names and scopes."""

from __future__ import annotations

import pytest

from audiokit import accounts
from audiokit.accounts import Account, Who
from audiokit.wire.problems import Refusal

ANN = Account(3, "ann", "", False, False, 0)
ADMIN = Account(4, "root", "", True, False, 0)
RIGHTS = [
    # who, scopes that are open, reads by id, lists, calls by name, changes, ends what is of
    (accounts.NOBODY, "anyone", "all", None, None, "own", 0, "may nothing, so that its reach does not matter"),
    (accounts.EVERYBODY, "anyone known read write delete", "own", 0, 0, "own", 0, "open mode: all that is nobody's"),
    (accounts.PUBLIC_READER, "anyone read", "all", None, None, "own", 0, "--public-read opens reading of everything"),
    (ANN.who("basic"), "anyone known read write delete", "shared", 3, 3, "own", 3, "an account"),
    (ADMIN.who("basic"), "anyone known read write delete admin", "all", None, 4, "all", None, "an admin; names are one's own"),
    (ADMIN.who("token", ["read"], "t"), "anyone known read", "shared", 4, 4, "own", 4, "an admin's token without admin"),
    (ADMIN.who("token", ["admin"], "t"), "anyone known admin", "all", None, 4, "all", None, "admin opens nothing else"),
    (ANN.who("token", ["write", "admin"], "t"), "anyone known write", "shared", 3, 3, "own", 3, "no admin any more"),
]


@pytest.mark.parametrize("who, scopes, reach, lists, names, holds, ends, why", RIGHTS)
def test_who_may_do_what(who, scopes, reach, lists, names, holds, ends, why):
    every = (accounts.ANYONE, accounts.KNOWN, *accounts.SCOPES)
    assert [scope for scope in every if who.may(scope)] == scopes.split(), why
    assert (who.reach, who.lists, who.names, who.holds, who.ends) == (reach, lists, names, holds, ends), why


def test_the_log_names_account_and_token_and_nobody():
    assert ANN.who("basic").label == "ann" and ANN.who("token", ["read"], "abc").label == "ann/abc"
    assert Who().label == "-"


@pytest.mark.parametrize("name, kept", [
    ("ann", "ann"), ("Ann", "ann"), ("_service-1", "_service-1"), ("ann@example.org", "ann@example.org"),
    ("a" * 64, "a" * 64), ("7", "7"),
])
def test_a_name_is_kept_in_lower_case(name, kept):
    assert accounts.valid_account_name(name) == kept


@pytest.mark.parametrize("name, why", [
    ("", "nothing"), ("a" * 65, "too long"), ("ann lee", "a space"), ("a:b", "Basic ends the name with a colon"),
    ("-ann", "would be a flag"), (".ann", "hidden"), ("änn", "looks like another"), ("ann\n", "a line break"),
    ("a/b", "a path"),
])
def test_a_name_that_cannot_be_is_refused(name, why):
    with pytest.raises(Refusal) as caught:
        accounts.valid_account_name(name)
    assert caught.value.code == "bad-name", why


def test_scopes_come_in_their_own_order_each_once():
    assert accounts.valid_scopes(["delete", " read", "read"]) == ("read", "delete")
    for words in ([], [""], ["read", "sudo"], ["READ"]):
        with pytest.raises(Refusal):
            accounts.valid_scopes(words)
