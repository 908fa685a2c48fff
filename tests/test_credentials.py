"""Passwords and tokens: how they are made, shown and kept."""

from __future__ import annotations

import base64
import hashlib

import pytest

from audiokit import credentials
from audiokit.credentials import Basic
from audiokit.wire.problems import Refusal

SALT = bytes(range(16))
QUICK = "scrypt$16$8$1"
PLAIN = "pbkdf2-sha256$10"


def basic(text, encoding="utf-8"):
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


# -- passwords ----------------------------------------------------------------------------------------------


def test_a_hash_says_how_it_was_made_and_fits_its_password_alone():
    for parameters in (QUICK, PLAIN):
        kept = credentials.hash_password("sesame", SALT, parameters)
        assert kept.startswith(parameters + "$") and "sesame" not in kept
        assert credentials.verify_password("sesame", kept)
        for wrong in ("", "sesam", "sesame ", "Sesame"):
            assert not credentials.verify_password(wrong, kept)
    assert credentials.hash_password("a", SALT, QUICK) != credentials.hash_password("a", bytes(16), QUICK)


def test_scrypt_is_that_of_rfc_7914():
    # Section 12: N=1024 r=8 p=16, of which the first 32 bytes are these whatever the length asked for.
    kept = credentials.hash_password("password", b"NaCl", "scrypt$1024$8$16")
    digest = base64.urlsafe_b64decode(kept.rpartition("$")[2] + "=")
    assert digest.hex() == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"


def test_pbkdf2_is_that_of_the_library():
    kept = credentials.hash_password("password", b"salt", "pbkdf2-sha256$4096")
    digest = base64.urlsafe_b64decode(kept.rpartition("$")[2] + "=")
    assert digest == hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 4096)


def test_the_parameters_are_what_was_promised():
    assert credentials.SCRYPT == "scrypt$16384$8$5" and credentials.PBKDF2 == "pbkdf2-sha256$600000"


def test_two_spellings_of_a_letter_are_one_password():
    assert credentials.verify_password("A\u030angstro\u0308m", credentials.hash_password("\xc5ngstr\xf6m", SALT, QUICK))


def test_what_no_account_has_costs_what_a_password_costs_and_fits_nothing():
    for parameters in (QUICK, PLAIN):
        assert credentials.stand_in(parameters).startswith(parameters + "$")
        assert len(credentials.stand_in(parameters)) == len(credentials.hash_password("x", SALT, parameters))
        assert not credentials.verify_password("", credentials.stand_in(parameters))


@pytest.mark.parametrize("kept", [
    "", "plain", "scrypt$16$8$1$AAAA", "scrypt$16$8$$AAAA$AAAA", "md5$1$AAAA$AAAA", "scrypt$16$8$1$A!$AAAA",
    "scrypt$16$8$1$AAAA$AAAA\n",
])
def test_what_is_no_hash_fits_nothing(kept):
    assert not credentials.verify_password("", kept)


@pytest.mark.parametrize("kept, today, outdated, why", [
    ("scrypt$16384$8$1$s$d", "scrypt$16384$8$5", True, "p rose"),
    ("scrypt$16384$8$5$s$d", "scrypt$16384$8$5", False, "the same"),
    ("scrypt$32768$8$5$s$d", "scrypt$16384$8$5", False, "it was dearer: never made cheaper"),
    ("pbkdf2-sha256$600000$s$d", "scrypt$16384$8$5", True, "scrypt is there now"),
    ("pbkdf2-sha256$1000$s$d", "pbkdf2-sha256$600000", True, "the count rose"),
    ("scrypt$16384$8$5$s$d", "pbkdf2-sha256$600000", False, "scrypt is not there any more"),
])
def test_a_hash_is_made_anew_when_the_parameters_rise(kept, today, outdated, why):
    assert credentials.is_outdated(kept, today) == outdated, why


@pytest.mark.parametrize("text", ["", "x" * 1025, "a\tb", "a\nb", "\x00", "\ud800"])
def test_a_password_that_cannot_be_is_refused(text):
    with pytest.raises(Refusal):
        credentials.valid_password(text)


# -- tokens and credentials ---------------------------------------------------------------------------------


def test_a_token_is_known_by_its_beginning_and_only_its_digest_is_kept():
    token = credentials.new_token(bytes(range(37)))
    assert token.text.startswith("aus_" + token.id + "_") and credentials.is_token(token.text)
    assert token.digest == hashlib.sha256(token.text.encode()).hexdigest()
    assert credentials.new_token(bytes(range(1, 38))).text != token.text
    with pytest.raises(ValueError):
        credentials.new_token(bytes(36))


TOKEN = credentials.new_token(bytes(37)).text
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
    assert credentials.parse_authorization(field) == found, why


@pytest.mark.parametrize("field", [basic("ann:sesame"), f"Bearer {TOKEN}"])
def test_no_part_of_a_credential_is_an_error_of_ours(field):
    for end in range(len(field)):
        found = credentials.parse_authorization(field[:end])
        assert found is None or isinstance(found, Basic)
