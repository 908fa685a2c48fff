"""The commands `user`, `token` and `db migrate`, and the modes at start, through the program's own command line."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys

import pytest
from command_line import run
from people import QUICK, Person, ask, basic
from support import ROOT, Running, eventually, wav

import audioserver
from audiokit import credentials, migrations
from audiokit.settings import BadSetting
from storage import Storage

SOUND = wav()


def user(data, *words, stdin=""):
    return run("user", *words, "--data", data, stdin=stdin)


@pytest.fixture(scope="module")
def cheap():
    """Passwords are hashed with parameters that cost nothing; what they cost is seen where the command is a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials.hash_password, "__defaults__", (QUICK,))
        yield


@pytest.fixture(scope="module")
def folder(cheap, tmp_path_factory):
    """A data folder with an admin, root, whose password is "open sesame", and with carl."""
    data = tmp_path_factory.mktemp("folder") / "var"
    done = user(data, "add", "root", "--admin", stdin="open sesame\nanother line\n")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "audioserver: audit: account root added, an admin\n"
    (data / "secret").write_text("pass w\u00f6rd\r\nnot this\n", "utf-8")
    assert user(data, "add", "Carl", "--password-file", data / "secret").returncode == 0
    return data


def kept(data, name):
    with Storage(data, create=False, exclusive=False) as storage:
        return storage.people.named(name)


def test_the_password_is_the_first_line_of_standard_input_or_of_a_file(folder):
    assert credentials.verify_password("open sesame", kept(folder, "root").password)
    assert credentials.verify_password("pass w\u00f6rd", kept(folder, "carl").password)
    assert user(folder, "password", "carl", stdin="another\n").returncode == 0
    assert credentials.verify_password("another", kept(folder, "carl").password)


def test_a_quota_is_printed_as_json_and_noted_in_words(folder):
    done = user(folder, "quota", "carl", "--files", "5", "--seconds", "2h")
    assert json.loads(done.stdout) == {"files": 5, "bytes": None, "seconds": 7200}
    assert done.stderr == "audioserver: audit: account carl has the quota: files 5, bytes unlimited, seconds 7200\n"
    done = user(folder, "quota", "carl", "--files", "none", "--seconds", "none")
    assert set(json.loads(done.stdout).values()) == {None} and "files unlimited" in done.stderr


@pytest.mark.parametrize("words, stdin, why", [
    (["add", "root"], "x\n", "the name is taken"),
    (["add", "ROOT"], "x\n", "also in other letters"),
    (["add", "a:b"], "x\n", "no name"),
    (["add", "dora"], "", "no password"),
    (["add", "dora"], "\n", "an empty one"),
    (["password", "dora"], "x\n", "nobody"),
    (["disable", "dora"], "", "nobody"),
    (["remove", "dora"], "", "nobody"),
    (["quota", "carl", "--seconds", "999999999999d"], "", "more than can be counted"),
    (["quota", "carl", "--bytes", "99999999999999999TiB"], "", "more than can be counted"),
])
def test_what_cannot_be_done_is_said_in_one_line(folder, words, stdin, why):
    done = user(folder, *words, stdin=stdin)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, why
    assert kept(folder, "dora") is None


def test_a_password_that_is_not_utf_8_is_refused_in_one_line(folder, tmp_path):
    (tmp_path / "latin").write_bytes(b"w\xf6rd\n")
    done = user(folder, "add", "dora", "--password-file", tmp_path / "latin")
    assert (done.returncode, done.stderr) == (1, "audioserver: the password is not UTF-8\n")


@pytest.mark.parametrize("words", [
    ["add", "dora", "--password", "x"], ["add", "dora", "x"], ["password", "root", "--password=x"], ["add"],
])
def test_no_argument_takes_a_password(folder, words):
    assert user(folder, *words, stdin="x\n").returncode == 2


def test_a_token_is_printed_alone_once_and_listed_without_its_secret(folder):
    done = run("token", "new", "root", "--scope", "read,admin", "--expires", "12h", "--note", "for the player",
               "--data", folder)
    token = done.stdout.rstrip("\n")
    assert done.returncode == 0 and credentials.is_token(token) and token not in done.stderr
    done = run("token", "list", "--json", "--data", folder)
    listed = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}[token.split("_")[1]]
    assert listed["account"] == "root" and listed["scopes"] == "read,admin" and listed["note"] == "for the player"
    assert listed["used"] is None and token.split("_", 2)[2] not in done.stdout
    assert run("token", "revoke", token, "--data", folder).returncode == 0
    assert run("token", "revoke", token, "--data", folder).returncode == 1
    assert token.split("_")[1] not in run("token", "list", "root", "--data", folder).stdout


@pytest.mark.parametrize("words, why", [
    (["dora"], "no account"), (["root", "--scope", "sudo"], "no scope"), (["root", "--expires", "soon"], "no time"),
    (["root", "--note", "a\nb"], "two lines"), (["carl", "--scope", "admin"], "no admin"),
    (["root", "--expires", "999999999999d"], "beyond every calendar"), (["root", "--expires", "0"], "it would have ended"),
])
def test_a_token_that_cannot_be_is_refused(folder, words, why):
    done = run("token", "new", *words, "--data", folder)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, why


def test_accounts_are_listed_for_people_and_for_programs(folder):
    row = json.loads(user(folder, "list", "--json").stdout.splitlines()[-1])
    assert row["name"] == "root" and row["admin"] is True and (row["files"], row["bytes"], row["seconds"]) == (0, 0, 0)
    head, *rows = user(folder, "list").stdout.splitlines()
    assert head.split()[:3] == ["name", "admin", "disabled"] and rows[-1].split()[:3] == ["root", "yes", "no"]


def test_tokens_need_a_catalogue_and_only_user_add_makes_one(tmp_path):
    for words in (["user", "list"], ["user", "password", "ann"], ["token", "list"], ["token", "new", "ann"]):
        assert run(*words, "--data", tmp_path / "none", stdin="x\n").returncode == 1
    assert not (tmp_path / "none").exists()


def test_beside_a_running_server_they_hold_within_a_second(server):
    data = server.data

    def status(target="/list", **headers):
        return ask(server, "GET", target, **headers)[0]

    assert ask(server, "POST", "/post?name=old.wav", SOUND)[0] == 201, "nobody is asked yet"
    added = subprocess.run(  # once as it is: another process, a real pipe
        [sys.executable, str(ROOT / "audioserver.py"), "user", "add", "ann", "--data", str(data)],
        input="sesame\n", text=True, timeout=60, stderr=subprocess.DEVNULL,
    )
    assert added.returncode == 0
    assert server.server.storage.people.named("ann").password.startswith(credentials.PARAMETERS + "$")
    eventually(lambda: status() == 401)
    mine = {"Authorization": basic("ann", "sesame")}
    assert status(**mine) == 200 and status("/info?name=old.wav", **mine) == 404
    assert ask(server, "POST", "/post?name=new.wav", SOUND, **mine)[0] == 201
    token = run("token", "new", "ann", "--data", data).stdout.split()[-1]
    bearer = {"Authorization": "Token " + token}
    assert status("/info?name=new.wav", **bearer) == 200
    assert user(data, "disable", "ann").returncode == 0
    eventually(lambda: status(**bearer) == 401)
    assert user(data, "enable", "ann").returncode == 0
    eventually(lambda: status(**bearer) == 200)
    assert user(data, "remove", "ann").returncode == 1, "what becomes of the file?"
    assert user(data, "remove", "ann", "--files", "remove").returncode == 0
    eventually(lambda: status() == 200)  # nobody is left: as in the beginning, on loopback
    assert ask(server, "GET", "/list")[2]["total"] == 1
    assert run("db", "check", "--data", data).returncode == 0


def test_the_files_of_a_removed_account_can_be_kept_for_admins(running):
    server = running()
    ann, root = Person(server, "ann"), Person(server, "root", admin=True)
    server.server.authenticator.changed()
    record = ann.post("a.wav", SOUND)
    assert user(server.data, "remove", "ann", "--files", "keep").returncode == 0
    assert root.ask("GET", "/list")[2]["files"] == [record]
    again = Person(server, "ann")
    server.server.authenticator.changed()
    assert again.id != ann.id and again.ask("GET", "/list")[2]["total"] == 0, "a new account of that name is another"


def test_other_addresses_than_loopback_want_an_account_or_open_said_aloud(tmp_path):
    data = tmp_path / "var"
    refused = run("serve", "--host", "0.0.0.0", "--port", "0", "--data", data)
    assert refused.returncode == 1 and refused.stdout == "" and refused.stderr.count("\n") == 1
    assert "user add" in refused.stderr and "--open" in refused.stderr
    with pytest.raises(BadSetting):
        audioserver.AudioServer(("", 0), data=str(data))
    with Running(data, host="0.0.0.0", open=True) as server:
        assert ask(server, "GET", "/list")[0] == 200
        Person(server, "ann", admin=True)
        eventually(lambda: ask(server, "GET", "/list")[0] == 401)
    with Running(data, host="0.0.0.0") as server:
        assert ask(server, "GET", "/list")[0] == 401 and ask(server, "GET", "/health")[0] == 200
        assert user(data, "remove", "ann").returncode == 0
        server.server.authenticator.changed()
        assert ask(server, "GET", "/list")[0] == 401, "without accounts nobody gets in from the network"


def test_an_older_catalogue_is_migrated_by_command_or_at_start(tmp_path):
    data = tmp_path / "var"
    data.mkdir()
    with contextlib.closing(sqlite3.connect(str(data / "catalogue.db"), isolation_level=None)) as catalogue:
        migrations.bring_up(catalogue, (ROOT / "tests" / "schema_v1.sql").read_text("utf-8"))
    refused = user(data, "add", "ann", stdin="x\n")
    assert refused.returncode == 1 and "version 1" in refused.stderr and "db migrate" in refused.stderr
    now = migrations.version_in((ROOT / "schema.sql").read_text("utf-8"))
    assert run("db", "migrate", "--data", data).stdout == f"{data} has version {now}, it had 1\n"
    assert run("db", "migrate", "--data", data).stdout == f"{data} has version {now} already\n"
    assert user(data, "list").returncode == 0
    assert run("db", "migrate", "--data", tmp_path / "none").returncode == 1


