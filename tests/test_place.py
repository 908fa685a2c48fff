"""Where a store is and who we are there: addresses, and the environment and files of the AWS tools."""

from __future__ import annotations

import os

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from audiokit.blobs.place import BadPlace, Credentials, addressed, parse, settled
from audiokit.blobs.sigv4 import Keys

NOWHERE = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

ADDRESSES = [
    ("s3://bucket?endpoint=http://127.0.0.1:9000", {}, "http://127.0.0.1:9000", "/bucket/a%20b", "us-east-1",
     "by path, the first region, where nobody says otherwise"),
    ("s3://bucket/?endpoint=https://s3.example.net:443/", {}, "https://s3.example.net", "/bucket/a%20b", "us-east-1",
     "the scheme's own port is not said"),
    ("s3://bucket?endpoint=https://s3.example.net&style=virtual", {}, "https://bucket.s3.example.net", "/a%20b",
     "us-east-1", "the bucket is part of the host"),
    ("s3://bucket?region=eu-north-1", {}, "https://bucket.s3.eu-north-1.amazonaws.com", "/a%20b", "eu-north-1",
     "AWS itself, where no endpoint is named"),
    ("s3://my.bucket?region=eu-north-1", {}, "https://s3.eu-north-1.amazonaws.com", "/my.bucket/a%20b", "eu-north-1",
     "no certificate is for a host with the bucket's dots"),
    ("s3://bucket", {"AWS_REGION": "eu-1", "AWS_DEFAULT_REGION": "eu-2"}, "https://bucket.s3.eu-1.amazonaws.com",
     "/a%20b", "eu-1", "AWS_REGION goes first"),
    ("s3://bucket", {"AWS_DEFAULT_REGION": "eu-2"}, "https://bucket.s3.eu-2.amazonaws.com", "/a%20b", "eu-2",
     "then AWS_DEFAULT_REGION"),
    ("s3://bucket?region=x1", {"AWS_REGION": "eu-1"}, "https://bucket.s3.x1.amazonaws.com", "/a%20b", "x1",
     "what the address says goes before the environment"),
    ("s3://bucket", {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"}, "http://b:2",
     "/bucket/a%20b", "us-east-1", "the endpoint for S3 goes before that for all"),
    ("s3://bucket?endpoint=http://[::1]:9000", {}, "http://[::1]:9000", "/bucket/a%20b", "us-east-1", "IPv6"),
]


@pytest.mark.parametrize("url, environment, where, path, region, why", ADDRESSES)
def test_an_address_leads_to_a_host_and_a_path(url, environment, where, path, region, why):
    place = settled(parse(url), {**NOWHERE, **environment})
    endpoint, found = addressed(place, "a b")
    assert (endpoint.url, found, place.region) == (where, path, region), why


@pytest.mark.parametrize("url, prefix", [
    ("s3://bucket", ""), ("s3://bucket/", ""), ("s3://bucket/a", "a/"), ("s3://bucket/a/b/", "a/b/"),
])
def test_a_prefix_ends_in_a_slash_or_is_none(url, prefix):
    assert parse(url).prefix == prefix


@pytest.mark.parametrize("url, why", [
    ("", "nothing"), ("bucket", "no scheme"), ("http://bucket/", "another scheme"), ("s3://", "no bucket"),
    ("s3://Bucket", "upper case"), ("s3://b", "too short"), ("s3://bu_cket", "an underscore"),
    ("s3://user@bucket", "a user"), ("s3://bucket/a//b", "an empty step"), ("s3://bucket/a/../b", "a step back"),
    ("s3://bucket/a b", "a space"), ("s3://bucket/%41", "an escape"), ("s3://bucket#x", "a fragment"),
    ("s3://bucket?endpoint=", "no value"), ("s3://bucket?endpoint=host:9000", "no scheme of the endpoint"),
    ("s3://bucket?endpoint=http://h/path", "an endpoint with a path"), ("s3://bucket?endpoint=http://u:p@h", "a password"),
    ("s3://bucket?endpoint=http://h:x", "no port"), ("s3://bucket?endpoint=http://h:99999", "no such port"),
    ("s3://bucket?single=4MiB", "smaller than a part may be"), ("s3://bucket?single=6GiB", "more than one PUT may have"),
    ("s3://bucket?single=1e9", "no size"), ("s3://bucket?single=0x5MiB", "no number"),
    ("s3://bucket?region=a&region=b", "twice"), ("s3://bucket?style=odd", "no style"),
    ("s3://bucket?secret=x", "unknown"), ("s3://bucket?public=nowhere", "a public endpoint that is none"),
])
def test_what_is_no_address_is_refused(url, why):
    with pytest.raises(BadPlace):
        parse(url)


FILE = """[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = of%default

[work]
aws_access_key_id=AKWORK
aws_secret_access_key=of-work
aws_session_token=token-of-work
"""


def test_the_environment_goes_before_the_file(tmp_path):
    (tmp_path / "credentials").write_text(FILE)
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    assert Credentials(environment).current() == Keys("AKDEFAULT", "of%default")
    environment["AWS_PROFILE"] = "work"
    assert Credentials(environment).current() == Keys("AKWORK", "of-work", "token-of-work")
    environment.update(AWS_ACCESS_KEY_ID="AKENV", AWS_SECRET_ACCESS_KEY="of-env")
    assert Credentials(environment).current() == Keys("AKENV", "of-env")
    environment["AWS_SESSION_TOKEN"] = "token"
    assert Credentials(environment).current() == Keys("AKENV", "of-env", "token")


def test_keys_that_change_in_the_file_hold_at_once(tmp_path):
    path = tmp_path / "credentials"
    path.write_text(FILE)
    credentials = Credentials({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    assert credentials.current().id == "AKDEFAULT"
    path.write_text(FILE.replace("AKDEFAULT", "AKRENEWED"))
    os.utime(path, (1, 1))
    assert credentials.current().id == "AKRENEWED"


def test_missing_keys_are_told_with_where_they_were_looked_for(tmp_path):
    where = str(tmp_path / "nothing-here")
    with pytest.raises(BadPlace, match="AWS_ACCESS_KEY_ID.*nothing-here.*default"):
        Credentials({"AWS_SHARED_CREDENTIALS_FILE": where}).current()


def test_a_file_that_cannot_be_read_is_told_without_its_words(tmp_path):
    path = tmp_path / "credentials"
    path.write_text("my-secret without a section")
    with pytest.raises(BadPlace) as told:
        Credentials({"AWS_SHARED_CREDENTIALS_FILE": str(path)}).current()
    assert "my-secret" not in str(told.value)


def test_the_config_file_may_say_the_region(tmp_path):
    (tmp_path / "config").write_text("[default]\nregion = eu-9\n[profile work]\nregion = eu-8\n")
    environment = {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    assert settled(parse("s3://bucket"), environment).region == "eu-9"
    assert settled(parse("s3://bucket"), {**environment, "AWS_PROFILE": "work"}).region == "eu-8"
