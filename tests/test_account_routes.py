"""The page's log-in, one's own tokens, and what admins do, over a real socket."""

from __future__ import annotations

import itertools
import json
import threading

import pytest
from people import QUICK, Person, ask, basic
from support import Running, request, wav

from audiokit import credentials

SOUND = wav()
fresh = itertools.count()
EVIL = "http://evil.example"


class House:
    """A locked server with somebody and an admin; log-ins cost nothing."""

    def __init__(self, server):
        self.server = server
        server.server.authenticator._parameters = QUICK
        self.ann, self.root = Person(server, "ann"), Person(server, "root", admin=True)
        server.server.authenticator.changed()
        self.url = "http://%s:%d" % server.address

    def anybody(self, method, target, body=None, **headers):
        return ask(self.server, method, target, body, **headers)

    def log_in(self, name="ann", password="sesame of ann", **headers):
        """(status, fields, answer)"""
        return self.anybody("POST", "/session", json.dumps({"name": name, "password": password}), **headers)

    def cookie(self, **who):
        """What a browser would send from then on."""
        status, fields, answer = self.log_in(**who)
        assert status == 201, answer
        return fields["set-cookie"].partition(";")[0]

    def pass_time(self, milliseconds):
        authenticator = self.server.server.authenticator
        before = authenticator._clock_ms
        authenticator._clock_ms = lambda: before() + milliseconds


@pytest.fixture
def house(server):
    return House(server)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A house for tests that leave it as it was, as far as the others can tell."""
    with Running(tmp_path_factory.mktemp("still") / "var") as server:
        yield House(server)


# -- the page --------------------------------------------------------------------------------------


def test_a_log_in_is_a_cookie_that_opens_what_the_account_may(house):
    status, fields, me = house.log_in()
    assert status == 201 and (me["name"], me["credential"]) == ("ann", "session")
    value = fields["set-cookie"].partition(";")[0]
    assert fields["set-cookie"] == f"{value}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"
    assert house.anybody("GET", "/me", Cookie=value)[2] == me
    assert (house.anybody("POST", "/post?name=a.wav", SOUND, Cookie=value, Origin=house.url)[0] == 201)
    assert (
        house.anybody("GET", "/list", Cookie="other=1; " + value)[2]["files"][0]["uploaded_by"]
        == "ann"
    )
    assert house.anybody("GET", "/users", Cookie=value)[0] == 403
    assert house.anybody("GET", "/users", Cookie=house.cookie(name="ROOT"))[0] == 200, ("names have no case")
    rows = house.server.server.storage._catalogue.read("SELECT digest FROM sessions")
    assert (credentials.secret_digest(value.partition("=")[2]),) in rows, ("of the cookie only the digest is kept")


def test_a_log_out_ends_the_cookie_here_and_in_the_browser(still):
    first, second = still.cookie(), still.cookie()
    status, fields, _ = still.anybody("DELETE", "/session", Cookie=first)
    assert status == 204 and fields["set-cookie"].startswith("audioserver=; Path=/; Max-Age=0;")
    assert still.anybody("GET", "/me", Cookie=first)[0] == 401
    assert still.anybody("GET", "/me", Cookie=second)[0] == 200, "the other browser stays"
    assert still.anybody("DELETE", "/session")[0] == 204, "whoever is out is out"


def test_a_log_in_ends_the_session_that_it_replaces(still):
    before = still.cookie()
    status, fields, _ = still.log_in(Cookie=before)
    assert status == 201 and fields["set-cookie"].partition(";")[0] != before
    assert still.anybody("GET", "/me", Cookie=before)[0] == 401


@pytest.mark.parametrize(
    "name, password",
    [
        ("ann", "wrong"),
        ("nobody", "sesame of ann"),
        ("", ""),
        ("ann", ""),
        ("ann\x00", "sesame of ann"),
        ("x" * 1000, "y" * 1000),
    ],
)
def test_a_wrong_name_or_password_gets_the_same_answer_and_no_dialog(still, name, password):
    status, fields, problem = still.log_in(name, password)
    assert (status, problem["detail"]) == (401, "name and password do not fit")
    assert "set-cookie" not in fields and fields["www-authenticate"].startswith("Bearer"), ("no browser asks for that")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"name": "ann"}',
        '{"password": "x"}',
        "[]",
        '{"name": 1, "password": 2}',
        '{"name": "ann", "password": "x", "remember": true}',
        '{"name": "\\ud800", "password": "x"}',
        "x" * 20_000,
    ],
)
def test_a_log_in_without_both_is_no_log_in(still, body):
    status, fields, problem = still.anybody("POST", "/session", body)
    assert status in (400, 413) and "set-cookie" not in fields


def test_guessing_is_limited_at_the_form_as_everywhere(running):
    house = House(running(guess_limit=3))
    found = [house.log_in(password="guess %d" % n)[0] for n in range(4)]
    assert found == [401, 401, 401, 429]
    status, fields, _ = house.log_in()
    assert status == 429 and int(fields["retry-after"]) > 0, "a right one neither, from there"
    assert house.anybody("GET", "/list", Authorization=basic("ann", "sesame of ann"))[0] == 429
    assert house.ann.ask("GET", "/list")[0] == 200, "a token is no guess"


def test_a_session_ends_when_its_time_is_over(house):
    cookie = house.cookie()
    house.pass_time(604_799_000)
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 200
    house.pass_time(2_000)
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 401
    house.cookie()
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 401


@pytest.mark.parametrize("change", [{"password": "another"}, {"disabled": True}])
def test_a_session_ends_with_the_password_and_with_the_account(house, change):
    cookie = house.cookie()
    assert house.root.ask("PATCH", "/users/ann", json.dumps(change))[0] == 200
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 401
    house.root.ask("PATCH", "/users/ann", '{"disabled": false}')
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 401, "what has ended does not come back"


def test_a_credential_that_is_sent_counts_instead_of_the_cookie(still):
    cookie = still.cookie()
    assert still.anybody("GET", "/me", Cookie=cookie, Authorization="Bearer nonsense")[0] == 401
    assert (
        still.anybody("GET", "/me", Cookie=cookie, Authorization="Bearer " + still.root.every)[2]["name"]
        == "root"
    )


WRITES = [
    ("POST", "/post?name=evil.wav", SOUND),
    ("PATCH", "/files/{id}", '{"shared": true}'),
    ("DELETE", "/files/{id}", None),
    ("POST", "/files/{id}/links", "{}"),
    ("POST", "/drops", "{}"),
    ("POST", "/tokens", "{}"),
    ("DELETE", "/session", None),
    ("POST", "/session", '{"name": "ann", "password": "sesame of ann"}'),
    ("POST", "/resample?id={id}", None),
    ("POST", "/users", '{"name": "eve", "password": "x"}'),
    ("PATCH", "/users/ann", '{"password": "x"}'),
    ("DELETE", "/users/ann", None),
]


@pytest.mark.parametrize("method, target, body", WRITES, ids=[f"{m} {t}" for m, t, _ in WRITES])
def test_another_site_s_page_changes_nothing_with_the_browser_s_cookie(still, method, target, body):
    cookie, file = still.cookie(name="root"), still.root.post(f"{next(fresh)}.wav", SOUND)
    target = target.replace("{id}", file["id"])
    before = (
        still.root.ask("GET", "/list")[2],
        still.root.ask("GET", "/users")[2],
        still.root.ask("GET", "/tokens")[2],
    )
    for fields in (
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://localhost:%d" % (still.server.address[1] + 1)},
        {"Origin": still.url + ".evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": still.url, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ""},
    ):
        status, _, problem = still.anybody(method, target, body, Cookie=cookie, **fields)
        assert (status, problem["code"]) == (403, "forbidden"), fields
    after = (
        still.root.ask("GET", "/list")[2],
        still.root.ask("GET", "/users")[2],
        still.root.ask("GET", "/tokens")[2],
    )
    assert json.dumps(before).replace('"used"', "") and [len(str(x)) for x in before[:2]] == [
        len(str(x)) for x in after[:2]
    ]
    assert len(before[2]["tokens"]) == len(after[2]["tokens"])
    assert still.anybody("GET", "/me", Cookie=cookie)[0] == 200


def test_its_own_page_may(still):
    cookie = still.cookie()
    for fields in ({"Origin": still.url}, {"Sec-Fetch-Site": "same-origin"}, {}):
        assert still.anybody("POST", "/drops", "{}", Cookie=cookie, **fields)[0] == 201


def test_many_log_ins_at_once_are_all_answered(still):
    found, start = [], threading.Barrier(6)

    def log_in(number):
        start.wait()
        found.append(still.log_in(password="sesame of ann" if number % 2 else "wrong")[0])

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] * 3 + [401] * 3


def test_an_account_has_so_many_sessions_and_no_more(house):
    first = house.cookie()
    sessions, id = house.server.server.storage.sessions, house.ann.id
    now_ms = house.server.server.services.now_ms()
    for number in range(100):
        assert sessions.begin(f"digest {number}", id, now_ms + 1 + number, now_ms + 10**6)
    assert house.anybody("GET", "/me", Cookie=first)[0] == 401, "the oldest went"
    (count,) = house.server.server.storage._catalogue.read("SELECT count(*) FROM sessions")[0]
    assert count == 100


# -- oneself ---------------------------------------------------------------------------------------


def test_me_says_who_asks_and_what_they_have(house):
    house.ann.post("a.wav", SOUND)
    me = house.ann.ask("GET", "/me")[2]
    assert me == {
        "name": "ann",
        "admin": False,
        "scopes": ["read", "write", "delete"],
        "credential": "token",
        "token": house.ann.every.split("_")[1],
        "usage": {"files": 1, "bytes": len(SOUND), "seconds": 0.1},
        "quota": {"files": None, "bytes": None, "seconds": None},
    }
    quota = {"files": 5, "bytes": "1MiB", "seconds": "1h"}
    assert house.root.ask("PATCH", "/users/ann", json.dumps({"quota": quota}))[0] == 200
    assert house.ann.ask("GET", "/me")[2]["quota"] == {
        "files": 5,
        "bytes": 1 << 20,
        "seconds": 3600,
    }
    me = house.anybody("GET", "/me", Authorization=basic("ann", "sesame of ann"))[2]
    assert (me["credential"], me["token"]) == ("basic", None)
    assert house.ann.ask("GET", "/me", token=house.ann.token("read"))[2]["scopes"] == ["read"]


def test_one_gives_oneself_another_password_knowing_the_old_one(house):
    cookie = house.cookie()

    def change(old, new, **headers):
        return house.anybody(
            "PATCH",
            "/me",
            json.dumps({"old_password": old, "password": new}),
            Cookie=cookie,
            **headers,
        )

    assert change("wrong", "new")[2]["code"] == "forbidden"
    assert change("sesame of ann", "")[2]["parameter"] == "password"
    assert (
        house.anybody("PATCH", "/me", '{"password": "new"}', Cookie=cookie)[2]["parameter"]
        == "old_password"
    )
    assert change("sesame of ann", "new", Origin=EVIL)[0] == 403
    assert house.log_in()[0] == 201, "so far it is the old one"
    assert change("sesame of ann", "new")[0] == 204
    assert house.anybody("GET", "/me", Cookie=cookie)[0] == 401, "its sessions have ended"
    assert (house.log_in()[0], house.log_in(password="new")[0]) == (401, 201)
    assert house.log_in("root")[0] == 201, "and nobody else's"


def test_what_is_said_once_is_kept_by_nobody_on_the_way(still):
    file = still.ann.post(f"{next(fresh)}.wav", SOUND)["id"]
    mine = {"Authorization": basic("ann", "sesame of ann")}
    assert still.log_in()[1]["cache-control"] == "no-store"
    for target in ("/tokens", "/drops", f"/files/{file}/links"):
        status, fields, _ = still.anybody("POST", target, "{}", **mine)
        assert (status, fields["cache-control"]) == (201, "no-store")


def test_links_drops_and_tokens_have_an_end(house, monkeypatch):
    from audiokit import account_routes
    from audiokit.catalogue import links

    file = house.ann.post("a.wav", SOUND)["id"]
    mine = {"Authorization": basic("ann", "sesame of ann")}
    for module, name in (
        (links, "MOST_LINKS"),
        (links, "MOST_DROPS"),
        (account_routes, "MOST_TOKENS"),
    ):
        monkeypatch.setattr(module, name, 2)
    for target, statuses in (
        (f"/files/{file}/links", [201, 201, 413]),
        ("/drops", [201, 201, 413]),
        ("/tokens", [201, 413]),
    ):  # one token was there
        assert [house.anybody("POST", target, "{}", **mine)[0] for _ in statuses] == statuses
    assert house.root.ask("POST", "/drops", "{}")[0] == 201, "an account's drops are nobody else's"


def test_in_open_mode_one_is_nobody(server):
    server.server.authenticator._parameters = QUICK
    ask(server, "POST", "/post?name=a.wav", SOUND)
    me = ask(server, "GET", "/me")[2]
    assert (me["name"], me["credential"], me["usage"]["files"]) == (None, "open", 1)
    assert ask(server, "GET", "/tokens")[2] == {"tokens": []}
    assert ask(server, "PATCH", "/me", '{"old_password": "", "password": "x"}')[0] == 403
    assert ask(server, "POST", "/tokens", "{}")[0] == 403
    assert ask(server, "GET", "/users")[0] == 403
    assert ask(server, "POST", "/users", '{"name": "eve", "password": "x"}')[0] == 403, ("nobody makes the first admin")
    assert ask(server, "POST", "/session", '{"name": "eve", "password": "x"}')[0] == 401


# -- tokens ----------------------------------------------------------------------------------------


def test_a_token_lives_its_life(still):
    mine = {"Authorization": basic("ann", "sesame of ann")}
    status, fields, made = still.anybody(
        "POST",
        "/tokens",
        json.dumps({"scopes": ["write", "read"], "expires": "1h", "note": "phone"}),
        **mine,
    )
    assert status == 201 and fields["location"] == "/tokens/" + made["id"]
    assert (made["scopes"], made["note"], made["account"], made["used"]) == (
        ["read", "write"],
        "phone",
        "ann",
        None,
    )
    assert still.anybody("GET", "/list", Authorization="Bearer " + made["token"])[0] == 200
    assert still.anybody("DELETE", "/files/x", Authorization="Bearer " + made["token"])[0] == 403
    listed = {token["id"]: token for token in still.anybody("GET", "/tokens", **mine)[2]["tokens"]}
    assert {**listed[made["id"]], "used": None} == {key: made[key] for key in made if key != "token"}
    assert made["token"] not in json.dumps(listed)
    assert still.anybody("DELETE", "/tokens/" + made["id"], **mine)[0] == 204
    assert still.anybody("GET", "/list", Authorization="Bearer " + made["token"])[0] == 401
    assert still.anybody("DELETE", "/tokens/" + made["id"], **mine)[0] == 404


def test_a_token_without_wishes_is_as_the_command_makes_it(still):
    made = still.anybody("POST", "/tokens", Authorization=basic("ann", "sesame of ann"))[2]
    assert made["scopes"] == ["read", "write", "delete"] and made["expires"] > made["created"]
    never = still.anybody("POST", "/tokens", '{"expires": null}', Authorization=basic("ann", "sesame of ann"))[2]
    assert never["expires"] is None


@pytest.mark.parametrize(
    "wishes, status",
    [
        ({"scopes": ["admin"]}, 403),
        ({"scopes": []}, 400),
        ({"scopes": ["all"]}, 400),
        ({"expires": "0"}, 400),
        ({"expires": "1000000d"}, 400),
        ({"note": "x" * 201}, 400),
        ({"note": "\x1b[31m"}, 400),
        ({"account": "root"}, 400),
    ],
)
def test_a_token_that_cannot_be_is_refused(still, wishes, status):
    mine = {"Authorization": basic("ann", "sesame of ann")}
    before = still.anybody("GET", "/tokens", **mine)[2]
    assert still.anybody("POST", "/tokens", json.dumps(wishes), **mine)[0] == status
    assert len(still.anybody("GET", "/tokens", **mine)[2]["tokens"]) == len(before["tokens"])


def test_a_token_makes_no_tokens_and_ends_itself_alone(still):
    first, second = still.ann.token("read"), still.ann.token("read", "write", "delete")
    assert still.ann.ask("POST", "/tokens", "{}", token=second)[0] == 403
    assert still.ann.ask("DELETE", "/tokens/" + first.split("_")[1], token=second)[0] == 403
    assert still.ann.ask("DELETE", "/tokens/" + first.split("_")[1], token=first)[0] == 204
    assert still.ann.ask("GET", "/me", token=first)[0] == 401


def test_nobody_ends_the_tokens_of_others_but_an_admin(still):
    theirs = still.root.token("read").split("_")[1]
    mine = {"Authorization": basic("ann", "sesame of ann")}
    assert still.anybody("DELETE", "/tokens/" + theirs, **mine)[2] == {
        **still.anybody("DELETE", "/tokens/aaaaaaaa", **mine)[2],
        "detail": f"there is no token '{theirs}'",
    }
    assert still.root.ask("DELETE", "/tokens/" + still.ann.token("read").split("_")[1])[0] == 204


# -- users -----------------------------------------------------------------------------------------


def test_an_account_lives_its_life(house):
    wishes = {"name": "Bob", "password": "one", "quota": {"files": 1, "bytes": None}}
    status, fields, bob = house.root.ask("POST", "/users", json.dumps(wishes))
    assert status == 201 and fields["location"] == "/users/bob"
    assert bob == {
        "name": "bob",
        "admin": False,
        "disabled": False,
        "created": bob["created"],
        "usage": {"files": 0, "bytes": 0, "seconds": 0},
        "quota": {"files": 1, "bytes": None, "seconds": None},
    }
    as_bob = {"Authorization": basic("bob", "one")}
    assert house.anybody("POST", "/post?name=a.wav", SOUND, **as_bob)[0] == 201
    assert house.anybody("POST", "/post?name=b.wav", SOUND, **as_bob)[2]["quota"] == "files"
    assert (house.root.ask("PATCH", "/users/bob", '{"quota": {"files": 2}}')[2]["quota"]["files"] == 2)
    assert house.anybody("POST", "/post?name=b.wav", SOUND, **as_bob)[0] == 201
    assert house.root.ask("PATCH", "/users/bob", '{"password": "two"}')[0] == 200
    assert house.anybody("GET", "/me", **as_bob)[0] == 401
    as_bob = {"Authorization": basic("bob", "two")}
    assert house.anybody("GET", "/me", **as_bob)[2]["usage"]["files"] == 2
    assert house.root.ask("PATCH", "/users/bob", '{"disabled": true}')[2]["disabled"] is True
    assert house.anybody("GET", "/me", **as_bob)[0] == 401
    assert house.root.ask("PATCH", "/users/bob", '{"disabled": false}')[2]["disabled"] is False
    assert house.anybody("GET", "/me", **as_bob)[0] == 200
    assert house.root.ask("DELETE", "/users/bob")[2]["parameter"] == "files", ("what becomes of the files?")
    assert house.root.ask("DELETE", "/users/bob?files=keep")[0] == 204
    assert house.anybody("GET", "/me", **as_bob)[0] == 401
    assert (house.root.ask("GET", "/users/bob")[0] == house.root.ask("DELETE", "/users/bob")[0] == 404)
    assert house.root.ask("GET", "/list")[2]["total"] == 2, "admins still see them"


def test_files_go_with_their_account_where_that_is_said(house):
    house.ann.post("a.wav", SOUND)
    assert house.root.ask("DELETE", "/users/ann?files=remove")[0] == 204
    assert house.root.ask("GET", "/list")[2]["total"] == 0
    assert [path for path in (house.server.data / "files").rglob("*") if path.is_file()] == []


def test_an_account_made_anew_under_a_name_has_nothing_of_the_one_before(house):
    house.ann.post("a.wav", SOUND)
    token = house.ann.every
    assert house.root.ask("DELETE", "/users/ann?files=keep")[0] == 204
    assert house.root.ask("POST", "/users", '{"name": "ann", "password": "x"}')[0] == 201
    assert house.anybody("GET", "/list", Authorization=basic("ann", "x"))[2]["total"] == 0
    assert house.anybody("GET", "/list", Authorization="Bearer " + token)[0] == 401


def test_the_last_admin_cannot_lock_everybody_out_nor_open_the_door(house):
    for method, target, body in (
        ("PATCH", "/users/root", '{"disabled": true}'),
        ("DELETE", "/users/root?files=remove", None),
    ):
        status, _, problem = house.root.ask(method, target, body)
        assert status == 403 and "last admin" in problem["detail"]
    everything = '{"password": "another", "quota": {"files": 1}, "disabled": true}'
    assert house.root.ask("PATCH", "/users/root", everything)[0] == 403
    assert house.root.ask("GET", "/users/root")[2]["quota"]["files"] is None, "what is refused is refused as a whole"
    second = Person(house.server, "second", admin=True)
    house.server.server.authenticator.changed()
    assert second.ask("PATCH", "/users/root", '{"disabled": true}')[0] == 200
    assert second.ask("DELETE", "/users/second")[0] == 403, "the other one cannot come in"
    assert second.ask("PATCH", "/users/root", '{"disabled": false}')[0] == 200
    assert house.root.ask("DELETE", "/users/second")[0] == 204


@pytest.mark.parametrize(
    "body, status",
    [
        ({"name": "ann", "password": "x"}, 409),
        ({"name": "ANN", "password": "x"}, 409),
        ({"name": "a b", "password": "x"}, 400),
        ({"name": "new"}, 400),
        ({"password": "x"}, 400),
        ({"name": "new", "password": ""}, 400),
        ({"name": "new", "password": "x\n"}, 400),
        ({"name": "new", "password": "x", "quota": {"file": 1}}, 400),
        ({"name": "new", "password": "x", "quota": 5}, 400),
        ({"name": "new", "password": "x", "admin": 1}, 400),
    ],
)
def test_an_account_that_cannot_be_is_refused(still, body, status):
    assert still.root.ask("POST", "/users", json.dumps(body))[0] == status
    assert [user["name"] for user in still.root.ask("GET", "/users")[2]["users"]] == ["ann", "root"]


def test_a_change_that_is_wrong_in_one_place_changes_nothing(still):
    body = json.dumps({"quota": {"files": 1}, "disabled": True, "password": ""})
    assert still.root.ask("PATCH", "/users/ann", body)[0] == 400
    user = still.root.ask("GET", "/users/ann")[2]
    assert (user["disabled"], user["quota"]["files"]) == (False, None)


def test_an_admin_makes_and_lists_tokens_for_others(still):
    status, _, made = still.root.ask("POST", "/users/ann/tokens", '{"scopes": ["read"]}')
    assert status == 201 and made["account"] == "ann"
    assert still.anybody("GET", "/me", Authorization="Token " + made["token"])[2]["name"] == "ann"
    assert made["id"] in [token["id"] for token in still.root.ask("GET", "/users/ann/tokens")[2]["tokens"]]
    assert still.root.ask("POST", "/users/ann/tokens", '{"scopes": ["admin"]}')[0] == 403
    assert still.root.ask("POST", "/users/nobody/tokens", "{}")[0] == 404
    assert still.root.ask("POST", "/tokens", '{"scopes": ["admin", "read"]}')[0] == 201


def test_no_answer_has_a_hash_or_a_digest_in_it(still):
    still.cookie()
    kept = [
        row[0]
        for row in still.server.server.storage._catalogue.read(
            "SELECT password FROM accounts UNION SELECT digest FROM tokens "
            "UNION SELECT digest FROM sessions"
        )
    ]
    for target in ("/users", "/users/ann", "/users/ann/tokens", "/tokens", "/me", "/drops"):
        status, _, text = request(
            still.server.address,
            "GET",
            target,
            None,
            {"Authorization": "Bearer " + still.root.every},
        )
        assert status == 200 and not any(one in text.decode() for one in kept)
        assert b"scrypt" not in text
