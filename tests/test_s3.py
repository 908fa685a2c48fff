"""What goes wrong between us and an S3 store, told apart and made good, over real sockets."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import urllib.request

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)
from tiny_s3 import (
    BUCKET,
    ENVIRONMENT,
    TinyS3,
    cuts_after,
    keeps_then_resets,
    resets,
    says,
    says_early,
    serves,
)

from audiokit.blobs import FileOps, StoreDown, StoreRefused
from audiokit.blobs.http_store import Patience
from audiokit.blobs.s3 import S3Blobs

QUICK = Patience(silence=60.0, first_pause=0.002, longest_pause=0.004)
KEY = "ab" * 16


@pytest.fixture
def tiny():
    with TinyS3() as one:
        yield one


@pytest.fixture
def stores():
    """Makes stores that end with the test."""
    made = []

    def make(url, patience=QUICK, **environment):
        made.append(S3Blobs(url, FileOps(), {**ENVIRONMENT, **environment}, patience))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def blobs(tiny, stores):
    return stores(tiny.url("p"))


@pytest.fixture
def put(tmp_path):
    """Puts bytes as an upload does: out of a file, which is then gone."""

    def put_one(blobs, data, key=KEY):
        path = tmp_path / "upload.part"
        path.write_bytes(data)
        with open(path, "r+b", buffering=0) as file:
            blobs.put(key, file, len(data), hashlib.sha256(data).hexdigest())
        assert not path.exists()

    return put_one


def whole(blobs, key=KEY):
    return b"".join(bytes(piece) for piece in blobs.pieces(key))


# -- what another try heals ----------------------------------------------------------------------------------------

HEALED = [
    ([says(503, "SlowDown")], "it is busy for a moment"),
    ([says(500, "InternalError")], "a fault of its own"),
    ([says(502), says(504)], "what stands before it has lost it"),
    ([says(429)], "too many requests"),
    ([resets], "the connection is reset before the answer"),
    ([resets, says(503, "ServiceUnavailable"), resets], "one after the other"),
]


@pytest.mark.parametrize("faults, why", HEALED, ids=[why for _, why in HEALED])
@pytest.mark.parametrize("what", ["put", "read", "delete", "size", "scan"])
def test_what_another_try_heals_is_tried_again(tiny, blobs, put, what, faults, why):
    if what != "put":
        put(blobs, b"sound" * 100)
    tiny.faults += faults
    if what == "put":
        put(blobs, b"sound" * 100)
    if what in ("put", "read"):
        assert whole(blobs) == b"sound" * 100, why
    elif what == "size":
        assert blobs.size(KEY) == 500, why
    elif what == "scan":
        assert list(blobs.scan()) == [KEY], why
    else:
        blobs.delete(KEY)
        assert not tiny.objects, why
    assert not tiny.faults


def test_a_store_that_was_tired_of_waiting_for_the_body_is_asked_again(tiny, blobs, put):
    tiny.faults += [says(400, "RequestTimeout")]
    put(blobs, b"sound")
    assert whole(blobs) == b"sound"


def test_a_put_whose_answer_was_lost_is_repeated_and_is_there_once(tiny, blobs, put):
    tiny.faults.append(keeps_then_resets)
    put(blobs, b"sound")
    assert tiny.objects[f"p/files/ab/{KEY}"][0] == b"sound"
    assert [method for method, *_ in tiny.requests] == ["PUT", "PUT"]


def test_what_no_try_heals_is_told_after_a_few(tiny, blobs):
    tiny.faults += [says(503, "SlowDown")] * 9
    with pytest.raises(StoreDown, match="503 SlowDown"):
        blobs.mark()
    assert len(tiny.requests) == QUICK.tries


def test_no_try_begins_behind_the_deadline(tiny, stores):
    blobs = stores(tiny.url(), QUICK._replace(deadline=0.0))
    tiny.faults.append(says(503))
    with pytest.raises(StoreDown):
        blobs.size(KEY)
    assert len(tiny.requests) == 1


def test_nobody_there_is_told_with_where(stores):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen: nobody else can get it meanwhile
        port = sock.getsockname()[1]
        with pytest.raises(StoreDown, match=f"127.0.0.1:{port}"):
            stores(f"s3://{BUCKET}/?endpoint=http://127.0.0.1:{port}").mark()


def test_silence_is_an_outage_after_a_while(stores):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        url = f"s3://{BUCKET}/?endpoint=http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(StoreDown, match="no progress"):
            stores(url, QUICK._replace(silence=0.05, tries=2)).mark()


def test_after_failures_in_a_row_nobody_waits_and_one_finds_out_that_it_is_well(tiny, stores):
    blobs = stores(tiny.url(), QUICK._replace(tries=1, rest=600.0))
    tiny.faults += [says(503)] * 5
    for _ in range(5):
        with pytest.raises(StoreDown):
            blobs.size(KEY)
    asked = len(tiny.requests)
    with pytest.raises(StoreDown, match="503"):
        blobs.size(KEY)
    assert len(tiny.requests) == asked, "it was asked although nobody should wait"
    blobs._store._breaker._rests_until = 0.0  # its rest is over
    assert blobs.size(KEY) is None
    assert blobs.size(KEY) is None


def test_a_connection_that_the_store_closed_meanwhile_is_no_failure(tiny, stores, put):
    blobs = stores(tiny.url("p"), QUICK._replace(tries=1))
    put(blobs, b"sound")
    for sock in list(tiny.server.sockets):
        sock.shutdown(socket.SHUT_RDWR)
    assert blobs.size(KEY) == 5


def test_connections_are_kept(tiny, blobs, put):
    put(blobs, b"sound")
    for _ in range(5):
        assert whole(blobs) == b"sound"
        assert list(blobs.scan()) == [KEY]
    assert len(tiny.server.sockets) == 1


# -- bodies --------------------------------------------------------------------------------------------------------


def test_a_refusal_before_a_long_body_was_read_is_heard(tiny, blobs, put):
    tiny.faults += [says_early(503, "SlowDown")]
    put(blobs, os.urandom(8 << 20))
    assert len(tiny.requests) == 2
    tiny.faults += [says_early(403, "AccessDenied")]
    with pytest.raises(StoreRefused, match="AccessDenied"):
        put(blobs, os.urandom(8 << 20))


def test_an_answer_that_is_cut_short_is_gone_on_with_by_range(tiny, blobs, put):
    data = os.urandom(300_000)
    put(blobs, data)
    tiny.requests.clear()
    tiny.faults += [serves, cuts_after(100_000), cuts_after(50_000), says(503)]
    assert whole(blobs) == data
    assert [r for m, _, r in tiny.requests if m == "GET"] == [
        None, "bytes=100000-299999", "bytes=150000-299999", "bytes=150000-299999",
    ]


def test_a_short_answer_that_is_cut_is_asked_for_again_and_holds_no_connection(tiny, blobs, put):
    put(blobs, b"sound")
    blobs.set_mark("ef" * 16)

    def cuts_the_list(handler):
        handler.reply(200, b"<ListBucketResult></ListBucketResult>", cut=9)

    tiny.faults += [cuts_the_list]
    assert list(blobs.scan()) == [KEY]
    tiny.faults += [cuts_after(5)]
    assert blobs.mark() == "ef" * 16
    assert not blobs._store._busy


def test_an_answer_that_never_brings_anything_is_given_up(tiny, blobs, put):
    put(blobs, b"sound" * 100)
    tiny.faults += [serves] + [cuts_after(0)] * 50
    with pytest.raises(StoreDown, match="again and again"):
        whole(blobs)


def test_a_short_object_is_never_passed_off_as_the_whole(tiny, blobs, put):
    put(blobs, b"sound" * 100)
    tiny.objects[f"p/files/ab/{KEY}"] = (b"sound" * 99, 0)
    with pytest.raises(StoreRefused, match="0 to 495"):
        blobs.open(KEY, 0, 500, 500)
    with pytest.raises(StoreRefused, match="416|490 to 495"):
        blobs.open(KEY, 490, 500, 500)


def test_a_failed_put_leaves_the_file_to_its_owner(tiny, blobs, tmp_path):
    tiny.faults += [says(403, "AccessDenied")]
    path = tmp_path / "upload.part"
    path.write_bytes(b"sound")
    with open(path, "r+b", buffering=0) as file:
        with pytest.raises(StoreRefused):
            blobs.put(KEY, file, 5, hashlib.sha256(b"sound").hexdigest())
    assert path.read_bytes() == b"sound"


def test_bytes_that_changed_on_the_way_are_not_kept(tiny, blobs, tmp_path):
    path = tmp_path / "upload.part"
    path.write_bytes(b"noise")
    with open(path, "r+b", buffering=0) as file:
        with pytest.raises(StoreDown, match="SHA256Mismatch"):
            blobs.put(KEY, file, 5, hashlib.sha256(b"sound").hexdigest())
    assert not tiny.objects


# -- what no try heals, told apart ---------------------------------------------------------------------------------

REFUSED = [
    (says(404, "NoSuchBucket"), "has no bucket 'tiny'", "the bucket is missing"),
    (says(403, "AccessDenied"), "403 AccessDenied.*our keys", "not ours to read"),
    (says(403, "InvalidAccessKeyId"), "InvalidAccessKeyId", "unknown keys"),
    (says(400, "ExpiredToken"), "ExpiredToken", "keys of yesterday"),
    (says(400, "AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>"), "in the region eu-west-9, not us-east-1",
     "another region"),
    (says(301, "PermanentRedirect", "", [("x-amz-bucket-region", "eu-west-9")]), "in the region eu-west-9",
     "another region, as AWS says it of an old bucket"),
    (says(301, "PermanentRedirect"), "301 PermanentRedirect", "another place, and nobody says which"),
    (says(418), "418", "what nobody understands"),
    (says(404), "404", "a 404 of somebody who is no store"),
]


@pytest.mark.parametrize("fault, words, why", REFUSED, ids=[why for *_, why in REFUSED])
def test_what_somebody_has_to_put_right_is_told_at_once_and_in_words(tiny, blobs, fault, words, why):
    tiny.faults += [fault]
    with pytest.raises(StoreRefused, match=words):
        blobs.mark()
    assert len(tiny.requests) == 1, why


def test_only_the_stores_own_word_makes_an_object_missing(tiny, blobs, put):
    put(blobs, b"sound")
    assert blobs.size("cd" * 16) is None
    tiny.faults += [says(404), says(404, "NoSuchBucket")]  # HEAD says nothing; the GET behind it does
    with pytest.raises(StoreRefused, match="no bucket"):
        blobs.size(KEY)
    tiny.faults += [says(404, "NoSuchBucket")]
    with pytest.raises(StoreRefused, match="no bucket"):
        blobs.open(KEY, 0, 5, 5)


def test_wrong_keys_are_refused_by_the_store_and_the_secret_is_in_no_message(tiny, stores):
    blobs = stores(tiny.url(), AWS_SECRET_ACCESS_KEY="not-the-secret")
    with pytest.raises(StoreRefused, match="SignatureDoesNotMatch") as told:
        blobs.mark()
    assert "not-the-secret" not in str(told.value)


def test_the_wrong_region_is_named_with_the_right_one(tiny, stores):
    url = tiny.url().replace("region=us-east-1", "region=eu-north-7")
    with pytest.raises(StoreRefused, match="in the region us-east-1, not eu-north-7"):
        stores(url).mark()


# -- clocks and redirects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [3600, -3600, 86400 * 400])
def test_a_clock_that_is_wrong_is_put_right_by_the_stores_once(tiny, blobs, put, ahead):
    tiny.ahead = ahead
    put(blobs, b"sound")
    assert whole(blobs) == b"sound"
    assert [method for method, *_ in tiny.requests] == ["PUT", "PUT", "HEAD", "GET"]
    assert list(blobs.scan(older_than_s=600)) == [], "ages are by the store's clock"


def test_a_store_whose_clock_cannot_be_followed_is_told_with_both_clocks(tiny, blobs):
    tiny.ahead = 3600
    tiny.faults += [says(403, "RequestTimeTooSkewed")] * 2
    with pytest.raises(StoreRefused, match=r"differ by 3[56]\d\d s"):
        blobs.mark()


def test_a_redirect_is_followed_signed_anew_with_the_body_from_its_beginning(tiny, blobs, put):
    with TinyS3() as other:
        where = f"http://127.0.0.1:{other.port}/{BUCKET}/p/files/ab/{KEY}"
        tiny.faults += [says(307, "TemporaryRedirect", "", [("Location", where)])]
        put(blobs, b"sound" * 1000)
        assert other.objects[f"p/files/ab/{KEY}"][0] == b"sound" * 1000
    assert not tiny.objects


def test_a_redirect_is_followed_once(tiny, blobs):
    here = f"http://127.0.0.1:{tiny.port}/{BUCKET}/p/store-id"
    tiny.faults += [says(307, "TemporaryRedirect", "", [("Location", here)])] * 9
    with pytest.raises(StoreRefused, match="307.*again and again"):
        blobs.mark()
    assert len(tiny.requests) == 2


@pytest.mark.parametrize("where", ["", "ftp://127.0.0.1/x", "/elsewhere", "http://user@host/", "http://[bad/"])
def test_a_redirect_to_nowhere_is_told(tiny, blobs, where):
    tiny.faults += [says(307, "TemporaryRedirect", "", [("Location", where)])]
    with pytest.raises(StoreRefused, match="cannot be gone to"):
        blobs.mark()


# -- hosts, lists, marks, addresses --------------------------------------------------------------------------------


def test_a_bucket_may_be_part_of_the_host(stores, put, monkeypatch):
    real = socket.getaddrinfo
    monkeypatch.setattr(  # there is no name server here
        socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more)
        if host == f"{BUCKET}.store.test" else real(host, *rest, **more),
    )
    with TinyS3(domain="store.test") as tiny:
        blobs = stores(tiny.url("p"))
        put(blobs, b"sound")
        assert tiny.names() == [f"p/files/ab/{KEY}"]
        assert whole(blobs) == b"sound" and list(blobs.scan()) == [KEY]


def test_a_list_of_many_pages_is_whole_and_in_order(tiny, blobs):
    keys = sorted(os.urandom(16).hex() for _ in range(2500))
    for key in keys:
        tiny.objects[f"p/files/{key[:2]}/{key}"] = (b"", 0)
    tiny.objects["p/files/ab/notes.txt"] = tiny.objects["p/files/README"] = (b"", 0)
    tiny.objects[f"p/files/zz/{KEY}"] = tiny.objects["other"] = (b"", 0)
    assert list(blobs.scan()) == keys
    assert len(tiny.requests) == 4


def test_a_list_that_goes_backwards_is_no_list(tiny, blobs):
    for key in ("aa" * 16, "bb" * 16):
        tiny.objects[f"p/files/{key[:2]}/{key}"] = (b"", 0)

    def ignores_where_to_start(handler):
        handler.query = [(k, v) for k, v in handler.query if k != "start-after"]
        handler.is_signed = lambda: True
        handler.serve()

    tiny.faults += [serves, ignores_where_to_start]
    with pytest.raises(StoreRefused, match="behind"):
        list(blobs.scan())


@pytest.mark.parametrize("body, raised, why", [
    (b"", StoreDown, "nothing at all"),
    (b"<ListBucketResult><Contents>", StoreDown, "cut short"),
    (b"<html><body>hello</body></html>", StoreRefused, "no store at all"),
    (b"<ListBucketResult><Contents><Key>p/files/ab/" + KEY.encode() + b"</Key></Contents></ListBucketResult>",
     StoreRefused, "no time: how old it is cannot be known"),
])
def test_a_list_that_is_none_is_never_taken_for_an_empty_one(tiny, blobs, body, raised, why):
    tiny.faults += [lambda handler: handler.reply(200, body)]
    with pytest.raises(raised):
        list(blobs.scan())


def test_a_mark_is_what_was_marked_and_nothing_else_is_one(tiny, blobs):
    assert blobs.mark() is None
    blobs.set_mark("ef" * 16)
    assert blobs.mark() == "ef" * 16
    tiny.objects["p/store-id"] = (b"hello", 0)
    with pytest.raises(StoreRefused, match="not ours"):
        blobs.mark()


def test_an_address_is_for_the_public_host_and_says_name_and_type(tiny, stores, put):
    blobs = stores(tiny.url("p", host="localhost", public=f"http://127.0.0.1:{tiny.port}"))
    put(blobs, b"sound")
    address = blobs.address(KEY, 60, 'attachment; filename="a b.wav"', "audio/ogg; codecs=opus")
    assert address.startswith(f"http://127.0.0.1:{tiny.port}/{BUCKET}/p/files/ab/{KEY}?")
    ask = urllib.request.Request(address, headers={"Range": "bytes=1-3"})
    with urllib.request.urlopen(ask) as answer:
        assert (answer.status, answer.read()) == (206, b"oun")
        assert answer.headers["content-type"] == "audio/ogg; codecs=opus"
        assert answer.headers["content-disposition"] == 'attachment; filename="a b.wav"'


def test_who_waits_is_let_go_at_the_end(stores):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        blobs = stores(f"s3://{BUCKET}/?endpoint=http://127.0.0.1:{sock.getsockname()[1]}", Patience(silence=60.0))
        told = []

        def ask():
            try:
                blobs.mark()
            except StoreDown as error:
                told.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        with sock.accept()[0] as peer:
            assert peer.recv(4)
            blobs.close()
            thread.join(60)
        assert not thread.is_alive() and told
