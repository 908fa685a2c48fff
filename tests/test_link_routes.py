"""Links and drops over a real socket: what they let in, what they keep out, and what nobody
learns from them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading

import pytest
from people import Person, ask
from support import PROGRAM, Running, raw, request, wav

from audiokit.routes import without_secret
from storage import Storage

SOUND, OTHER, LONGER = wav(), wav(pitch_hz=300.0), wav(0.2)


class House:
    """A locked server with two people and an admin, and a clock that can be set."""

    def __init__(self, server):
        self.server = server
        self.ann, self.bob = Person(server, "ann"), Person(server, "bob")
        self.root = Person(server, "root", admin=True)
        server.server.authenticator.changed()
        self.file = self.ann.post("take%201.wav", SOUND)

    def pass_time(self, milliseconds):
        """From now on it is later."""
        services = self.server.server.services
        self.server.server.services = services._replace(now_ms=lambda: services.now_ms() + milliseconds)

    def link(self, person=None, file=None, **wishes):
        status, _, link = (person or self.ann).ask(
            "POST", f"/files/{file or self.file['id']}/links", json.dumps(wishes)
        )
        assert status == 201, link
        return link

    def drop(self, person=None, **wishes):
        status, _, drop = (person or self.ann).ask("POST", "/drops", json.dumps(wishes))
        assert status == 201, drop
        return drop

    def anybody(self, method, target, body=None, **headers):
        return ask(self.server, method, target, body, **headers)


@pytest.fixture
def house(server):
    return House(server)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A house for tests that leave it as it was, as far as the others can tell."""
    with Running(tmp_path_factory.mktemp("still") / "var") as server:
        yield House(server)


# -- signed links ----------------------------------------------------------------------------------


def test_a_link_gives_the_file_as_a_download_does(still):
    link = still.link(expires="24h", download=True)
    status, fields, body = still.anybody("GET", link["url"])
    assert (status, body) == (200, SOUND)
    usual = still.ann.ask("GET", f"/files/{still.file['id']}/content")[1]
    for name in (
        "etag",
        "content-type",
        "content-disposition",
        "content-security-policy",
        "x-content-type-options",
        "repr-digest",
        "accept-ranges",
    ):
        assert fields[name] == usual[name]
    status, fields, body = still.anybody("HEAD", link["url"])
    assert (status, body, fields["content-length"]) == (200, b"", str(len(SOUND)))
    status, fields, body = still.anybody("GET", link["url"], Range="bytes=4-7")
    assert (status, body, fields["content-range"]) == (206, SOUND[4:8], f"bytes 4-7/{len(SOUND)}")
    assert still.anybody("GET", link["url"], **{"If-None-Match": fields["etag"]})[0] == 304
    assert still.anybody("GET", link["url"], Range="bytes=99999999-")[0] == 416


def test_a_link_is_made_as_was_asked(still):
    link = still.link(download=False, expires=60)
    assert still.anybody("GET", link["url"])[1]["content-disposition"].startswith("inline")
    assert set(link) == {"id", "url", "expires", "download", "file", "created", "created_by"}
    assert (link["file"], link["created_by"]) == (still.file["id"], "ann")
    status, fields, link = still.ann.ask("POST", f"/files/{still.file['id']}/links")
    assert status == 201 and link["download"] is True, "no body: as usual"
    assert fields["location"] == "/links/" + link["id"]


@pytest.mark.parametrize(
    "wishes, parameter, why",
    [
        ({"expires": "0s"}, "expires", "over before it begins"),
        ({"expires": "367d"}, "expires", "longer than a year"),
        ({"expires": "soon"}, "expires", "no time"),
        ({"download": "yes"}, "download", "a word for a switch"),
        ({"file": "x"}, "file", "an unknown member"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_by_its_name(still, wishes, parameter, why):
    status, _, problem = still.ann.ask("POST", f"/files/{still.file['id']}/links", json.dumps(wishes))
    assert (status, problem["parameter"]) == (400, parameter), why


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_link_is_for_reading_alone(still, method):
    status, fields, _ = still.anybody(method, still.link()["url"], SOUND)
    assert status == 405 and fields["allow"] == "GET, HEAD, DELETE, OPTIONS"


def test_a_link_does_not_end_itself(still):
    link = still.link()
    assert still.anybody("DELETE", link["url"])[0] == 401
    assert still.ann.ask("DELETE", link["url"])[0] == 400, ("nor is the signature a parameter of that")
    assert still.anybody("GET", link["url"])[0] == 200


def test_a_changed_link_is_refused(still):
    url, other = still.link()["url"], still.link(download=False)["url"]
    for changed in (
        url + "&x=1",
        url + "0",
        url.replace("true", "false"),
        url.partition("?")[0],
        url.partition("&signature")[0],
        url.rpartition("=")[0] + "=" + other.rpartition("=")[2],
        url.replace("expires=", "expires=9"),
        other.partition("?")[0] + "?" + url.partition("?")[2],
        url + "&" + other.partition("?")[2],
    ):
        status, _, problem = still.anybody("GET", changed)
        assert (status, problem["code"]) == (403, "forbidden"), changed


def test_a_link_expires(house):
    link = house.link(expires="1h")
    house.pass_time(3_599_000)
    assert house.anybody("GET", link["url"])[0] == 200
    house.pass_time(2_000)
    status, _, problem = house.anybody("GET", link["url"])
    assert status == 403 and "expired" in problem["detail"]


def test_a_revoked_link_is_gone_at_once(still):
    link, other = still.link(), still.link()
    assert still.bob.ask("DELETE", "/links/" + link["id"])[0] == 404
    assert still.ann.ask("DELETE", "/links/" + link["id"])[0] == 204
    assert still.anybody("GET", link["url"])[0] == 404
    assert still.anybody("GET", other["url"])[0] == 200
    assert still.ann.ask("DELETE", "/links/" + link["id"])[0] == 404
    assert still.root.ask("DELETE", "/links/" + other["id"])[0] == 204, "an admin ends anybody's"


def test_the_links_of_a_file_are_listed_without_what_signs_them(house):
    made = [house.link(), house.link(house.root, download=False)]
    status, _, listed = house.ann.ask("GET", f"/files/{house.file['id']}/links")
    assert status == 200 and "signature" not in json.dumps(listed)
    said = [{key: value for key, value in link.items() if key != "url"} for link in made]
    assert sorted(listed["links"], key=lambda link: link["created_by"]) == said
    assert house.root.ask("GET", f"/files/{house.file['id']}/links")[2] == listed


def test_a_link_follows_its_file_and_ends_with_it(house):
    link, id = house.link(), house.file["id"]
    assert house.ann.ask("PATCH", "/files/" + id, '{"name": "new.wav"}')[0] == 200
    assert 'filename="new.wav"' in house.anybody("GET", link["url"])[1]["content-disposition"]
    assert house.ann.ask("POST", "/post?name=new.wav&overwrite=true", OTHER)[0] == 200
    assert house.anybody("GET", link["url"])[2] == OTHER
    assert house.ann.ask("DELETE", "/files/" + id)[0] == 204
    assert house.anybody("GET", link["url"])[0] == 404
    assert house.server.server.storage.links.of_file(id) == []


def test_a_link_ends_with_whoever_made_it(house):
    link = house.link()
    assert house.root.ask("PATCH", "/users/ann", '{"disabled": true}')[0] == 200
    assert house.anybody("GET", link["url"])[0] == 404
    assert house.root.ask("PATCH", "/users/ann", '{"disabled": false}')[0] == 200
    assert house.anybody("GET", link["url"])[0] == 200
    assert house.root.ask("DELETE", "/users/ann?files=keep")[0] == 204
    assert house.anybody("GET", link["url"])[0] == 404


def test_what_one_may_not_see_has_links_as_what_does_not_exist(still):
    for method, body in (("GET", None), ("POST", "{}")):
        hidden = still.bob.ask(method, f"/files/{still.file['id']}/links", body)
        missing = still.bob.ask(method, f"/files/{'a' * 24}/links", body)
        assert hidden[0] == missing[0] == 404
        assert json.dumps(hidden[2]).replace(still.file["id"], "a" * 24) == json.dumps(missing[2])


def test_a_link_shows_a_file_that_is_hidden_and_nothing_beside_it(still):
    link = still.link()
    query = link["url"].partition("?")[2]
    for target in (
        "/list",
        f"/files/{still.file['id']}",
        f"/files/{still.file['id']}/content",
        "/me",
    ):
        assert still.anybody("GET", target + "?" + query)[0] == 401
    body = still.bob.ask("GET", link["url"])
    assert body[0] == 200, "a credential neither helps nor hinders"


def test_a_link_from_open_mode_and_its_key_survive_a_restart(running, tmp_path):
    with running(tmp_path / "var") as server:
        _, _, file = ask(server, "POST", "/post?name=a.wav", SOUND)
        status, _, link = ask(server, "POST", f"/files/{file['id']}/links", "{}")
        assert status == 201 and link["created_by"] is None
    key = tmp_path / "var" / "link.key"
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with running(tmp_path / "var") as server:
        assert ask(server, "GET", link["url"])[2] == SOUND
    key.unlink()
    with running(tmp_path / "var") as server:
        assert ask(server, "GET", link["url"])[0] == 403, ("without its key the signature fits no more")


def test_the_key_is_in_no_backup_and_goes_with_the_folder(running, tmp_path):
    with running(tmp_path / "var") as server:
        _, _, file = ask(server, "POST", "/post?name=a.wav", SOUND)
        link = ask(server, "POST", f"/files/{file['id']}/links", "{}")[2]
        server.server.storage.backup(tmp_path / "backup")
    assert not (tmp_path / "backup" / "link.key").exists()
    with running(tmp_path / "backup") as server:
        assert ask(server, "GET", link["url"])[0] == 403
        assert ask(server, "DELETE", "/links/" + link["id"])[0] == 204, "its row is there to end"
    Storage.destroy(tmp_path / "var")
    assert not (tmp_path / "var" / "link.key").exists()


def test_a_key_that_is_none_keeps_the_server_from_starting_in_words(tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "link.key").write_text("short\n")
    done = subprocess.run(
        [*PROGRAM, "--port", "0", "--data", str(tmp_path / "var")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (
        done.returncode == 1
        and "link.key holds no key" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_a_link_is_a_whole_url_where_the_server_knows_its_name(running):
    house = House(running(public_url="https://audio.example/files"))
    assert house.link()["url"].startswith("https://audio.example/files/links/")
    assert house.drop()["url"].startswith("https://audio.example/files/drop/drop_")


# -- drops -----------------------------------------------------------------------------------------


def test_what_comes_through_a_drop_is_the_owners_and_validated(house):
    drop = house.drop(files=3, bytes="1MiB", minutes=2, expires="7d", note="the band")
    status, fields, receipt = house.anybody("POST", drop["url"] + "?name=take.wav&meta.by=joe", SOUND)
    assert status == 201 and "location" not in fields
    record = house.ann.ask("GET", "/info?name=take.wav")[2]
    assert record["metadata"] == {"by": "joe"} and record["uploaded_by"] is None
    assert receipt == {key: value for key, value in record.items() if key not in ("id", "uploaded_by", "shared")}
    assert house.anybody("POST", drop["url"], b"no audio")[2]["code"] == "not-audio"
    assert house.anybody("POST", drop["url"], SOUND[:40])[0] in (415, 422)
    assert house.anybody("POST", drop["url"] + "?name=../x", SOUND)[2]["code"] == "bad-name"
    assert (
        house.anybody("POST", drop["url"], SOUND, **{"Content-Digest": "sha-256=:%s=:" % ("A" * 43)})[2]["code"]
        == "digest-mismatch"
    )
    assert house.bob.ask("GET", "/list")[2]["total"] == 0
    (listed,) = house.ann.ask("GET", "/drops")[2]["drops"]
    assert listed["used"] == {"files": 1, "bytes": len(SOUND), "minutes": 0.1 / 60}
    assert {key: listed[key] for key in ("files", "bytes", "minutes", "note", "account")} == {
        "files": 3,
        "bytes": 1 << 20,
        "minutes": 2,
        "note": "the band",
        "account": "ann",
    }
    assert "url" not in listed and "digest" not in listed


def test_out_of_a_drop_comes_nothing(still):
    drop = still.drop()
    for method in ("PATCH", "DELETE", "PUT"):
        assert still.anybody(method, drop["url"])[0] == 405
    token = drop["url"].rpartition("/")[2]
    shown, never = [still.anybody("GET", url) for url in (drop["url"], "/drop/" + "x" * len(token))]
    assert shown[0] == never[0] == 200 and shown[1]["content-type"].startswith("text/html")
    assert shown[2] == never[2], "the page for uploads, which knows nothing of the drop"
    assert still.anybody("GET", "/list", Authorization="Bearer " + token)[0] == 401
    assert still.anybody("GET", "/drops/" + drop["id"])[0] == 405


def test_a_drop_does_not_tell_what_its_owner_has(house):
    """Neither a name that is taken nor bytes that are there can be told from those that are not."""
    drop = house.drop()
    mine = house.file
    answers = [
        house.anybody("POST", f"{drop['url']}?name={name}", data)
        for name, data in (("take%201.wav", SOUND), ("take%201.wav", OTHER), ("free.wav", SOUND))
    ]
    assert [status for status, _, _ in answers] == [201] * 3
    assert [receipt["name"] for _, _, receipt in answers] == [
        "take 1.wav",
        "take 1.wav",
        "free.wav",
    ]
    unnamed = [house.anybody("POST", drop["url"], SOUND)[2] for _ in range(2)]
    assert unnamed[0]["name"] == unnamed[1]["name"]
    assert house.ann.ask("GET", "/files/" + mine["id"])[2] == mine, "nothing was replaced"
    names = [file["name"] for file in house.ann.ask("GET", "/list?sort=name")[2]["files"]]
    first = unnamed[0]["name"]
    assert sorted(names) == sorted(
        [
            first,
            first.replace(".wav", "-2.wav"),
            "free.wav",
            "take 1-2.wav",
            "take 1-3.wav",
            "take 1.wav",
        ]
    )


def test_nothing_is_replaced_through_a_drop(house):
    drop = house.drop()
    status, _, problem = house.anybody("POST", drop["url"] + "?name=take%201.wav&overwrite=true", OTHER)
    assert (status, problem["parameter"]) == (400, "overwrite")
    body = (
        b'--b\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--b\r\n'
        b'Content-Disposition: form-data; name="f"; filename="take 1.wav"\r\n\r\n'
        + OTHER
        + b"\r\n--b--\r\n"
    )
    status, _, problem = house.anybody("POST", drop["url"], body, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert (status, problem["parameter"]) == (400, "overwrite")
    assert house.ann.ask("GET", "/download?name=take%201.wav")[2] == SOUND


@pytest.mark.parametrize(
    "limits",
    [
        {"files": 1},
        {"bytes": len(SOUND)},
        {"minutes": 0.1 / 60},
        {"bytes": len(SOUND) + 10},
        {"minutes": 0.15 / 60},
    ],
    ids=str,
)
def test_the_limits_of_a_drop_hold_and_look_alike(still, limits):
    drop = still.drop(**limits)
    assert still.anybody("POST", drop["url"], SOUND)[0] == 201
    status, _, problem = still.anybody("POST", drop["url"], OTHER)
    assert (status, problem["code"]) == (413, "over-quota")
    assert (
        problem["detail"] == "the drop takes no more, or not as much as this"
        and "limit" not in problem
    )
    drops = {drop["id"]: drop for drop in still.ann.ask("GET", "/drops")[2]["drops"]}
    assert drops[drop["id"]]["used"]["files"] == 1


def test_a_full_drop_refuses_before_the_body(still):
    drop = still.drop(bytes=100)
    head = f"POST {drop['url']} HTTP/1.1\r\nHost: localhost\r\n"
    head += "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n"
    answer = raw(still.server.address, head.encode(), end=False)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"100 Continue" not in answer


def test_the_owners_quota_holds_for_a_drop_and_is_not_told(house):
    assert house.root.ask("PATCH", "/users/ann", json.dumps({"quota": {"files": 2}}))[0] == 200
    drop = house.drop(files=5)
    assert house.anybody("POST", drop["url"], SOUND)[0] == 201
    problem = house.anybody("POST", drop["url"], OTHER)[2]
    assert problem["code"] == "over-quota" and not {"limit", "quota"} & set(problem)
    assert (
        house.root.ask("PATCH", "/users/ann", json.dumps({"quota": {"files": None, "seconds": 0.25}}))[0]
        == 200
    )
    late = house.anybody("POST", drop["url"], LONGER)[2]
    assert late == problem, "told once the length is known, in the same words"


def test_uploads_at_once_cannot_pass_the_limit_of_a_drop_together(house):
    drop, found, start = house.drop(files=3), [], threading.Barrier(8)

    def upload():
        start.wait()
        found.append(house.anybody("POST", drop["url"] + "?name=same.wav", SOUND)[0])

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] * 3 + [413] * 5
    assert house.ann.ask("GET", "/drops")[2]["drops"][0]["used"]["files"] == 3
    assert house.ann.ask("GET", "/list")[2]["total"] == 4
    assert not house.server.server.storage.check().problems


def test_what_was_removed_stays_counted(still):
    drop = still.drop(files=1)
    assert still.anybody("POST", drop["url"] + "?name=a.wav", SOUND)[0] == 201
    id = still.ann.ask("GET", "/info?name=a.wav")[2]["id"]
    assert still.ann.ask("DELETE", "/files/" + id)[0] == 204
    assert still.anybody("POST", drop["url"], SOUND)[0] == 413


def test_a_drop_that_is_not_open_looks_as_one_that_never_was(house):
    ended, expired, left = house.drop(), house.drop(expires="1h"), house.drop(house.bob)
    assert house.bob.ask("DELETE", "/drops/" + ended["id"])[0] == 404
    assert house.ann.ask("DELETE", "/drops/" + ended["id"])[0] == 204
    assert house.ann.ask("DELETE", "/drops/" + ended["id"])[0] == 404
    assert house.root.ask("DELETE", "/users/bob")[0] == 204
    house.pass_time(3_601_000)
    never = "/drop/drop_" + "A" * 43
    answers = [
        house.anybody("POST", url, SOUND)
        for url in (ended["url"], expired["url"], left["url"], never, "/drop/x")
    ]
    assert all((status, body) == (404, answers[0][2]) for status, _, body in answers)
    assert house.ann.ask("GET", "/list")[2]["total"] == 1


def test_a_drop_that_ends_during_an_upload_takes_nothing(house):
    import socket

    drop = house.drop()
    head = f"POST {drop['url']} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {len(SOUND)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(house.server.address, timeout=60) as sock:
        sock.sendall(head.encode() + SOUND[:100])
        while not list((house.server.data / "uploads").iterdir()):  # until the head was read and taken
            pass
        assert house.ann.ask("DELETE", "/drops/" + drop["id"])[0] == 204
        sock.sendall(SOUND[100:])
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert house.ann.ask("GET", "/list")[2]["total"] == 1
    assert not house.server.server.storage.check().problems


def test_files_stay_when_their_drop_ends(still):
    drop = still.drop()
    assert still.anybody("POST", drop["url"] + "?name=stays.wav", SOUND)[0] == 201
    assert still.ann.ask("DELETE", "/drops/" + drop["id"])[0] == 204
    assert still.ann.ask("GET", "/download?name=stays.wav")[2] == SOUND


def test_one_lists_ones_own_drops_and_an_admin_all(house):
    mine, theirs = house.drop()["id"], house.drop(house.bob)["id"]
    for person, ids in ((house.ann, [mine]), (house.bob, [theirs]), (house.root, [mine, theirs])):
        assert sorted(drop["id"] for drop in person.ask("GET", "/drops")[2]["drops"]) == sorted(ids)


def test_whoever_may_only_read_in_public_sees_no_drops_and_no_links(running):
    house = House(running(public_read=True))
    house.link(), house.drop()
    assert house.anybody("GET", f"/files/{house.file['id']}")[0] == 200
    for target in ("/drops", f"/files/{house.file['id']}/links", "/me", "/tokens"):
        assert house.anybody("GET", target)[0] == 401


@pytest.mark.parametrize(
    "wishes, parameter",
    [
        ({"files": -1}, "files"),
        ({"bytes": "many"}, "bytes"),
        ({"minutes": "5m"}, "minutes"),
        ({"note": "a\nb"}, "note"),
        ({"note": "x" * 201}, "note"),
        ({"expires": "0"}, "expires"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_a_drop_that_cannot_be_is_refused_by_its_name(still, wishes, parameter):
    before = still.ann.ask("GET", "/drops")[2]
    status, _, problem = still.ann.ask("POST", "/drops", json.dumps(wishes))
    assert (status, problem["parameter"]) == (400, parameter)
    assert still.ann.ask("GET", "/drops")[2] == before


# -- what is written down --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, path",
    [
        ("/drop/drop_secret", "/drop/***"),
        ("/drop/drop_secret/more?x=1", "/drop/***"),
        ("/%64rop/drop_secret", "/drop/***"),
        ("/drop/%64rop_secret", "/drop/***"),
        ("http://localhost/drop/drop_secret", "http://localhost/drop/***"),
        ("/drops/id", "/drops/id"),
        ("/links/id?download=true&signature=secret", "/links/id"),
        ("/files/id%20x", "/files/id%20x"),
        ("", ""),
    ],
)
def test_no_secret_of_a_path_is_written_down(target, path):
    assert without_secret(target) == path


def test_no_secret_of_a_link_or_a_drop_is_in_the_log(tmp_path):
    """A whole life, with every refusal on the way; then the log is read."""
    server = subprocess.Popen(
        [*PROGRAM, "--port", "0", "--data", str(tmp_path / "var")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    host, port = server.stdout.readline().strip().rpartition("//")[2].split(":")
    address = (host, int(port))

    def tell(method, target, body=None, headers=None):
        status, _, answer = request(address, method, target, body, headers)
        return status, answer

    _, file = tell("POST", "/post?name=a.wav", SOUND)
    link = json.loads(tell("POST", f"/files/{json.loads(file)['id']}/links", "{}")[1])
    drop = json.loads(tell("POST", "/drops", "{}")[1])
    secret, signature = drop["url"].rpartition("/")[2], link["url"].rpartition("=")[2]
    found = [
        tell("GET", link["url"])[0],
        tell("GET", link["url"] + "x")[0],
        tell("POST", link["url"])[0],
        tell("POST", drop["url"], SOUND)[0],
        tell("POST", drop["url"].replace("drop", "%64rop", 1), SOUND)[0],
        tell("POST", drop["url"], b"no audio")[0],
        tell("GET", drop["url"])[0],
        tell("POST", drop["url"] + "/x", SOUND)[0],
        tell("POST", drop["url"], SOUND, {"Origin": "http://evil.example"})[0],
        tell("POST", "/post", SOUND, {"Origin": "http://evil.example", "Referer": drop["url"]})[0],
    ]
    server.terminate()
    log = server.communicate(timeout=60)[1]
    assert found == [200, 403, 405, 201, 201, 415, 200, 404, 403, 403]
    assert secret[5:] not in log and signature not in log
    assert log.count("/drop/***") >= 6 and f"came through drop {drop['id']}" in log
