"""Signatures: the examples that AWS publishes in the Amazon S3 API Reference, and what they leave open."""

from __future__ import annotations

import hashlib

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from audiokit.blobs.sigv4 import (
    EMPTY_SHA256,
    Keys,
    Scope,
    encoded_path,
    encoded_query,
    presigned_query,
    signed_headers,
)

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("us-east-1", "20130524T000000Z")
HOST = "examplebucket.s3.amazonaws.com"
BODY = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()

PUBLISHED = [
    ("GET", "/test.txt", [], {"range": "bytes=0-9"}, EMPTY_SHA256, "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "GET Object, a range of it"),
    ("PUT", "/test$file.text", [], {"date": "Fri, 24 May 2013 00:00:00 GMT",
                                    "x-amz-storage-class": "REDUCED_REDUNDANCY"}, BODY,
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "PUT Object, an odd name"),
    ("GET", "/", [("lifecycle", "")], {}, EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "GET Bucket Lifecycle: no value"),
    ("GET", "/", [("prefix", "J"), ("max-keys", "2")], {}, EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "GET Bucket: sorted"),
]


@pytest.mark.parametrize("method, path, query, headers, sha256, names, signature, why", PUBLISHED)
def test_a_published_request_has_the_published_signature(method, path, query, headers, sha256, names, signature, why):
    fields = dict(signed_headers(method, encoded_path(path), query, {"Host": HOST, **headers}, sha256, KEYS, SCOPE))
    assert fields["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    ), why


def test_the_published_presigned_address_has_the_published_signature():
    assert presigned_query("GET", "/test.txt", [], HOST, 86400, KEYS, SCOPE) == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize("path, sent, why", [
    ("/a b", "/a%20b", "never a plus"),
    ("/a+b", "/a%2Bb", "a plus is not a space"),
    ("/ä/ü", "/%C3%A4/%C3%BC", "UTF-8, the slash stays"),
    ("/a%20b", "/a%2520b", "encoded once, whatever it looks like"),
    ("/-_.~", "/-_.~", "RFC 3986 section 2.3"),
])
def test_a_path_is_encoded_once(path, sent, why):
    assert encoded_path(path) == sent, why


def test_a_query_is_sorted_by_what_is_sent_and_encodes_slashes():
    assert encoded_query([("b", "1/2"), ("a", "x y"), ("a-", "")]) == "a=x%20y&a-=&b=1%2F2"


def test_a_temporary_token_is_signed_along_and_part_of_a_presigned_address():
    keys = KEYS._replace(token="tok/en=")
    fields = dict(signed_headers("GET", "/", [], {"Host": HOST}, EMPTY_SHA256, keys, SCOPE))
    assert fields["x-amz-security-token"] == "tok/en="
    assert "x-amz-security-token" in fields["authorization"]
    assert "X-Amz-Security-Token=tok%2Fen%3D" in presigned_query("GET", "/", [], HOST, 60, keys, SCOPE)


def test_a_presigned_address_lasts_a_week_at_most():
    assert "X-Amz-Expires=604800&" in presigned_query("GET", "/", [], HOST, 10**9, KEYS, SCOPE)


def test_the_secret_is_never_in_what_is_sent():
    sent = signed_headers("GET", "/", [], {"Host": HOST}, EMPTY_SHA256, KEYS, SCOPE)
    assert not any(KEYS.secret in value for _, value in sent)
