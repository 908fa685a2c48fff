"""What the documentation says to type, typed: the program as a process, and the curl that is on
the machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from support import ROOT, wav

CURL = shutil.which("curl")
SOUND, OTHER = wav(), wav(pitch_hz=300.0)

ANN, BOB = ("-u", "ann:correct horse"), ("-u", "bob:battery staple")

by_processes = pytest.mark.slow  # real scrypt, and a process a request
pytestmark = pytest.mark.skipif(CURL is None, reason="skipped: there is no curl on this machine")


def test_the_four_lines(running, tmp_path):
    """What callers rely on before all else: as they are typed, but for the port."""
    (tmp_path / "myfile.wav").write_bytes(SOUND)
    server, there = running(), tmp_path / "elsewhere"
    there.mkdir()

    def curl(*words, folder=tmp_path):
        words = [word.replace("http://localhost:8000", server.url) for word in words]
        done = subprocess.run([CURL, "-sS", "-m", "100", *words], capture_output=True, timeout=120, cwd=str(folder))
        assert done.returncode == 0, done.stderr
        return done.stdout

    posted = curl("-X", "POST", "--data-binary", "@myfile.wav", "http://localhost:8000/post?name=myfile.wav")
    assert json.loads(posted)["name"] == "myfile.wav"
    assert json.loads(curl("http://localhost:8000/list?maxduration=300"))["files"] == [json.loads(posted)]
    assert curl("http://localhost:8000/info?name=myfile.wav") == posted
    curl("-O", "-J", "http://localhost:8000/download?name=myfile.wav", folder=there)
    assert (there / "myfile.wav").read_bytes() == SOUND
    nameless = json.loads(curl("-X", "POST", "--data-binary", "@myfile.wav", "http://localhost:8000/post"))
    assert nameless["name"].endswith(".wav") and nameless["sha256"] == json.loads(posted)["sha256"]


def command(*words, data, said=""):
    """What a command of the program prints on standard output."""
    words = [sys.executable, str(ROOT / "audioserver.py"), *words, "--data", str(data)]
    done = subprocess.run(words, input=said, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


class House:
    """A locked server of its own process, and a folder with two sounds in it."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "var"
        (folder / "a.wav").write_bytes(SOUND)
        (folder / "b.wav").write_bytes(OTHER)
        command("user", "add", "ann", "--admin", data=self.data, said="correct horse\n")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "audioserver.py"), "--port", "0", "--data", str(self.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=str(folder),
        )
        self.url = self.process.stdout.readline().strip().rpartition(" ")[2]
        assert (
            self.told("/users", *ANN, "-d", '{"name": "bob", "password": "battery staple"}')[0]
            == 201
        )

    def curl(self, target, *words):
        """(status, body) of one curl."""
        words = [CURL, "-sS", "-m", "100", "-w", "\n%{http_code}", *words, self.url + target]
        done = subprocess.run(words, capture_output=True, timeout=120, cwd=str(self.folder))
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    def told(self, target, *words):
        """(status, JSON) of one curl."""
        status, body = self.curl(target, *words)
        return status, json.loads(body)

    def close(self):
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("curl"))
    yield house
    log = house.close()
    for secret in ("correct horse", "battery staple", "Y29ycmVjdCBob3JzZQ"):
        assert secret not in log


@by_processes
def test_name_and_password(house):
    assert house.told("/list")[0] == 401
    assert house.told("/list", "-u", "ann:wrong")[0] == 401
    status, record = house.told("/post?name=mine.wav", *ANN, "--data-binary", "@a.wav")
    assert status == 201 and record["uploaded_by"] == "ann"
    assert house.curl("/download?name=mine.wav", *ANN) == (200, SOUND)
    assert house.curl("/download?name=mine.wav", *BOB)[0] == 404
    assert house.told("/list", *BOB)[1]["total"] == 0


@by_processes
def test_a_token_from_the_command_holds_within_a_second_and_no_longer(house):
    token = command("token", "new", "ann", "--scope", "read", data=house.data).splitlines()[-1]
    for scheme in ("Bearer", "Token"):
        assert house.told("/me", "-H", f"Authorization: {scheme} {token}")[1]["name"] == "ann"
    assert (
        house.told("/post", "-H", f"Authorization: Bearer {token}", "--data-binary", "@a.wav")[0]
        == 403
    )
    status, made = house.told("/tokens", *ANN, "-d", '{"scopes": ["read"], "expires": "1h"}')
    assert status == 201
    assert house.curl(f"/tokens/{made['id']}", *ANN, "-X", "DELETE")[0] == 204
    assert house.told("/me", "-H", f"Authorization: Bearer {made['token']}")[0] == 401


@by_processes
def test_a_signed_link(house):
    _, record = house.told("/post?name=linked.wav", *ANN, "--data-binary", "@a.wav")
    status, link = house.told(f"/files/{record['id']}/links", *ANN, "-d", '{"expires": "24h", "download": true}')
    assert status == 201
    assert house.curl(link["url"]) == (200, SOUND)
    assert house.curl(link["url"], "-r", "0-3") == (206, b"RIFF")
    assert house.curl(link["url"], "-O", "-J")[0] == 200
    assert (house.folder / "linked.wav").read_bytes() == SOUND
    status, head = house.curl(link["url"], "-I")
    assert status == 200 and b"Content-Length: %d" % len(SOUND) in head
    for changed in (link["url"] + "&x=1", link["url"].replace("true", "false"), link["url"][:-1]):
        assert house.curl(changed)[0] == 403
    assert house.curl(link["url"], "--data-binary", "@b.wav")[0] == 405
    assert house.curl(f"/links/{link['id']}", *BOB, "-X", "DELETE")[0] == 404
    assert house.curl(f"/links/{link['id']}", *ANN, "-X", "DELETE")[0] == 204
    assert house.curl(link["url"])[0] == 404


@by_processes
def test_a_drop(house):
    status, drop = house.told("/drops", *ANN, "-d", '{"files": 2, "bytes": "1MiB", "minutes": 1, "note": "the band"}')
    assert status == 201
    status, receipt = house.told(drop["url"] + "?name=take.wav", "--data-binary", "@a.wav")
    assert status == 201 and receipt["name"] == "take.wav" and "id" not in receipt
    assert house.told(drop["url"], "-F", "file=@b.wav")[1]["name"] == "b.wav"
    assert house.told(drop["url"], "--data-binary", "@b.wav")[0] == 413
    assert house.curl(drop["url"], "-X", "PATCH")[0] == 405
    assert house.curl("/download?name=b.wav", *ANN) == (200, OTHER)
    assert house.curl(f"/drops/{drop['id']}", *ANN, "-X", "DELETE")[0] == 204
    assert house.told(drop["url"], "--data-binary", "@b.wav")[0] == 404


@by_processes
def test_a_session_and_the_attempt_of_another_site(house):
    jar = str(house.folder / "jar")
    login = ("-c", jar, "-d", '{"name": "ann", "password": "correct horse"}')
    assert house.told("/session", *login)[0] == 201
    assert house.told("/me", "-b", jar)[1]["credential"] == "session"
    assert "#HttpOnly_" in (house.folder / "jar").read_text()
    for field in ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"):
        assert house.told("/drops", "-b", jar, "-H", field, "-d", "{}")[0] == 403
    assert house.told("/drops", "-b", jar, "-H", "Origin: " + house.url, "-d", "{}")[0] == 201
    assert house.curl("/session", "-b", jar, "-c", jar, "-X", "DELETE")[0] == 204
    assert house.told("/me", "-b", jar)[0] == 401


@by_processes
def test_a_quota_from_the_command(house):
    command(
        "user",
        "quota",
        "bob",
        "--files",
        "1",
        "--bytes",
        "1MiB",
        "--seconds",
        "60",
        data=house.data,
    )
    assert house.told("/me", *BOB)[1]["quota"] == {"files": 1, "bytes": 1 << 20, "seconds": 60}
    assert house.told("/post?name=one.wav", *BOB, "--data-binary", "@a.wav")[0] == 201
    status, problem = house.told("/post?name=two.wav", *BOB, "--data-binary", "@b.wav")
    assert (status, problem["code"], problem["quota"]) == (413, "over-quota", "files")
    assert (house.told("/users/bob", *ANN, "-X", "PATCH", "-d", '{"quota": {"files": null}}')[0] == 200)
    assert house.told("/me", *BOB)[1]["quota"] == {"files": None, "bytes": 1 << 20, "seconds": 60}
