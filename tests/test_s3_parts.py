"""Files that are too large for one PUT: they go in parts, become one object or none, and leave no part behind for ever."""

from __future__ import annotations

import hashlib
import os

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)
from tiny_s3 import ENVIRONMENT, TinyS3, keeps_then_resets, resets, says, serves

from audiokit.blobs import FileOps, StoreDown, StoreRefused, parts, s3
from audiokit.blobs.http_store import Patience
from audiokit.blobs.parts import LARGEST, LARGEST_PUT, MOST_PARTS, SMALLEST_PART, Sizes
from audiokit.blobs.place import parse
from audiokit.blobs.s3 import S3Blobs

QUICK = Patience(silence=60.0, first_pause=0.002, longest_pause=0.004)
SMALL = Sizes(single=1000, part=400)
KEY = "ab" * 16
NAME = f"p/files/ab/{KEY}"
DATA = os.urandom(1700)  # five parts, the last one shorter


@pytest.fixture
def tiny():
    with TinyS3() as one:
        yield one


@pytest.fixture
def blobs(tiny):
    one = S3Blobs(tiny.url("p"), FileOps(), ENVIRONMENT, QUICK, sizes=SMALL)
    yield one
    one.close()


@pytest.fixture
def put(tmp_path):
    """Puts bytes as an upload does: out of a file, which is then gone."""

    def put_one(blobs, data=DATA, key=KEY, sha256=None):
        path = tmp_path / "upload.part"
        path.write_bytes(data)
        with open(path, "r+b", buffering=0) as file:
            blobs.put(key, file, len(data), sha256 or hashlib.sha256(data).hexdigest())
        assert not path.exists()

    return put_one


def notes(tiny):
    return [name for name in tiny.names() if name.startswith("p/parts/")]


def methods(tiny):
    return [method for method, *_ in tiny.requests]


def is_left(tiny):
    """Whether there is anything of the file: an object, or a part of one."""
    return NAME in tiny.objects or any(there for _, there in tiny.uploads.values())


# -- what goes in parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, requests, why", [
    (1000, ["PUT"], "what fits one request goes in one"),
    (1001, ["POST", "PUT", "PUT", "PUT", "PUT", "POST", "HEAD"], "begun, noted, three parts, ended, looked at"),
    (1200, ["POST", "PUT", "PUT", "PUT", "PUT", "POST", "HEAD"], "the last part is as large as the others"),
    (1201, ["POST", "PUT", "PUT", "PUT", "PUT", "PUT", "POST", "HEAD"], "the last part is one byte"),
])
def test_what_is_too_large_for_one_request_goes_in_parts_and_is_there_whole(tiny, blobs, put, size, requests, why):
    data = os.urandom(size)
    put(blobs, data)
    assert tiny.objects[NAME][0] == data and methods(tiny) == requests, why
    assert blobs.size(KEY) == size and not tiny.uploads
    assert b"".join(bytes(piece) for piece in blobs.pieces(KEY)) == data
    assert list(blobs.scan()) == [KEY], "notes are no files"


def test_sizes_stay_within_what_every_store_takes():
    usual = Sizes()
    for size in (usual.single + 1, 16 << 30, 1 << 40, LARGEST):
        part = usual.of_parts(size)
        assert SMALLEST_PART <= part <= LARGEST_PUT and -(-size // part) <= MOST_PARTS
    assert usual.single <= LARGEST_PUT and S3Blobs.largest == LARGEST


@pytest.mark.parametrize("words, sizes", [
    ("", Sizes()), ("&single=5GiB", Sizes(5 << 30, 64 << 20)), ("&single=5MiB", Sizes(5 << 20, 5 << 20)),
    ("&single=300MiB", Sizes(300 << 20, 64 << 20)),
])
def test_an_address_may_say_what_goes_in_one_request(words, sizes):
    assert Sizes.of(parse("s3://bucket?region=x" + words).single) == sizes


def test_a_file_is_read_a_piece_at_a_time(tiny, blobs, put, monkeypatch):
    monkeypatch.setattr(parts, "_PIECE", 7)
    put(blobs)
    assert tiny.objects[NAME][0] == DATA


# -- what another try heals ----------------------------------------------------------------------------------------

HEALED = [
    ([says(503, "SlowDown")], "the beginning is refused for a moment"),
    ([keeps_then_resets], "the beginning's answer is lost: it is begun twice, and one has no part"),
    ([serves, says(500, "InternalError")], "the note"),
    ([serves, serves, resets], "a part"),
    ([serves, serves, serves, keeps_then_resets], "a part's answer is lost: it comes twice, the same"),
    ([serves] * 6 + [says(400, "BadDigest")], "the last part was changed on its way"),
    ([serves] * 7 + [says(200, "InternalError")], "an error under 200, as of who began to answer before he knew"),
    ([serves] * 7 + [keeps_then_resets], "the end's answer is lost, and then the store knows the upload no more"),
    ([serves] * 8 + [says(503)], "the look at what became of it"),
]


@pytest.mark.parametrize("faults, why", HEALED, ids=[why for _, why in HEALED])
def test_what_another_try_heals_is_tried_again(tiny, blobs, put, faults, why):
    tiny.faults += faults
    put(blobs)
    assert tiny.objects[NAME][0] == DATA and not tiny.faults
    assert not any(there for _, there in tiny.uploads.values())


def test_signs_of_life_before_the_end_are_no_answer(tiny, blobs, put):
    def breathes(handler):
        said = handler.reply
        handler.reply = lambda status, body=b"", headers=(): said(
            status, b" \n  \n<?xml version='1.0' encoding='UTF-8'?>" + body, headers)
        handler.serve()
        del handler.reply

    tiny.faults += [breathes] + [serves] * 6 + [breathes]
    put(blobs)
    assert tiny.objects[NAME][0] == DATA


# -- what no try heals ---------------------------------------------------------------------------------------------

FAILED = [
    ([says(403, "AccessDenied")], StoreRefused, "it may not be begun"),
    ([lambda handler: handler.reply(200, b"<Started/>")], StoreRefused, "it is begun, and nobody says which"),
    ([lambda handler: handler.reply(200, b"<Initiate")], StoreDown, "the answer is cut short"),
    ([serves, says(403, "AccessDenied")], StoreRefused, "it may not be noted"),
    ([serves] * 4 + [says(503)] * 4, StoreDown, "the store goes away in the middle"),
    ([serves] * 3 + [says(404, "NoSuchUpload")], StoreDown, "somebody gave it up meanwhile"),
    ([serves] * 3 + [says(200)], StoreRefused, "a part without a tag"),
    ([serves] * 7 + [says(400, "EntityTooSmall")], StoreRefused, "the end is refused"),
    ([serves] * 7 + [says(200, "InternalError")] * 4, StoreDown, "the end never comes"),
    ([serves] * 7 + [says(404, "NoSuchUpload")], StoreDown, "the end is not known, and there is no object"),
    ([serves] * 8 + [lambda handler: handler.reply(200, b"short")], StoreDown, "what is there has another size"),
]


@pytest.mark.parametrize("faults, raised, why", FAILED, ids=[why for *_, why in FAILED])
def test_what_fails_is_told_and_gives_its_parts_back(tiny, blobs, put, tmp_path, faults, raised, why):
    tiny.faults += faults
    with pytest.raises(raised):
        put(blobs)
    assert (tmp_path / "upload.part").read_bytes() == DATA, "the file is its owner's still"
    blobs.delete(KEY)  # as whoever calls `put` does
    assert not is_left(tiny)


@pytest.mark.parametrize("number", range(1, 9))
def test_wherever_it_is_killed_the_collector_finds_the_parts(tiny, blobs, put, number):
    def dies(handler):
        blobs.close()
        resets(handler)

    tiny.faults += [serves] * number + [dies]
    with pytest.raises(StoreDown):
        put(blobs)
    later = S3Blobs(tiny.url("p"), FileOps(), ENVIRONMENT, QUICK, sizes=SMALL)
    assert later.give_up(3600.0) == 0, "it might be another server's, and going on"
    if 2 < number < 8:
        assert is_left(tiny)
    assert later.give_up() <= 1
    for key in later.scan():
        later.delete(key)
    assert not is_left(tiny) and not notes(tiny)
    later.close()


def test_a_file_that_changed_on_the_disk_never_becomes_an_object(tiny, blobs, put):
    with pytest.raises(OSError, match="changed on this disk"):
        put(blobs, sha256=hashlib.sha256(b"other").hexdigest())
    assert not is_left(tiny)


def test_a_file_that_is_shorter_than_it_was_never_becomes_an_object(tiny, blobs, tmp_path):
    path = tmp_path / "upload.part"
    path.write_bytes(DATA[:-1])
    with open(path, "r+b", buffering=0) as file, pytest.raises(OSError, match="ends 1 bytes early"):
        blobs.put(KEY, file, len(DATA), hashlib.sha256(DATA).hexdigest())
    assert not is_left(tiny)


def test_a_machine_without_md5_sends_parts_all_the_same(tiny, blobs, put, monkeypatch):
    def forbidden(*_):
        raise ValueError("disabled for FIPS")

    approved = type("Approved", (), {"sha256": hashlib.sha256, "md5": staticmethod(forbidden)})
    monkeypatch.setattr(parts, "hashlib", approved)
    put(blobs)
    assert tiny.objects[NAME][0] == DATA


# -- the collector -------------------------------------------------------------------------------------------------


def test_an_upload_that_goes_on_is_not_given_up_and_its_note_is_kept_young(tiny, blobs, put, monkeypatch):
    monkeypatch.setattr(parts, "_RENEWED_S", 0.0)
    put(blobs)
    written = [path for method, path, _ in tiny.requests if "/p/parts/" in path]
    assert len(written) == 5 and len(set(written)) == 1, "with each part, the same note"


def test_an_object_is_not_older_than_its_end_though_its_store_says_so(tiny, blobs, put):
    """AWS tells when an upload in parts was begun: a long one would be taken for left over before it has its row."""
    put(blobs)
    tiny.objects[NAME] = (DATA, tiny.objects[NAME][1] - 7200)
    assert list(blobs.scan(older_than_s=3600)) == []
    (note,) = notes(tiny)
    tiny.objects[note] = (tiny.objects[note][0], tiny.objects[note][1] - 7200)
    assert list(blobs.scan(older_than_s=3600)) == [KEY]


def test_what_ends_while_a_scan_goes_on_is_not_older_than_its_end_either(tiny, blobs, put, monkeypatch):
    """A scan of millions of objects takes hours; an upload that began behind its beginning may end before it comes by."""
    monkeypatch.setattr(s3, "_PAGE", 1)
    monkeypatch.setattr(s3, "_NOTES_S", 0.0)
    first, last = "01" * 16, "fe" * 16
    for key in (first, last):
        put(blobs, DATA[:500], key)
        name = f"p/files/{key[:2]}/{key}"
        tiny.objects[name] = (DATA[:500], tiny.objects[name][1] - 7200)
    scan = blobs.scan(older_than_s=3600)
    assert next(scan) == first
    put(blobs)
    tiny.objects[NAME] = (DATA, tiny.objects[NAME][1] - 7200)
    assert list(scan) == [last]


def test_giving_up_touches_no_object_and_nothing_that_is_not_ours(tiny, blobs, put):
    put(blobs)
    tiny.objects["p/parts/README"] = tiny.objects[f"p/parts/{KEY}"] = (b"hello", 0)
    tiny.objects[f"p/parts/{KEY}.{'0' * 16}"] = (b"", 0)
    assert blobs.give_up() == 2
    assert tiny.objects[NAME][0] == DATA and notes(tiny) == ["p/parts/README", f"p/parts/{KEY}"]


def test_a_note_that_another_server_just_removed_is_no_fault(tiny, blobs, put):
    put(blobs)
    tiny.faults += [serves, says(404, "NoSuchKey")]
    assert blobs.give_up() == 0


def test_a_note_stays_while_the_store_does_not_forget_the_parts(tiny, blobs, put):
    tiny.faults += [serves] * 4 + [says(403, "AccessDenied")] * 2
    with pytest.raises(StoreRefused):
        put(blobs)
    assert is_left(tiny)
    tiny.faults += [serves, serves, says(403, "AccessDenied")]
    with pytest.raises(StoreRefused):
        blobs.give_up()
    assert notes(tiny) and is_left(tiny)
    assert blobs.give_up() == 1 and not notes(tiny) and not is_left(tiny)


def test_what_is_emptied_has_no_part_left(tiny, blobs, put):
    tiny.faults += [serves] * 4 + [says(403, "AccessDenied")] * 2
    with pytest.raises(StoreRefused):
        put(blobs)
    blobs.set_mark("ef" * 16)
    blobs.destroy()
    assert not tiny.objects and not is_left(tiny)
