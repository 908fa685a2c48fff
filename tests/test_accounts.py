"""The rules of accounts: names, scopes, passwords, tokens, credentials, guessing; all pure."""

from __future__ import annotations

import base64
import hashlib

import pytest

from audiokit import accounts
from audiokit.accounts import Account, Basic, Guesses, Who
from audiokit.wire.problems import Refusal

SALT = bytes(range(16))
QUICK = "scrypt$16$8$1"
PLAIN = "pbkdf2-sha256$10"
ANN = Account(3, "ann", "", False, False, 0)
ADMIN = Account(4, "root", "", True, False, 0)


def basic(text, encoding="utf-8"):
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


# -- who may do what ----------------------------------------------------------------------------------------

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


# -- passwords ----------------------------------------------------------------------------------------------


def test_a_hash_says_how_it_was_made_and_fits_its_password_alone():
    for parameters in (QUICK, PLAIN):
        kept = accounts.hash_password("sesame", SALT, parameters)
        assert kept.startswith(parameters + "$") and "sesame" not in kept
        assert accounts.verify_password("sesame", kept)
        for wrong in ("", "sesam", "sesame ", "Sesame"):
            assert not accounts.verify_password(wrong, kept)
    assert accounts.hash_password("a", SALT, QUICK) != accounts.hash_password("a", bytes(16), QUICK)


def test_scrypt_is_that_of_rfc_7914():
    # Section 12: N=1024 r=8 p=16, of which the first 32 bytes are these whatever the length asked for.
    kept = accounts.hash_password("password", b"NaCl", "scrypt$1024$8$16")
    digest = base64.urlsafe_b64decode(kept.rpartition("$")[2] + "=")
    assert digest.hex() == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"


def test_pbkdf2_is_that_of_the_library():
    kept = accounts.hash_password("password", b"salt", "pbkdf2-sha256$4096")
    digest = base64.urlsafe_b64decode(kept.rpartition("$")[2] + "=")
    assert digest == hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 4096)


def test_the_parameters_are_what_was_promised():
    assert accounts.SCRYPT == "scrypt$16384$8$5" and accounts.PBKDF2 == "pbkdf2-sha256$600000"


def test_two_spellings_of_a_letter_are_one_password():
    assert accounts.verify_password("A\u030angstro\u0308m", accounts.hash_password("\xc5ngstr\xf6m", SALT, QUICK))


def test_what_no_account_has_costs_what_a_password_costs_and_fits_nothing():
    for parameters in (QUICK, PLAIN):
        assert accounts.stand_in(parameters).startswith(parameters + "$")
        assert len(accounts.stand_in(parameters)) == len(accounts.hash_password("x", SALT, parameters))
        assert not accounts.verify_password("", accounts.stand_in(parameters))


@pytest.mark.parametrize("kept", [
    "", "plain", "scrypt$16$8$1$AAAA", "scrypt$16$8$$AAAA$AAAA", "md5$1$AAAA$AAAA", "scrypt$16$8$1$A!$AAAA",
    "scrypt$16$8$1$AAAA$AAAA\n",
])
def test_what_is_no_hash_fits_nothing(kept):
    assert not accounts.verify_password("", kept)


@pytest.mark.parametrize("kept, today, outdated, why", [
    ("scrypt$16384$8$1$s$d", "scrypt$16384$8$5", True, "p rose"),
    ("scrypt$16384$8$5$s$d", "scrypt$16384$8$5", False, "the same"),
    ("scrypt$32768$8$5$s$d", "scrypt$16384$8$5", False, "it was dearer: never made cheaper"),
    ("pbkdf2-sha256$600000$s$d", "scrypt$16384$8$5", True, "scrypt is there now"),
    ("pbkdf2-sha256$1000$s$d", "pbkdf2-sha256$600000", True, "the count rose"),
    ("scrypt$16384$8$5$s$d", "pbkdf2-sha256$600000", False, "scrypt is not there any more"),
])
def test_a_hash_is_made_anew_when_the_parameters_rise(kept, today, outdated, why):
    assert accounts.is_outdated(kept, today) == outdated, why


@pytest.mark.parametrize("text", ["", "x" * 1025, "a\tb", "a\nb", "\x00", "\ud800"])
def test_a_password_that_cannot_be_is_refused(text):
    with pytest.raises(Refusal):
        accounts.valid_password(text)


# -- tokens and credentials ---------------------------------------------------------------------------------


def test_a_token_is_known_by_its_beginning_and_only_its_digest_is_kept():
    token = accounts.new_token(bytes(range(37)))
    assert token.text.startswith("aus_" + token.id + "_") and accounts.is_token(token.text)
    assert token.digest == hashlib.sha256(token.text.encode()).hexdigest()
    assert accounts.new_token(bytes(range(1, 38))).text != token.text
    with pytest.raises(ValueError):
        accounts.new_token(bytes(36))


TOKEN = accounts.new_token(bytes(37)).text
CREDENTIALS = [
    (basic("ann:sesame"), Basic("ann", "sesame"), "RFC 7617"),
    (basic("Ann:Sesame"), Basic("ann", "Sesame"), "names are lower case, passwords are not"),
    (basic("ann:a:b"), Basic("ann", "a:b"), "only the first colon ends the name"),
    (basic("ann:"), Basic("ann", ""), "an empty password is one"),
    (basic("ann:\u96e8"), Basic("ann", "\u96e8"), "UTF-8, as the challenge says"),
    (basic("ann:\xe4", "latin-1"), None, "not UTF-8"),
    (basic("ann"), None, "no colon"),
    (basic("ann:sesame").replace("Basic", "bAsIc"), Basic("ann", "sesame"), "schemes have no case"),
    ("Basic", None, "nothing"),
    ("Basic !!!!", None, "not base64"),
    ("Basic YW5u:c2", None, "a colon in base64"),
    ("Basic A", None, "a base64 that ends too early"),
    (f"Bearer {TOKEN}", TOKEN, "RFC 6750"),
    (f"Token {TOKEN}", TOKEN, "as audio APIs say"),
    (f"bearer   {TOKEN}", TOKEN, "more than one space"),
    (f"Bearer {TOKEN}x", None, "not of a token's form"),
    (f"Bearer {TOKEN}, {TOKEN}", None, "two of them"),
    (TOKEN, None, "no scheme"),
    ("", None, "nothing at all"),
    ("Digest username=x", None, "a scheme that is not spoken"),
]


@pytest.mark.parametrize("field, found, why", CREDENTIALS)
def test_a_credential_is_read_strictly(field, found, why):
    assert accounts.parse_authorization(field) == found, why


@pytest.mark.parametrize("field", [basic("ann:sesame"), f"Bearer {TOKEN}"])
def test_no_part_of_a_credential_is_an_error_of_ours(field):
    for end in range(len(field)):
        found = accounts.parse_authorization(field[:end])
        assert found is None or isinstance(found, Basic)


# -- guessing -----------------------------------------------------------------------------------------------


def tried(guesses, count, name="ann", address="10.0.0.1", at=0.0):
    for _ in range(count):
        guesses.attempt(name, address, at)


def test_after_so_many_failures_of_one_account_from_one_address_it_is_left_alone():
    guesses = Guesses(600, 10, 200)
    tried(guesses, 9)
    assert guesses.wait("ann", "10.0.0.1", 1.0) == 0
    tried(guesses, 1, at=2.0)
    assert guesses.wait("ann", "10.0.0.1", 100.0) == 500, "from the first of them on"
    assert guesses.wait("ann", "10.0.0.2", 100.0) == 0, "a right password still gets in from elsewhere"
    assert guesses.wait("bob", "10.0.0.1", 100.0) == 0, "others still get in from there"
    assert guesses.wait("ann", "10.0.0.1", 600.0) == 0, "it is over"


def test_an_address_that_tries_many_accounts_is_left_alone_too():
    guesses = Guesses(600, 10, 200)
    for n in range(200):
        assert guesses.wait("somebody", "10.0.0.1", 0.0) == 0
        guesses.attempt(f"account{n}", "10.0.0.1", 0.0)
    assert guesses.wait("somebody", "10.0.0.1", 0.0) == 600
    assert guesses.wait("somebody", "10.0.0.2", 0.0) == 0


def test_being_right_forgives_the_account_and_not_the_address():
    guesses = Guesses(600, 10, 20)
    tried(guesses, 9)
    tried(guesses, 1)
    guesses.was_right("ann", "10.0.0.1")
    tried(guesses, 9, name="bob")
    assert guesses.wait("ann", "10.0.0.1", 0.0) == guesses.wait("bob", "10.0.0.1", 0.0) == 0
    tried(guesses, 2, name="carl")
    assert guesses.wait("ann", "10.0.0.1", 0.0) > 0, "9 + 9 + 2 from that address"


def test_a_limit_of_nothing_is_no_limit():
    guesses = Guesses(600, 0, 0)
    tried(guesses, 1000)
    assert guesses.wait("ann", "10.0.0.1", 0.0) == 0


def test_what_is_remembered_of_guesses_is_bounded_and_goes():
    guesses = Guesses(600, 10, 200, remembered=50)
    for n in range(1000):
        guesses.attempt(f"account{n}", f"10.0.{n // 256}.{n % 256}", float(n))
    assert len(guesses._failures) == 50
    guesses.forget_old(10_000.0)
    assert guesses.is_quiet


@pytest.mark.parametrize("address, counted, why", [
    ("10.1.2.3", "10.1.2.3", "an IPv4 address"),
    ("::1", "::/64", "loopback is a network as any other"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "one person has 64 bits to choose from"),
    ("fe80::1%eth0", "fe80::/64", "a zone"),
    ("::ffff:10.1.2.3", "10.1.2.3", "IPv4 on an IPv6 socket"),
    ("-", "-", "no address"),
])
def test_guesses_are_counted_by_network(address, counted, why):
    assert accounts.network_of(address) == counted, why
