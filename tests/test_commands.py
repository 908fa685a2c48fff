"""Serving and the commands beside it: as processes where pipes, signals and who holds the folder are the story."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading

import pytest
from command_line import run
from processes import until
from support import PROGRAM, ROOT, Running, eventually, request, wav

from audiokit import migrations
from audiokit.commands import _plain

SOUND = wav(0.25)


def run_apart(*arguments, **environment):
    """A command as a process."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True, encoding="utf-8", timeout=60, env={**os.environ, **environment},
    )


class Serving:
    """`audioserver.py serve` as a process of its own."""

    def __init__(self, data, *flags):
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", "--data", str(data), *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.first_line = self.process.stdout.readline()
        host, port = self.first_line.rsplit("//", 1)[1].strip().rsplit(":", 1)
        self.address = (host, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            out, err = self.process.communicate(timeout=60)
        except ValueError:  # ended before
            return self.process.returncode, ""
        return self.process.returncode, err


@pytest.fixture
def stored(tmp_path):
    """A data folder with one file in it, and no server."""
    with Running(tmp_path / "var") as server:
        status, _, body = request(server.address, "POST", "/post?name=a.wav", SOUND)
        assert status == 201
    return tmp_path / "var", json.loads(body)


class TestServe:
    def test_the_first_line_says_where_and_sigterm_ends_it_with_0(self, tmp_path):
        with Serving(tmp_path / "var") as server:
            assert server.first_line == "listening on http://127.0.0.1:%d\n" % server.address[1]
            assert server.end()[0] == 0

    @pytest.mark.skipif(os.name == "nt", reason="skipped: Windows has no SIGINT for other processes")
    def test_sigint_ends_it_with_0_too(self, tmp_path):
        with Serving(tmp_path / "var") as server:
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(60) == 0
            server.end()

    def test_every_setting_can_come_from_the_environment(self, monkeypatch):
        monkeypatch.setenv("AUDIOSERVER_PORT", "eighty")
        found = run()
        assert found.returncode == 1 and "AUDIOSERVER_PORT: 'eighty'" in found.stderr

    def test_an_address_in_use_is_said_not_traced(self, tmp_path):
        with Running(tmp_path / "var") as server:
            found = run_apart("serve", "--port", server.address[1], "--data", tmp_path / "other")
        assert found.returncode == 1 and found.stderr.count("\n") == 1

    def test_a_folder_in_use_says_by_whom(self, tmp_path):
        with Serving(tmp_path / "var") as server:
            for how, *words in ((run_apart, "serve", "--port", "0"), (run, "db", "destroy", "--yes"),
                                (run, "db", "reset", "--yes"), (run, "db", "check", "--fix")):
                found = how(*words, "--data", tmp_path / "var")
                assert found.returncode == 1 and str(server.process.pid) in found.stderr, words
            assert request(server.address, "GET", "/health")[0] == 200


    def test_what_keeps_it_from_starting_is_named_in_one_line_without_a_number(self, tmp_path):
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "catalogue.db").write_text("no database\n" * 99)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            cases = [
                (["--data", tmp_path / "a", "--port", port], f"cannot listen on 127.0.0.1:{port}: "),
                (["--data", tmp_path / "broken", "--port", "0"], f"{tmp_path / 'broken' / 'catalogue.db'}: this is no catalogue"),
                (["--data", tmp_path / "a", "--port", "0", "--ui", tmp_path / "none"], f"{tmp_path / 'none'}: "),
                (["--data", tmp_path / "broken" / "catalogue.db", "--port", "0"], "catalogue.db: "),
            ]
            for words, said in cases:
                found = run("serve", *words)
                assert found.returncode == 1 and found.stdout == "" and said in found.stderr, words
                assert found.stderr.count("\n") == 1 and "Errno" not in found.stderr and "('" not in found.stderr, words


class TestTheInterpreter:
    @pytest.mark.parametrize("option, why", [("-OO", "there are no docstrings"), ("-I", "the folder of the program is left out")])
    def test_its_options_change_nothing(self, tmp_path, option, why):
        (tmp_path / "a.wav").write_bytes(SOUND)
        command = [sys.executable, option, "-S", str(ROOT / "audioserver.py"), "info", str(tmp_path / "a.wav")]
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, cwd=str(tmp_path))
        assert json.loads(found.stdout)["codec"] == "pcm_s16le" and found.stderr == "", why

    @pytest.mark.skipif(os.name == "nt", reason="skipped: Windows has no shell that closes streams")
    def test_a_command_without_standard_streams_does_its_work(self, tmp_path):
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *PROGRAM]
        for words in (["db", "create", "--data", tmp_path / "var"], ["info", tmp_path / "var" / "catalogue.db"]):
            found = subprocess.run([*command, *map(str, words)], timeout=60)
            assert found.returncode == (1 if "info" in words else 0)
        assert run("db", "check", "--data", tmp_path / "var").returncode == 0

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="skipped: no named pipes here, on which a command would wait")
    def test_an_interrupted_command_says_so_in_one_line(self, tmp_path):
        os.mkfifo(str(tmp_path / "password"))
        command = [*PROGRAM, "user", "add", "ann", "--data", str(tmp_path / "var"), "--password-file", str(tmp_path / "password")]
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the child would inherit that it is ignored
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        signal.signal(signal.SIGINT, before)
        writers = []

        def is_read():
            with contextlib.suppress(OSError):  # nobody reads yet
                writers.append(os.open(str(tmp_path / "password"), os.O_WRONLY | os.O_NONBLOCK))
            return writers

        until(is_read, what="the command to read its password", process=process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        os.close(writers[0])
        assert (process.returncode, err) == (130, b"audioserver: interrupted\n")

    @pytest.mark.skipif(os.name == "nt", reason="skipped: Windows has no terminals of a program's own")
    def test_a_prompt_that_is_left_by_the_end_of_input_is_no_fault(self, tmp_path):
        ours, theirs = os.openpty()
        command = [*PROGRAM, "user", "add", "ann", "--data", str(tmp_path / "var")]
        process = subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, start_new_session=True)
        said = b""
        while not said.endswith(b": "):  # what was typed before the prompt is thrown away
            byte = process.stderr.read(1)
            assert byte, said
            said += byte
        os.write(ours, b"\x04")
        _, err = process.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert process.returncode == 1 and err.endswith(b"audioserver: no password was given\n") and b"Traceback" not in err

    @pytest.mark.parametrize("words", [
        "", "serve", "db", "db create", "db destroy", "db reset", "db migrate", "db dump", "db check", "db move", "db backup", "user",
        "user add", "user list", "user remove", "user password", "user disable", "user enable", "user quota", "token", "token new",
        "token list", "token revoke", "info", "resample",
    ])
    def test_help_is_had_on_a_terminal_of_few_characters(self, words):
        found = run(*words.split(), "--help", encoding="ascii")
        assert found.returncode == 0 and found.stdout.startswith(" ".join(["usage: audioserver.py", words]).strip())


class TestTheLog:
    def test_one_line_a_request_in_text_and_json(self, tmp_path):
        with Serving(tmp_path / "a") as server:
            request(server.address, "GET", "/info?name=secret")
            _, err = server.end()
        time, client, who, method, path, status, size, took = err.split()
        assert (client, who, method, path, status) == ("127.0.0.1", "-", "GET", "/info", "404")
        assert time.endswith("Z") and int(size) > 100 and took.endswith("ms")
        with contextlib.redirect_stderr(io.StringIO()) as err, Running(tmp_path / "b", log="json") as server:
            request(server.address, "GET", "/nowhere")
        line = json.loads(err.getvalue())
        assert (line["method"], line["path"], line["status"]) == ("GET", "/nowhere", 404)

    def test_none_is_silent(self, tmp_path):
        with Serving(tmp_path / "var", "--log", "none") as server:
            request(server.address, "GET", "/nowhere")
            assert server.end() == (0, "")

    def test_nobody_can_write_a_line_of_their_own(self, tmp_path):
        with contextlib.redirect_stderr(io.StringIO()) as err, Running(tmp_path / "var", log="text") as server:
            request(server.address, "GET", "/a%0d%0a127.0.0.1%20GET%20/fake%1b[31m")
            request(server.address, "GET", "/list", headers={"Authorization": "Bearer sesame"})
        err = err.getvalue()
        assert len(err.splitlines()) == 2 and "\x1b" not in err and "sesame" not in err


class TestDb:
    def test_create_check_destroy(self, tmp_path):
        data = tmp_path / "var"
        assert run("db", "create", "--data", data).returncode == 0
        assert run("db", "create", "--data", data).returncode == 1
        assert run("db", "check", "--data", data).returncode == 0
        assert run("db", "destroy", "--data", data).returncode == 1, "nobody was asked, nothing is removed"
        assert run("db", "check", "--data", data).returncode == 0
        assert run("db", "destroy", "--data", data, "--yes").returncode == 0
        assert run("db", "check", "--data", data).returncode == 1

    def test_dump_is_sql_that_makes_the_catalogue_again(self, stored):
        data, record = stored
        found = run("db", "dump", "--data", data)
        assert found.returncode == 0
        again = sqlite3.connect(":memory:")
        try:
            again.executescript(found.stdout)
            assert again.execute("SELECT name FROM files").fetchall() == [("a.wav",)]
        finally:
            again.close()

    def test_a_dump_is_utf_8_whatever_the_terminal_shows(self, stored):
        stored, _ = stored
        with Running(stored) as server:
            assert request(server.address, "POST", "/post?name=%C3%A4.wav", wav(0.1))[0] == 201
        done = run_apart("db", "dump", "--data", stored, PYTHONIOENCODING="latin-1")
        assert done.returncode == 0 and "\u00e4.wav" in done.stdout

    def test_a_dump_into_a_closed_pipe_is_no_error(self, stored):
        command = [*PROGRAM, "db", "dump", "--data", str(stored[0])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            assert process.stderr.read() == b""

    def test_a_backup_of_a_running_server_can_be_served(self, tmp_path):
        with Serving(tmp_path / "var") as server:
            request(server.address, "POST", "/post?name=a.wav", SOUND)
            assert run("db", "backup", tmp_path / "copy", "--data", tmp_path / "var").returncode == 0
            request(server.address, "POST", "/post?name=late.wav", SOUND)
        with Running(tmp_path / "copy") as server:
            assert request(server.address, "GET", "/download?name=a.wav")[2] == SOUND
            assert request(server.address, "GET", "/download?name=late.wav")[0] == 404

    def test_check_finds_what_was_tampered_with(self, stored):
        data, _ = stored
        path, = [p for p in (data / "files").rglob("*") if p.is_file()]
        bytes_before = path.read_bytes()
        path.write_bytes(bytes_before[:-1] + b"\x55")
        assert run("db", "check", "--data", data).returncode == 0, "sizes agree"
        assert run("db", "check", "--deep", "--data", data).returncode == 1
        path.unlink()
        assert run("db", "check", "--data", data).returncode == 1


class TestInfo:
    def test_one_record_a_line_and_1_when_any_is_not_audio(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(SOUND)
        (tmp_path / "b.txt").write_text("nothing to hear here, only words and more words")
        found = run("info", tmp_path / "a.wav")
        assert found.returncode == 0 and json.loads(found.stdout)["duration"] == 0.25
        found = run("info", tmp_path / "a.wav", tmp_path / "b.txt", tmp_path / "none.wav")
        assert found.returncode == 1 and found.stdout.count("\n") == 1
        assert "b.txt: " in found.stderr and "none.wav: " in found.stderr

    @pytest.mark.skipif(sys.platform != "linux", reason="skipped: elsewhere file names are text")
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_names_that_the_output_cannot_say_are_escaped(self, tmp_path, encoding):
        paths = {name: os.fsencode(tmp_path) + b"/" + name for name in (b"\xff.wav", "\u00e4.wav".encode())}
        for path in paths.values():
            with open(path, "wb") as file:
                file.write(SOUND)
        words = [os.fsdecode(path) for path in paths.values()]
        done = run_apart("info", *words, PYTHONIOENCODING=encoding, LC_ALL="C.UTF-8")
        names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
        assert done.returncode == 0 and names == [os.fsdecode(name) for name in paths], done.stderr
        for word in words:
            assert run("info", "--table", word, encoding=encoding).returncode == 0

    def test_a_table_is_for_people(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(SOUND)
        found = run("info", "--table", tmp_path / "a.wav")
        assert "0.25 s" in found.stdout and "8000 Hz" in found.stdout

    def test_a_tag_cannot_steer_the_terminal(self):
        assert _plain("\x1b[31mred\x07") == "\ufffd[31mred\ufffd"


def test_a_server_that_is_killed_comes_back_with_everything(tmp_path):
    with Serving(tmp_path / "var") as server:
        assert request(server.address, "POST", "/post?name=a.wav", SOUND)[0] == 201
        server.process.kill()
        server.process.communicate()
    with Running(tmp_path / "var") as server:
        assert request(server.address, "GET", "/download?name=a.wav")[2] == SOUND


def test_sigterm_under_load_breaks_no_answer(tmp_path):
    """What was answered is whole, what was acknowledged is there; the rest was refused or never taken."""
    with Serving(tmp_path / "var") as server:
        kept, stopping = [], threading.Event()

        def client(number):
            turn = 0
            while not stopping.is_set():
                name = f"{number}-{turn}.wav"
                turn += 1
                try:
                    status = request(server.address, "POST", "/post?name=" + name, SOUND)[0]
                except (OSError, AssertionError):
                    return
                if status == 503:
                    return
                assert status == 201
                kept.append(name)

        crew = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in crew:
            thread.start()
        eventually(lambda: len(kept) >= 20)
        assert server.end()[0] == 0
        stopping.set()
        for thread in crew:
            thread.join()
    with Running(tmp_path / "var") as server:
        for name in kept:
            assert request(server.address, "GET", "/info?name=" + name)[0] == 200


@pytest.mark.parametrize("command", [("check",), ("dump",), ("backup", "copy")])
def test_a_catalogue_of_another_version_is_refused_in_one_line_that_names_both(tmp_path, command):
    data = tmp_path / "var"
    assert run("db", "create", "--data", data).returncode == 0
    with contextlib.closing(sqlite3.connect(str(data / "catalogue.db"), isolation_level=None)) as catalogue:
        catalogue.execute("PRAGMA user_version = 99")
    action, *more = command
    done = run("db", action, *(tmp_path / name for name in more), "--data", data)
    assert done.returncode == 1
    ours = migrations.version_in((ROOT / "schema.sql").read_text("utf-8"))
    assert done.stderr == f"audioserver: the catalogue has version 99, this program speaks {ours}: use a newer program\n"


def not_a_database(path):
    path.write_bytes(b"Dear diary, today I catalogued nothing. " * 100)


def of_another_program(path):
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as other:
        other.execute("CREATE TABLE files (name)")


@pytest.mark.parametrize("make", [not_a_database, of_another_program])
@pytest.mark.parametrize("command", ["serve --port 0", "db check --fix", "db dump"])
def test_a_catalogue_that_is_none_is_said_in_one_line_and_left_alone(tmp_path, make, command):
    make(tmp_path / "catalogue.db")
    before = (tmp_path / "catalogue.db").read_bytes()
    done = (run_apart if command.startswith("serve") else run)(*command.split(), "--data", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"audioserver: [^\n]+\n", done.stderr), done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"catalogue.db", "lock"}
    if make is not_a_database:
        assert (tmp_path / "catalogue.db").read_bytes() == before
