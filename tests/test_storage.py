"""The storage: what is kept, what is refused, what a crash leaves, and who may own a data folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import unicodedata

import pytest
from support import ROOT, wav

import audiometa
from audiokit import listing, migrations
from audiokit.blobs import FileOps
from audiokit.catalogue.recognition import NotOurs
from audiokit.formats.info import AudioInfo
from audiokit.wire.problems import Refusal
from storage import DataFolderBusy, MigrationError, Storage, valid_name

SOUND, OTHER, THIRD = wav(0.02), wav(0.03), wav(0.04)
INFO = audiometa.identify(io.BytesIO(SOUND))
NOW = 1_795_240_000_000


def upload(storage, data, name, *, metadata=None, **wishes):
    """Receive `data` and keep it, as the server does."""
    with storage.begin_upload(len(data)) as received:
        received.write(data)
        return storage.keep(
            received, name=name, info=INFO, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
            metadata=metadata or {}, default_extension=".wav", **wishes,
        )


def content(storage, **which):
    """The bytes of a file, None when there is none."""
    found = storage.content(**which)
    if found is None:
        return None
    with os.fdopen(storage.open_content(found), "rb") as file:
        return file.read()


def leftovers(storage):
    """What is on the disk without a row."""
    parts = list((storage.data / "uploads").iterdir())
    return parts + [line for line in storage.check(deep=True).lines() if line.startswith("wrong")]


@pytest.fixture
def storage(tmp_path):
    with Storage(tmp_path / "var", free_space_kept=0, clock_ms=lambda: NOW) as one:
        yield one


# -- keeping ------------------------------------------------------------------------------------------------


def test_the_record_has_every_field_in_the_order_of_the_contract(storage):
    kept = upload(storage, SOUND, "a.wav", metadata={"project": "Über"}, uploaded_by="ann", now_ms=NOW + 5)
    record = json.loads(kept.record)
    assert tuple(record) == listing.RECORD_FIELDS
    assert record["name"] == "a.wav" and record["size"] == len(SOUND)
    assert record["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert record["uploaded"] == "2026-11-21T05:46:40.005Z"
    assert record["uploaded_by"] == "ann" and record["metadata"] == {"project": "Über"}
    assert "\n" not in kept.record
    assert storage.record(id=kept.id) == storage.record(name="a.wav") == kept.record
    assert kept.etag == '"%s"' % record["sha256"]


def test_what_was_kept_is_there_byte_for_byte(storage):
    kept = upload(storage, SOUND, "a.wav")
    assert content(storage, id=kept.id) == content(storage, name="a.wav") == SOUND
    found = storage.content(id=kept.id)
    assert (found.id, found.name, found.size, found.mime) == (kept.id, "a.wav", len(SOUND), "audio/wav")
    assert found.uploaded_ms == NOW
    assert leftovers(storage) == []


def test_the_same_name_and_bytes_again_are_the_same_record(storage):
    first = upload(storage, SOUND, "a.wav", metadata={"k": "v"})
    again = upload(storage, SOUND, "a.wav")
    forced = upload(storage, SOUND, "a.wav", overwrite=True)
    assert (first.outcome, again.outcome, forced.outcome) == ("created", "same", "same")
    assert first.record == again.record == forced.record
    assert leftovers(storage) == []


def test_other_bytes_under_a_taken_name_are_refused_and_leave_nothing(storage):
    upload(storage, SOUND, "a.wav")
    with pytest.raises(Refusal) as caught:
        upload(storage, OTHER, "a.wav")
    assert caught.value.code == "name-taken"
    assert content(storage, name="a.wav") == SOUND
    assert leftovers(storage) == []


def test_overwriting_keeps_the_id_and_drops_the_old_bytes(storage):
    first = upload(storage, SOUND, "a.wav", metadata={"old": "1"}, now_ms=NOW)
    second = upload(storage, OTHER, "a.wav", metadata={"new": "2"}, now_ms=NOW + 1, overwrite=True)
    assert second.outcome == "replaced" and second.id == first.id and second.etag != first.etag
    assert content(storage, id=first.id) == OTHER
    assert json.loads(second.record)["metadata"] == {"new": "2"}
    assert found(storage, "meta.old=1") == [] and found(storage, "meta.new=2") == ["a.wav"]
    assert leftovers(storage) == []


def test_a_reader_that_began_before_an_overwrite_finishes_with_the_old_bytes(storage):
    if os.name == "nt":
        pytest.skip("Windows removes no open file")
    upload(storage, SOUND, "a.wav")
    descriptor = storage.open_content(storage.content(name="a.wav"))
    upload(storage, OTHER, "a.wav", overwrite=True)
    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == SOUND


def test_a_reader_that_comes_too_late_for_the_old_bytes_is_told_and_finds_the_new(storage):
    upload(storage, SOUND, "a.wav")
    before = storage.content(name="a.wav")
    upload(storage, OTHER, "a.wav", overwrite=True)
    with pytest.raises(FileNotFoundError):
        storage.open_content(before)
    assert content(storage, name="a.wav") == OTHER


def test_without_a_name_the_digest_gives_one(storage):
    digest = hashlib.sha256(SOUND).hexdigest()
    first = upload(storage, SOUND, None)
    assert json.loads(first.record)["name"] == digest[:12] + ".wav"
    assert upload(storage, SOUND, None).outcome == "same"


def test_a_generated_name_that_is_taken_by_other_bytes_gives_way(storage):
    digest = hashlib.sha256(SOUND).hexdigest()
    upload(storage, OTHER, digest[:12] + ".wav")
    first, again = upload(storage, SOUND, None), upload(storage, SOUND, None)
    assert json.loads(first.record)["name"] == digest[:12] + "-2.wav"
    assert (first.outcome, again.outcome) == ("created", "same")


def test_equal_bytes_under_two_names_are_two_files(storage):
    one, two = upload(storage, SOUND, "a.wav"), upload(storage, SOUND, "b.wav")
    assert one.id != two.id
    storage.remove(one.id)
    assert content(storage, id=two.id) == SOUND


def test_names_are_unique_among_one_owners_files(storage):
    one, two = upload(storage, SOUND, "a.wav"), upload(storage, OTHER, "a.wav", owner=5)
    assert storage.record(id=two.id) is None and storage.record(id=two.id, owner=5) == two.record
    assert storage.record(name="a.wav") == one.record
    assert not storage.remove(two.id) and storage.change(two.id, name="x") is None


def test_a_discarded_upload_leaves_nothing(storage):
    with storage.begin_upload(None) as received:
        received.write(SOUND)
        assert os.path.exists(received.path) and received.written == len(SOUND)
    received.discard()
    assert leftovers(storage) == []


def test_closing_discards_what_is_under_way(tmp_path):
    storage = Storage(tmp_path, free_space_kept=0)
    storage.begin_upload(10).write(b"12345")
    storage.close()
    storage.close()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_ids_are_url_safe_and_never_guessed(storage):
    ids = {upload(storage, SOUND, f"{n}.wav").id for n in range(20)}
    assert len(ids) == 20 and all(len(id) == 24 and id.isalnum() and id.isascii() for id in ids)


@pytest.mark.parametrize("which", [
    {"id": "nothing"}, {"name": "nothing"}, {"id": ""}, {"name": ""}, {"name": "\ud800"},
])
def test_what_is_not_there_is_none(storage, which):
    assert storage.record(**which) is None and storage.content(**which) is None


def test_a_name_is_found_in_any_normal_form(storage):
    upload(storage, SOUND, "cafe\u0301.wav")
    assert storage.record(name="caf\u00e9.wav") == storage.record(name="cafe\u0301.wav") is not None


def test_text_that_no_utf8_can_say_is_kept_as_json_can(storage):
    info = AudioInfo("wav", "pcm_s16le", 8000, 1, 1.0, True, "samples", "audio/wav", tags={"title": "a\ud800b\0c"})
    received = storage.begin_upload(1)
    received.write(b"x")
    kept = storage.keep(received, name="a", info=info, sha256="0" * 64, size=1, metadata={})
    assert json.loads(storage.record(id=kept.id))["tags"] == {"title": "a\ud800b\0c"}


# -- names --------------------------------------------------------------------------------------------------

NAMES = [
    ("a", "one byte"), ("x" * 255, "the most"), ("\u00fc" * 127, "254 bytes"), ("...", "three dots name no directory"),
    (" a ", "spaces are characters"), ("\U0001f3b5.wav", "beyond the first plane"), ("CON", "we name no file by it"),
    ("a\u200db", "a joiner is no direction"), ("*?.wav", "stars are characters"),
]
BAD_NAMES = [
    ("", "empty"), (".", "this directory"), ("..", "the one above"), ("a/b", "a path"), ("a\\b", "a path elsewhere"),
    ("x" * 256, "256 bytes"), ("\u00fc" * 128, "256 bytes of UTF-8"), ("a\0", "NUL"), ("a\nb", "a line end"),
    ("a\x7f", "DEL"), ("a\x85", "C1"), ("a\u2028b", "line separator"), ("a\u2029b", "paragraph separator"),
    ("a\u202eb", "right-to-left override"), ("a\u2066b", "isolate"), ("a\u061cb", "Arabic letter mark"),
    ("a\u200fb", "right-to-left mark"), ("a\ud800", "half a surrogate pair"),
]


@pytest.mark.parametrize("name, why", NAMES)
def test_a_name_that_is_fine(name, why):
    assert valid_name(name) == name, why


@pytest.mark.parametrize("name, why", BAD_NAMES)
def test_a_name_that_is_refused(name, why):
    with pytest.raises(Refusal) as caught:
        valid_name(name)
    assert caught.value.code == "bad-name", why


def test_names_are_kept_in_nfc():
    assert valid_name("e\u0301") == "\u00e9"


def test_a_bad_name_leaves_nothing(storage):
    with pytest.raises(Refusal):
        upload(storage, SOUND, "a/b")
    assert leftovers(storage) == []


# -- listing, changing, removing ----------------------------------------------------------------------------


def found(storage, query):
    pairs = [tuple(part.partition("=")[::2]) for part in query.split("&")]
    return [record["name"] for record in json.loads("[" + storage.list(listing.parse(pairs)).records + "]")]


def test_a_change_is_found_by_what_it_says_and_not_by_what_it_said(storage):
    kept = upload(storage, SOUND, "before.wav", metadata={"place": "Bonn"})
    record = json.loads(storage.change(kept.id, name="after.wav", metadata={"place": "Wien"}))
    assert record == {**json.loads(kept.record), "name": "after.wav", "metadata": {"place": "Wien"}}
    assert found(storage, "q=wien") == found(storage, "meta.place=Wien") == found(storage, "name=aft*") == ["after.wav"]
    assert found(storage, "q=bonn") == found(storage, "meta.place=Bonn") == found(storage, "name=bef*") == []
    assert json.loads(storage.change(kept.id, metadata={}))["name"] == "after.wav"
    assert content(storage, name="after.wav") == SOUND


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_looks_the_same_is_found_however_its_letters_are_put_together(storage, form):
    """Programs write tags and metadata in either form; who asks cannot see which."""
    kept, place = {}, "K\u00f6ln S\u00fcd " * 8
    for way in ("NFC", "NFD"):
        metadata = {unicodedata.normalize(way, key): unicodedata.normalize(way, text)
                    for key, text in (("stra\u00dfe \u00e4", "K\u00f6ln"), ("place", place.strip()))}
        kept[way] = upload(storage, SOUND + way.encode(), way + ".wav", metadata=metadata)
    for question in ("q=K\u00d6LN", "meta.stra\u00dfe \u00e4=K\u00f6ln", "meta.place=" + place.strip()):
        assert sorted(found(storage, unicodedata.normalize(form, question))) == ["NFC.wav", "NFD.wav"], question
    assert unicodedata.normalize("NFD", "K\u00f6ln") in kept["NFD"].record  # it says what it was given


def test_a_rename_to_a_taken_name_is_refused_and_changes_nothing(storage):
    one, two = upload(storage, SOUND, "a.wav", metadata={"k": "v"}), upload(storage, OTHER, "b.wav")
    with pytest.raises(Refusal) as caught:
        storage.change(one.id, name="b.wav", metadata={"x": "y"})
    assert caught.value.code == "name-taken"
    assert storage.record(id=one.id) == one.record and storage.record(id=two.id) == two.record
    assert found(storage, "meta.k=v") == ["a.wav"]
    assert storage.change(one.id, name="a.wav") == one.record


def test_changes_at_once_lose_none(storage):
    kept = upload(storage, SOUND, "a.wav")
    run_at_once([lambda n=n: storage.change(kept.id, name=f"{n}.wav") if n % 2 else
                 storage.change(kept.id, metadata={"n": str(n)}) for n in range(20)])
    record = json.loads(storage.record(id=kept.id))
    assert record["name"] != "a.wav" and record["metadata"] != {}
    assert found(storage, "meta.n=" + record["metadata"]["n"]) == [record["name"]]


def test_what_is_removed_is_gone_once(storage):
    kept = upload(storage, SOUND, "a.wav")
    assert storage.remove(kept.id) and not storage.remove(kept.id)
    assert storage.record(id=kept.id) is None and storage.list(listing.parse([])).total == 0
    assert leftovers(storage) == [] and not list(storage.data.glob("files/*/*"))


# -- at once ------------------------------------------------------------------------------------------------


def run_at_once(calls):
    """Let the calls begin together; what each returned or raised."""
    outcomes, barrier = [None] * len(calls), threading.Barrier(len(calls))

    def run(n):
        barrier.wait()
        try:
            outcomes[n] = calls[n]()
        except Refusal as refusal:
            outcomes[n] = refusal.code

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_two_uploads_of_one_name_at_once_one_wins(storage):
    for n in range(10):
        outcomes = run_at_once([lambda d=d: upload(storage, d, f"{n}.wav").outcome for d in (SOUND, OTHER, THIRD)])
        assert sorted(outcomes) == ["created", "name-taken", "name-taken"]
    assert leftovers(storage) == []


def test_of_two_equal_uploads_at_once_both_get_the_record(storage):
    for n in range(10):
        outcomes = run_at_once([lambda: upload(storage, SOUND, f"{n}.wav") for _ in range(4)])
        assert sorted(o.outcome for o in outcomes) == ["created", "same", "same", "same"]
        assert len({o.record for o in outcomes}) == 1
    assert leftovers(storage) == []


def test_overwrites_and_removals_at_once_leave_whole_files_only(storage):
    for _ in range(5):
        calls = [lambda d=d: upload(storage, d, "a.wav", overwrite=True).id for d in (SOUND, OTHER, THIRD)]
        calls += [lambda: storage.remove(json.loads(storage.record(name="a.wav") or '{"id": ""}')["id"])] * 2
        run_at_once(calls)
        assert content(storage, name="a.wav") in (SOUND, OTHER, THIRD, None)
    assert leftovers(storage) == []


# -- room ---------------------------------------------------------------------------------------------------


class SmallDisk(FileOps):
    """A disk with so many bytes left."""

    free = 1000

    def free_bytes(self, path):
        return self.free


def test_an_upload_that_cannot_fit_is_refused_before_it_begins(tmp_path):
    with Storage(tmp_path, ops=SmallDisk(), free_space_kept=100) as storage:
        storage.check_room(900)
        for expected in (901, 10 ** 12):
            with pytest.raises(Refusal) as caught:
                storage.begin_upload(expected)
            assert caught.value.code == "no-space"
        assert leftovers(storage) == []


def test_uploads_under_way_count_with_what_is_still_to_come(tmp_path):
    with Storage(tmp_path, ops=SmallDisk(), free_space_kept=100) as storage:
        with storage.begin_upload(500) as received:
            with pytest.raises(Refusal):
                storage.begin_upload(401)
            received.write(b"x" * 200)
            storage.begin_upload(401).discard()
        storage.begin_upload(900).discard()


def test_what_uploads_are_promised_is_counted_as_long_as_it_is_to_come(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        spool, sizes = storage._spool, []
        for act in (
            lambda: first.write(bytes(1000)), lambda: second.write(bytes(10 << 20)), lambda: second.discard(),
            lambda: first.write(bytes(20_000)), lambda: third.write(b"a"), lambda: first.discard(), lambda: third.discard(),
            lambda: third.discard(),
        ):
            if not sizes:
                first, second, third = storage.begin_upload(10_000), storage.begin_upload(100 << 20), storage.begin_upload(None)
            act()
            sizes.append(spool._promised)
            assert spool._promised == sum(upload.promised for upload in spool._uploads.values())
        assert sizes[0] > 100 << 20 and sizes[-1] == 0


def test_what_cannot_be_taken_in_leaves_nothing_of_it(tmp_path):
    resource = pytest.importorskip("resource", reason="skipped: limits of descriptors are POSIX'")
    with Storage(tmp_path, free_space_kept=0) as storage:
        made = tmp_path / "made"
        made.write_bytes(wav())
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(OSError):
                storage.take_in(str(made))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert leftovers(storage) == []
        storage._spool.kept_free = 1 << 60
        with open(made, "wb") as file:
            file.truncate(40 << 20)  # so much that the disk is looked at
        with pytest.raises(Refusal, match="there is room for 0"):
            storage.take_in(str(made))
        assert leftovers(storage) == [] and not made.exists()


def test_an_upload_of_unknown_length_is_stopped_when_the_disk_fills(tmp_path):
    ops = SmallDisk()
    with Storage(tmp_path, ops=ops, free_space_kept=100) as storage:
        with storage.begin_upload(None) as received:
            ops.free = 50
            with pytest.raises(Refusal) as caught:
                received.written += 64 << 20  # as whoever moves bytes without us tells it
            assert caught.value.code == "no-space"


def test_health_says_what_is_wrong(tmp_path):
    ops = SmallDisk()
    with Storage(tmp_path, ops=ops, free_space_kept=100) as storage:
        assert storage.health() == {}
        for ops.free in (50, 100):
            assert f"{ops.free} bytes are free" in storage.health()["disk"]
        ops.free = 101
        assert storage.health() == {}


@pytest.mark.parametrize("folder, words", [("uploads", "cannot be read"), ("files", "files cannot be written")])
def test_a_folder_that_is_lost_under_the_server_is_ill_health(tmp_path, folder, words):
    with Storage(tmp_path) as storage:
        (tmp_path / folder).rename(tmp_path / "elsewhere")
        assert words in storage.health()["disk"]
        (tmp_path / "elsewhere").rename(tmp_path / folder)
        assert storage.health() == {}


# -- the folder ---------------------------------------------------------------------------------------------


def test_a_second_owner_is_told_who_holds_the_folder(tmp_path):
    with Storage(tmp_path):
        with pytest.raises(DataFolderBusy, match=f"process {os.getpid()} on "):
            Storage(tmp_path)
        with pytest.raises(DataFolderBusy):
            Storage.destroy(tmp_path)
    Storage(tmp_path).close()


def test_another_process_holds_the_folder_as_long_as_it_lives(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\nfrom storage import Storage\nstorage = Storage(sys.argv[1])\n"
        "print('open', flush=True)\nsys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(ROOT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline().strip() == b"open"
        with pytest.raises(DataFolderBusy, match=str(process.pid)):
            Storage(tmp_path)
        process.kill()
    Storage(tmp_path).close()


def test_reading_beside_the_owner_needs_no_lock_and_sweeps_nothing(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as owner:
        kept = upload(owner, SOUND, "a.wav")
        with owner.begin_upload(None) as received:
            received.write(b"half")
            with Storage(tmp_path, create=False, exclusive=False) as beside:
                assert beside.record(id=kept.id) == kept.record
                assert beside.check(deep=True).is_sound
                with pytest.raises(ValueError):
                    beside.check(fix=True)
            assert os.path.exists(received.path)


def test_what_is_kept_is_there_after_reopening(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        kept = upload(storage, SOUND, "a.wav")
    with Storage(tmp_path, create=False) as storage:
        assert storage.record(id=kept.id) == kept.record and content(storage, id=kept.id) == SOUND


def test_a_folder_without_a_catalogue_is_not_opened_unless_asked_to_create(tmp_path):
    with pytest.raises(FileNotFoundError):
        Storage(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_destroying_removes_ours_and_leaves_what_is_not(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        upload(storage, SOUND, "a.wav")
    for name in ("notes.txt", "catalogue.db.left", "catalogue.db.arriving", "catalogue.db.arriving-wal"):
        (tmp_path / name).write_text("mine, or of a move: with accounts in it")
    Storage.destroy(tmp_path)
    assert not Storage.exists(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "notes.txt"]


def _sqlite(*statements):
    """What makes a database by these statements."""
    def make(path):
        with contextlib.closing(sqlite3.connect(str(path))) as database:
            database.executescript(";".join(statements))
    return make


STRANGE = [
    (lambda path: path.write_text("my catalogue of records, since 1987\n"), "a text of somebody's"),
    (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4080)), "a database that is broken"),
    (_sqlite("CREATE TABLE records (artist)"), "a database without a version"),
    (_sqlite("CREATE TABLE records (artist)", "PRAGMA user_version = 3"), "one with a version like ours"),
    (_sqlite("CREATE TABLE files (id, name)", "CREATE TABLE labels (owner)", "PRAGMA user_version = 3"),
     "one with tables named like ours"),
    (_sqlite("CREATE TABLE files (id)", "PRAGMA application_id = 252006674", "PRAGMA user_version = 3"),
     "a program's that says so"),
]


@pytest.mark.parametrize("make, why", STRANGE)
def test_what_is_no_catalogue_of_ours_is_not_destroyed(tmp_path, make, why):
    make(tmp_path / "catalogue.db")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "song.wav").write_bytes(b"mine")
    before = (tmp_path / "catalogue.db").read_bytes()
    with pytest.raises(NotOurs, match="nothing was removed"):
        Storage.destroy(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["catalogue.db", "files", "song.wav"], why
    assert (tmp_path / "catalogue.db").read_bytes() == before, why


def test_a_database_without_a_version_is_not_made_into_a_catalogue(tmp_path):
    _sqlite("CREATE TABLE records (artist)")(tmp_path / "catalogue.db")
    with pytest.raises(MigrationError, match="no catalogue of ours"):
        Storage(tmp_path)
    with contextlib.closing(sqlite3.connect(str(tmp_path / "catalogue.db"))) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("records",)]


def test_a_catalogue_whose_making_was_interrupted_and_an_old_one_can_be_destroyed(tmp_path):
    (tmp_path / "catalogue.db").write_bytes(b"")
    Storage.destroy(tmp_path)
    _sqlite((ROOT / "tests" / "schema_v1.sql").read_text("utf-8"))(tmp_path / "catalogue.db")
    Storage.destroy(tmp_path)
    assert not Storage.exists(tmp_path)


def crashed(folder):
    """Make the folder look as after a crash: the lock file still says who held it."""
    (folder / "lock").write_text('{"pid": 1, "host": "here", "since": "then"}')


def test_a_start_after_a_crash_sweeps_what_no_row_names(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        kept = upload(storage, SOUND, "a.wav")
    (tmp_path / "uploads" / "half.part").write_bytes(b"half")
    stray = tmp_path / "files" / "ab" / ("ab" * 16)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"renamed, and then the power went")
    crashed(tmp_path)
    with Storage(tmp_path) as storage:
        assert not stray.exists() and leftovers(storage) == []
        assert content(storage, id=kept.id) == SOUND


def test_a_removal_that_a_crash_cut_short_is_finished_at_the_next_start(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        kept = upload(storage, SOUND, "a.wav")
        key = storage.content(id=kept.id).key
        storage._catalogue.write([
            ("INSERT INTO removals (key, since_ms) SELECT key, 0 FROM files", ()), ("DELETE FROM files", ()),
        ])
    assert (tmp_path / "files" / key[:2] / key).exists()
    with Storage(tmp_path) as storage:
        assert not (tmp_path / "files" / key[:2] / key).exists()
        assert storage._catalogue.read("SELECT * FROM removals") == []


# -- check, backup, dump ------------------------------------------------------------------------------------


def test_check_sees_every_difference_and_fix_repairs_what_can_be(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        sounds = {"lost": SOUND, "short": OTHER, "wrong": THIRD, "good": SOUND}
        kept = [upload(storage, data, name) for name, data in sounds.items()]
        paths = [storage._blobs.path(storage.content(id=k.id).key) for k in kept]
        assert storage.check(deep=True).is_sound
        paths[0].unlink()
        paths[1].write_bytes(OTHER[:-1])
        paths[2].write_bytes(THIRD[:-1] + b"\x01")
        stray = storage._blobs.path("cd" * 16)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"x")
        quick, deep = storage.check(), storage.check(deep=True)
        assert (len(quick.problems), len(deep.problems)) == (3, 4)
        for word in ("'lost'", "'short'", "'wrong'", "cd" * 16):
            assert any(word in line for line in deep.lines())
        fixed = storage.check(deep=True, fix=True)
        assert len(fixed.repaired) == 2 and len(fixed.problems) == 2 and not fixed.is_sound
        assert storage.record(id=kept[0].id) is None and not stray.exists()
        storage.remove(kept[1].id), storage.remove(kept[2].id)
        assert storage.check(deep=True).is_sound


def test_fix_counts_anew(storage):
    upload(storage, SOUND, "a.wav")
    storage._catalogue.write([("UPDATE counters SET files = 7", ())])
    assert not storage.check().is_sound
    assert storage.check(fix=True).is_sound and storage.check().is_sound
    assert storage.list(listing.parse([])).total == 1


def test_a_check_sees_uploads_out_of_order_that_the_counters_do_not_know_of(storage):
    order = "SELECT newest_ms, disorder_ms FROM counters"
    for n, ms in enumerate((5_000, 9_000, 2_000)):
        upload(storage, SOUND, f"{n}.wav", now_ms=ms)
    assert storage._catalogue.read(order) == [(9_000, 7_000)]
    storage._catalogue.write([("UPDATE counters SET files = 7, newest_ms = 0, disorder_ms = 0", ())])
    assert len(storage.check().problems) == 2
    assert storage.check(fix=True).is_sound and storage.check().is_sound
    assert storage._catalogue.read(order) == [(9_000, 7_000)]


def test_a_file_with_new_bytes_goes_to_the_end_of_the_numbers_and_is_found_there(storage):
    upload(storage, SOUND, "first.wav", now_ms=1_000)
    upload(storage, OTHER, "second.wav", now_ms=2_000)
    upload(storage, THIRD, "first.wav", now_ms=3_000, overwrite=True)
    rows = storage._catalogue.read("SELECT name, uploaded_ms FROM files ORDER BY n")
    assert rows == [("second.wav", 2_000), ("first.wav", 3_000)]
    assert storage._catalogue.read("SELECT newest_ms, disorder_ms FROM counters") == [(3_000, 0)]
    for query in ("q=first", "name=*irst*", "name=first*", "maxduration=999&q=first"):
        page = storage.list(listing.parse([tuple(part.split("=")) for part in query.split("&")]))
        assert page.total == 1 and '"first.wav"' in page.records, query
    storage.change(json.loads(storage.record(name="first.wav"))["id"], metadata={"mood": "calm"})
    assert storage.list(listing.parse([("q", "calm")])).total == 1
    assert storage._catalogue.read("SELECT name FROM files ORDER BY n") == [("second.wav",), ("first.wav",)]
    assert not storage.check(fix=True).repaired, "the search index would have been made anew"


def test_a_backup_can_be_served_as_it_is(storage, tmp_path):
    kept = [upload(storage, data, f"{n}.wav") for n, data in enumerate((SOUND, OTHER, THIRD))]
    assert storage.backup(tmp_path / "copy") == 3
    storage.remove(kept[0].id)
    upload(storage, SOUND, "1.wav", overwrite=True)
    with Storage(tmp_path / "copy", create=False) as copy:
        assert [copy.record(id=k.id) for k in kept] == [k.record for k in kept]
        assert content(copy, name="1.wav") == OTHER and leftovers(copy) == []
        copy.remove(kept[2].id)
    assert content(storage, id=kept[2].id) == THIRD


def test_a_backup_does_not_write_into_a_folder_in_use(storage, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        storage.backup(tmp_path / "copy")


def test_a_backup_beside_changes_is_whole(storage, tmp_path):
    for n in range(30):
        upload(storage, SOUND, f"{n}.wav")
    ended = threading.Event()

    def churn():
        n = 0
        while not ended.is_set():
            n += 1
            upload(storage, (SOUND, OTHER, THIRD)[n % 3], f"{n % 30}.wav", overwrite=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for n in range(3):
            assert storage.backup(tmp_path / f"copy{n}") == 30
    finally:
        ended.set()
        thread.join()
    for n in range(3):
        with Storage(tmp_path / f"copy{n}", create=False) as copy:
            assert leftovers(copy) == [] and copy.list(listing.parse([])).total == 30


def test_a_dump_has_the_accounts_and_their_next_number(storage, tmp_path):
    for name in ("ann", "bob"):
        assert storage.people.add(name, "kept", False, 0)
    assert storage.people.remove(2)
    with contextlib.closing(sqlite3.connect(str(tmp_path / "again.db"))) as db:
        db.executescript("\n".join(storage.dump()))
        assert db.execute("SELECT id, name FROM accounts").fetchall() == [(1, "ann")]
        db.execute("INSERT INTO accounts (name, password, created_ms) VALUES ('carl', '', 0)")
        assert db.execute("SELECT id FROM accounts WHERE name = 'carl'").fetchall() == [(3,)]


def test_a_dump_makes_the_same_catalogue_again(storage, tmp_path):
    kept = upload(storage, SOUND, "it's.wav", metadata={"k": "v;\n--"})
    db = sqlite3.connect(str(tmp_path / "again.db"))
    db.executescript("\n".join(storage.dump()))
    assert db.execute("SELECT record FROM files").fetchall() == [(kept.record,)]
    assert db.execute("PRAGMA user_version").fetchone() == (migrations.version_in((ROOT / "schema.sql").read_text("utf-8")),)
    db.close()


def test_a_dump_put_in_place_of_the_catalogue_serves(tmp_path):
    with Storage(tmp_path, free_space_kept=0) as storage:
        kept = upload(storage, SOUND, "moon.wav")
        script = "\n".join(storage.dump())
    for path in tmp_path.glob("catalogue.db*"):
        path.unlink()
    db = sqlite3.connect(str(tmp_path / "catalogue.db"))
    db.executescript(script)
    db.close()
    with Storage(tmp_path, create=False) as storage:
        assert content(storage, id=kept.id) == SOUND and found(storage, "q=moo") == ["moon.wav"]
        assert storage.check(deep=True).is_sound
