"""Conversions of servers that share a catalogue: begun at one, known to all, not lost with the one that made them."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from contextlib import closing

import pytest
from members import TTL, heard, kept, once_it_is_asked, stored_order
from support import eventually, request
from test_jobs import AS_IT_IS, ORDER, SOUND, ByHand
from tiny_s3 import says

import audiometa
from audiokit.catalogue.jobs import QUEUED
from audiokit.job import DONE, FAILED, RUNNING
from audiokit.jobs import Jobs
from audiokit.wire.problems import Refusal
from storage import Storage


@pytest.fixture
def pair(member):
    return member("a"), member("b")


# -- one is asked, another one knows -------------------------------------------------------------------------------


def test_what_one_server_began_every_server_knows_at_once(pair):
    a, b = pair
    id = a.begin()
    assert b.status(id)["status"] == QUEUED
    assert {**b.status(id), "position": 1} == a.status(id)


def test_how_far_it_is_comes_to_the_others(pair):
    a, b = pair
    id = a.begin()
    a.converter.begun[0][3](0.25)
    status = eventually(lambda: b.status(id)["progress"] == 0.25 and b.status(id))
    assert status["status"] == RUNNING and status["result"] is None and status["position"] is None


def test_its_result_is_in_the_store_and_nothing_is_left_where_it_was_made(pair, tiny):
    a, b = pair
    id = a.done()
    assert a.status(id) == b.status(id)
    assert b.status(id)["result"] == f"/resample/{id}/result" and b.status(id)["size"] == len(SOUND)
    assert b.status(id)["progress"] == 1 and b.status(id)["expires"].endswith("Z")
    assert [tiny.objects[name][0] for name in kept(tiny)] == [SOUND[::-1]]
    eventually(lambda: os.listdir(str(a.folder)) == [])


def test_a_result_that_was_delivered_whole_is_gone_for_all(pair, tiny):
    a, b = pair
    id = a.done()
    assert b.deliver(id) == SOUND[::-1]
    eventually(lambda: b.is_gone(id) and not kept(tiny))
    assert a.code(id) == b.code(id) == "gone"


def test_ranges_from_several_servers_that_cover_the_result_deliver_it(pair, tiny):
    a, b = pair
    id, middle = a.done(), len(SOUND) // 2
    assert b.deliver(id, 0, middle) == SOUND[::-1][:middle]
    eventually(lambda: b.board.named(id).delivered == f"[[0, {middle}]]")
    b.deliver(id, 5, middle)
    a.deliver(id, middle)
    eventually(lambda: b.is_gone(id) and not kept(tiny))


def test_an_answer_that_broke_off_delivers_nothing(pair):
    a, b = pair
    id = a.done()
    b.jobs.answered(b.jobs.find(id), [(0, len(SOUND))], False)
    assert b.deliver(id, 0, 5) == SOUND[::-1][:5]
    eventually(lambda: b.board.named(id).delivered == "[[0, 5]]")


def test_what_is_as_wanted_goes_the_same_way(pair):
    a, b = pair
    id = a.done(AS_IT_IS)
    assert b.deliver(id) == SOUND


def test_a_failure_is_told_by_all_in_the_same_words(pair):
    a, b = pair
    id = a.begin()
    a.converter.finish(failure=Refusal("damaged-audio", "no frame in it", offset=44))
    assert b.wait(id, FAILED) == a.status(id)
    failure = b.jobs.find(id).failure
    assert (failure.status, failure.detail, failure.members) == (422, "no frame in it", {"offset": 44})
    eventually(lambda: os.listdir(str(a.folder)) == [])


def test_what_is_saved_is_a_file_of_all(pair):
    a, b = pair
    id = a.done(AS_IT_IS._replace(save_as="kept.wav"))
    file = b.jobs.find(id).file_id
    assert b.storage.content(name="kept.wav").id == file
    assert b.status(id)["result"] == f"/files/{file}/content" and b.jobs.find(id).result is None


@pytest.mark.parametrize("state", [QUEUED, DONE])
def test_what_another_owner_began_is_not_there_for_anybody_else(pair, state):
    a, b = pair
    id = a.done(owner=5) if state == DONE else a.begin(owner=5)
    assert [one.code(id, 6) for one in pair] == ["not-found"] * 2
    assert b.status(id, 5) and b.status(id, None)
    b.jobs.remove(b.jobs.find(id, 5))
    assert [one.code(id, 6) for one in pair] == ["not-found"] * 2
    assert [one.code(id, 5) for one in pair] == ["gone"] * 2
    assert b.code("never-was") == "not-found"


def test_a_client_that_waits_needs_no_board(pair):
    a, _ = pair
    job = a.jobs.add(ORDER, lambda path: open(path, "wb").close(), False)
    assert a.catalogue.read("SELECT count(*) FROM jobs") == [(0,)] and a.code(job.id) == "not-found"
    a.jobs.follow(job, lambda job: None)
    assert not a.jobs._followers, "the board knows nothing of it"
    a.jobs.cancel(job)
    eventually(lambda: os.listdir(str(a.folder)) == [])


# -- following -----------------------------------------------------------------------------------------------------


def test_a_follower_at_another_server_hears_every_stage_and_the_end(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(b, id)
    a.converter.begun[0][3](0.5)
    eventually(lambda: told[-1]["progress"] == 0.5)
    a.converter.finish()
    assert over.wait(60)
    assert [status["status"] for status in told][0] == QUEUED and told[-1] == b.status(id)


def test_who_stops_following_hears_no_more(pair):
    a, b = pair
    id = a.begin()
    first, _, stop = heard(b, id)
    second, over, _ = heard(b, id)
    stop()
    a.converter.finish()
    assert over.wait(60) and all(status["status"] != DONE for status in first)
    assert not b.jobs._followers


def test_who_follows_what_is_over_is_told_once(pair):
    a, b = pair
    told, over, stop = heard(b, a.done())
    assert over.is_set() and told[0]["status"] == DONE
    stop()
    assert not b.jobs._followers


# -- removing ------------------------------------------------------------------------------------------------------


def test_what_is_removed_elsewhere_is_cancelled_where_it_runs(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(a, id)
    b.jobs.remove(b.jobs.find(id))
    assert a.code(id) == "gone"
    assert over.wait(60) and told[-1]["problem"]["code"] == "gone"
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])


def test_a_follower_elsewhere_is_told_of_a_removal(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(b, id)
    a.jobs.remove(a.jobs.find(id))
    assert over.wait(60) and (told[-1]["status"], told[-1]["problem"]["code"]) == (FAILED, "gone")
    eventually(lambda: a.converter.cancelled)  # by whichever thread of its saw that first


def test_what_is_removed_while_its_result_goes_to_the_store_leaves_nothing_there(pair, tiny):
    a, b = pair
    id = a.begin()
    removed = threading.Event()

    def meanwhile(handler):
        b.jobs.remove(b.jobs.find(id))
        removed.set()
        return False

    tiny.faults.append(meanwhile)
    a.converter.finish()
    assert removed.wait(60)
    eventually(lambda: not a.jobs._ending and not kept(tiny))
    assert a.code(id) == "gone" and os.listdir(str(a.folder)) == []


def test_what_nobody_fetches_goes_with_its_time_whoever_is_there(pair, clock, tiny, member):
    a, b = pair
    id, failed = a.done(), a.begin()
    a.converter.finish(1, failure=Refusal("damaged-audio", "no frame in it"))
    b.wait(failed, FAILED)
    clock.now += TTL + 1
    assert b.code(id) == b.code(failed) == "gone"
    c = member("c")  # looks around when it begins
    eventually(lambda: c.is_gone(id) and c.is_gone(failed) and not kept(tiny))


def test_what_is_gone_is_forgotten_after_a_day(pair, clock, member):
    a, b = pair
    id = a.done()
    b.jobs.remove(b.jobs.find(id))
    clock.now += 86_401
    c = member("c")
    eventually(lambda: c.board.named(id) is None)
    assert b.code(id) == "not-found"


# -- servers end ---------------------------------------------------------------------------------------------------


def test_a_result_outlives_the_server_that_made_it(member):
    a, b = member("a"), member("b")
    id = a.done()
    a.close()
    a.close = lambda: None
    assert b.deliver(id) == SOUND[::-1]


def test_a_server_that_is_back_goes_on_with_what_it_had_begun(member):
    a, b = member("a"), member("b")
    id = a.begin()
    a = member("a")
    a.converter.wait(1)
    assert b.status(id)["status"] == QUEUED
    a.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_a_server_that_is_back_drops_what_was_removed_meanwhile(member):
    a, b = member("a"), member("b")
    id = a.begin()
    a.jobs.close()
    b.jobs.remove(b.jobs.find(id))
    a.jobs.close = lambda: None
    a = member("a")
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert a.code(id) == "gone"


# -- engines fail --------------------------------------------------------------------------------------------------


def test_while_the_catalogue_is_away_nothing_begins_and_nothing_is_left(pair):
    a, _ = pair
    a.catalogue.is_away = True
    with pytest.raises(Refusal) as caught:
        a.begin()
    a.catalogue.is_away = False
    assert (caught.value.code, dict(caught.value.headers)) == ("busy", {"Retry-After": "5"})
    assert os.listdir(str(a.folder)) == []


def test_what_is_refused_is_done_by_nobody_although_the_catalogue_has_it(member, tiny):
    a = member("a")
    order = stored_order(a)._replace(save_as="made.wav")
    a.catalogue.is_mute = True
    with pytest.raises(Refusal) as caught:
        a.begin(order)
    assert caught.value.code == "busy"
    a.catalogue.is_mute = False
    eventually(lambda: not a.jobs._withdrawn)
    assert a.catalogue.read("SELECT state FROM jobs") == [("gone",)]
    assert len(kept(tiny)) == 1, "the stored file itself"


def test_an_input_that_the_store_took_and_refused_does_not_stay_there(member, tiny):
    a = member("a")

    def taken(handler):
        tiny.objects[handler.path[len("/tiny/"):]] = (SOUND, 5.0)
        return says(403, "AccessDenied")(handler)

    once_it_is_asked(tiny, "PUT", taken)
    with pytest.raises(Refusal):
        a.begin()
    assert not kept(tiny) and os.listdir(str(a.folder)) == []


def test_where_nothing_can_be_noted_no_input_stays_in_the_store(member, tiny):
    a = member("a")

    def put(path):
        os.mkdir(os.path.join(os.path.dirname(path), "job.new"))  # where the note would be written
        with open(path, "wb") as file:
            file.write(SOUND)

    with pytest.raises(OSError):
        a.jobs.add(ORDER, put, True)
    assert not kept(tiny) and os.listdir(str(a.folder)) == []


def test_what_ends_while_the_catalogue_is_away_is_published_when_it_is_back(pair):
    a, b = pair
    id = a.begin()
    a.catalogue.is_away = True
    a.converter.finish()
    eventually(lambda: a.jobs._put_off)
    assert b.status(id)["status"] in (QUEUED, RUNNING)
    a.catalogue.is_away = False
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_what_cannot_become_a_file_while_the_catalogue_is_away_may_be_asked_for_again(pair):
    a, b = pair
    job = a.add(AS_IT_IS._replace(save_as="b.wav"))
    a.catalogue.is_away = True
    a.jobs.start(job)
    eventually(lambda: a.jobs._put_off)
    a.catalogue.is_away = False
    assert b.wait(job.id, FAILED)["problem"]["code"] == "busy"


def test_what_ends_while_the_store_refuses_is_stored_when_it_does_not(pair, tiny):
    a, b = pair
    id = a.begin()
    tiny.faults += [says(403, "AccessDenied")] * 3
    a.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_a_result_that_cannot_be_kept_is_a_failure_in_words(pair, tiny, monkeypatch):
    a, b = pair

    def full(key, path, size, sha256):
        raise Refusal("no-space", "the disk is full")

    monkeypatch.setattr(a.storage.results, "put", full)
    id = a.begin()
    a.converter.finish()
    assert b.wait(id, FAILED)["problem"]["code"] == "no-space"
    eventually(lambda: not kept(tiny))
    assert not a.bugs


def test_what_is_done_is_never_told_without_its_bytes(pair, tiny):
    a, b = pair
    id = a.begin()

    def collected(handler):
        key = handler.path.rpartition("/")[2]
        b.catalogue.write([("INSERT INTO removals (key, since_ms) VALUES (?, 5)", (key,))])
        once_it_is_asked(tiny, "DELETE", away)
        return False

    def away(handler):
        a.catalogue.is_away = True
        return False

    once_it_is_asked(tiny, "PUT", collected)
    a.converter.finish()
    eventually(lambda: a.catalogue.is_away and a.jobs._put_off)
    a.catalogue.is_away = False
    eventually(lambda: b.board.named(id).is_over)
    assert b.status(id)["problem"]["code"] == "internal" and b.jobs.find(id).result is None
    assert [type(bug) for bug in a.bugs] == [FileNotFoundError]
    a.bugs.clear()


def test_a_disk_that_fails_is_a_failure_and_a_line_in_the_log(pair, monkeypatch):
    a, b = pair

    def broken(key, path, size, sha256):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(a.storage.results, "put", broken)
    id = a.begin()
    a.converter.finish()
    assert b.wait(id, FAILED)["problem"]["code"] == "internal"
    assert [error.errno for error in a.bugs] == [errno.EIO]
    a.bugs.clear()


def test_bytes_that_vanished_are_gone_for_who_asks(pair, tiny):
    a, b = pair
    id = a.done()
    for name in kept(tiny):
        del tiny.objects[name]
    with pytest.raises(Refusal) as caught:
        b.deliver(id)
    assert caught.value.code == "gone"


def test_the_collector_takes_no_result_that_somebody_may_fetch(pair, tiny):
    a, b = pair
    id = a.done()
    assert b.storage.collect(0.0) == [] and len(kept(tiny)) == 1
    tiny.objects["p/files/ff/" + "f" * 32] = (b"left by a crash", 5.0)
    assert b.storage.collect(0.0) == ["f" * 32]
    assert b.deliver(id) == SOUND[::-1]


def test_no_backup_has_conversions(pair, tmp_path):
    a, b = pair
    a.done()
    assert b.storage.backup(tmp_path / "copy") == 0
    with closing(sqlite3.connect(str(tmp_path / "copy" / "catalogue.db"))) as copy:
        assert copy.execute("SELECT count(*) FROM jobs").fetchall() == [(0,)]


def test_a_move_ends_conversions_and_none_begins_until_it_is_over(pair):
    a, b = pair
    done, running = a.done(), a.begin()
    freeze = "INSERT OR IGNORE INTO places (what, word, address) VALUES ('moving', 'word', 'elsewhere')"
    b.catalogue.write([(freeze, ())])
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])
    assert b.code(done) == a.code(running) == "gone"
    with pytest.raises(Refusal) as caught:
        b.begin()
    assert (caught.value.code, dict(caught.value.headers)) == ("busy", {"Retry-After": "60"})
    assert os.listdir(str(b.folder)) == []
    b.storage.cancel_move()
    assert a.status(b.begin())["status"] == QUEUED


def test_a_folders_conversions_do_not_come_along_into_a_cluster_and_go_from_the_disk(member, clock, tmp_path):
    with Storage(tmp_path / "a", free_space_kept=0) as storage:
        converter, bugs = ByHand(), []
        folder = tmp_path / "a" / "conversions"
        before = Jobs(folder, converter, storage, audiometa.identify, most=9, result_ttl=TTL, on_bug=bugs.append, clock=clock)

        def put(path):
            with open(path, "wb") as file:
                file.write(SOUND)

        done, unfinished = (before.add(ORDER, put, True) for _ in range(2))
        before.start(done)
        before.start(unfinished)
        converter.finish(0)
        eventually(lambda: before.status(done)["status"] == DONE)
        before.close()
    a = member("a")
    assert a.code(done.id) == a.code(unfinished.id) == "not-found"
    eventually(lambda: os.listdir(str(folder)) == [done.id])
    clock.now += TTL + 1
    again = member("a")
    eventually(lambda: os.listdir(str(folder)) == [])
    assert again.converter.begun == [] and not bugs


# -- over sockets --------------------------------------------------------------------------------------------------


@pytest.fixture
def servers(tiny, repeating, running, tmp_path):
    """Two real ones."""
    where = {"catalogue": "rqlite://127.0.0.1:4001", "blobs": tiny.url("p"), "jobs": 1}
    return running(tmp_path / "a", **where), running(tmp_path / "b", **where)


def begun(server, parameters="rate=8000&format=wav", body=SOUND):
    status, fields, text = request(server.address, "POST", f"/resample?async=true&{parameters}", body)
    assert status == 202, text
    return fields["location"]


def last_event(server, where):
    status, _, body = request(server.address, "GET", where + "/events")
    assert status == 200
    return json.loads(body.decode().strip().split("\n\n")[-1][6:])


def test_a_conversion_begun_at_one_server_is_fetched_from_the_other(servers, tiny):
    a, b = servers
    where = begun(a, "rate=8000&format=wav&name=in.wav")
    status = last_event(b, where)
    assert (status["status"], status["size"], status["done"]) == ("done", len(SOUND), "passthrough")
    assert json.loads(request(a.address, "GET", where)[2]) == status
    result = where + "/result"
    for server in servers:
        code, fields, body = request(server.address, "HEAD", result)
        assert (code, fields["content-length"], body) == (200, str(len(SOUND)), b"")
        assert fields["content-type"] == "audio/wav"
        assert fields["x-resample"] == "passthrough" and 'filename="in.wav"' in fields["content-disposition"]
        ranged = request(server.address, "GET", result, headers={"Range": "bytes=5-9"})
        assert (ranged[0], ranged[2], ranged[1]["content-range"]) == (206, SOUND[5:10], f"bytes 5-9/{len(SOUND)}")
        assert request(server.address, "GET", result, headers={"If-None-Match": fields["etag"]})[0] == 304
        assert request(server.address, "GET", result, headers={"If-Match": '"x"'})[0] == 412
        assert request(server.address, "GET", result, headers={"Range": f"bytes={len(SOUND)}-"})[0] == 416
    assert request(b.address, "GET", result)[2] == SOUND
    for server in servers:
        eventually(lambda: request(server.address, "GET", where)[0] == 410)
    eventually(lambda: not kept(tiny))  # the row goes first


def test_a_file_stored_at_one_server_is_converted_at_the_other(servers):
    a, b = servers
    record = json.loads(request(a.address, "POST", "/post?name=in.wav", SOUND)[2])
    for source in ("source=in.wav", "id=" + record["id"]):
        assert request(b.address, "POST", f"/resample?{source}&rate=8000&format=wav")[2] == SOUND
        where = begun(b, f"{source}&rate=8000&format=wav", None)
        assert last_event(a, where)["status"] == "done"
        assert request(a.address, "GET", where + "/result")[2] == SOUND


def test_a_conversion_is_removed_at_the_other_server_and_saved_there(servers):
    a, b = servers
    where = begun(a)
    last_event(b, where)
    assert [request(server.address, "DELETE", where)[0] for server in (b, a)] == [204, 410]
    where = begun(a, "rate=8000&format=wav&save_as=kept.wav")
    status = last_event(b, where)
    code, fields, _ = request(b.address, "GET", where + "/result")
    assert (code, fields["location"]) == (303, status["file"] + "/content")
    assert request(b.address, "GET", fields["location"])[2] == SOUND
    assert request(b.address, "GET", "/resample/never-was")[0] == 404
