"""A cluster that lets in only whom it knows: TLS, certificates of clients, passwords; with real nodes.

Whatever does not fit is told in one line at the start and by /health later, and no secret is in any of it.  Skipped
aloud where there are no nodes, or no `openssl` to make certificates.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from processes import start, until
from rqlite_nodes import RqliteNodes
from support import ROOT, request, wav

from audiokit.catalogue.address import parse
from audiokit.catalogue.errors import CatalogueRefused
from audiokit.catalogue.rqlite import RqliteCatalogue
from audioserver import main

pytestmark = pytest.mark.slow
SECRET = "open-sesame-4711"
SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
MAY = ["query", "execute", "backup"]


class Papers:
    """An authority, a certificate of a node and one of a client, and the authority of somebody else."""

    def __init__(self, folder):
        self.folder = folder
        for authority in ("ca", "other-ca"):
            self.make("req", "-x509", "-subj", f"/CN={authority}", "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign", *self.new(authority), "-out", f"{authority}.pem")
        for who, authority in (("node", "ca"), ("client", "ca"), ("stranger", "other-ca")):
            (folder / "names").write_text(  # all that RFC 5280 wants: Python 3.13 looks at it
                "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            )
            self.make("req", "-subj", f"/CN={who}", *self.new(who), "-out", f"{who}.csr")
            self.make("x509", "-req", "-in", f"{who}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                      "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{who}.pem")
        self.make("ec", "-in", "client.key", "-aes128", "-passout", "pass:x", "-out", "sealed.key")

    def new(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", f"{name}.key")

    def make(self, *words):
        try:
            done = subprocess.run(["openssl", *words], cwd=str(self.folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("skipped: openssl is not here to make certificates")
        if done.returncode:
            pytest.skip(f"skipped: this openssl does not do {words[0]}: {done.stderr.decode()[-200:]}")

    def __getattr__(self, name):
        """The path of a file: `ca_pem`, `other_ca_pem`, `node_key`."""
        stem, _, kind = name.rpartition("_")
        return str(self.folder / f"{stem.replace('_', '-')}.{kind}")


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


def users(path, *names, password=SECRET):
    """rqlite's file of who may come in."""
    known = [{"username": name, "password": password, "perms": MAY} for name in names]
    path.write_text(json.dumps([*known, {"username": "*", "perms": ["ready"]}]))
    return path


class Sealed:
    """A node that speaks TLS, asks for a certificate of its clients, and for a password."""

    def __init__(self, folder, papers):
        self.papers, self.users = papers, users(folder / "users.json", "audio")
        context = ssl.create_default_context(cafile=papers.ca_pem)
        context.load_cert_chain(papers.client_pem, papers.client_key)
        flags = ["-http-cert", papers.node_pem, "-http-key", papers.node_key, "-http-ca-cert", papers.ca_pem,
                 "-http-verify-client", "-auth", self.users]
        self.nodes = RqliteNodes(folder, 1, flags, context)

    def address(self, who=f"audio:{SECRET}@", **given):
        """Its address, with some of what it takes replaced; None leaves it out."""
        papers = self.papers
        whole = {"ca": papers.ca_pem, "cert": papers.client_pem, "key": papers.client_key, **given}
        query = "&".join(f"{name}={value}" for name, value in whole.items() if value is not None)
        return f"rqlite://{who}{self.nodes.hosts}" + (f"?{query}" if query else "")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory, papers):
    one = Sealed(tmp_path_factory.mktemp("sealed"), papers)
    with one.nodes:
        yield one


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A node that speaks no TLS and wants a password."""
    folder = tmp_path_factory.mktemp("plain")
    with RqliteNodes(folder, 1, ["-auth", users(folder / "users.json", "audio", "a b@c/d?e%f")]) as one:
        yield one


def command(*words):
    return [sys.executable, ROOT / "audioserver.py", *words]


def serve(data, address):
    """A server whose catalogue is there; its address is said by the environment alone."""
    environment = {**os.environ, "AUDIOSERVER_CATALOGUE": address}
    return start(command("--port", "0", "--data", data), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                 stdin=subprocess.DEVNULL, text=True, env=environment)


@contextlib.contextmanager
def served(data, address):
    """Where it is, the process, and a list that has what it said at its end."""
    process, said = serve(data, address), []
    host = ("127.0.0.1", int(process.stdout.readline().rsplit(":", 1)[1]))
    try:
        yield host, process, said
    finally:
        process.terminate()
        said += process.communicate(timeout=60)
    assert process.returncode == 0 and SECRET not in "".join(said)


def test_a_life_behind_tls_with_a_certificate_and_a_password(sealed, tmp_path):
    with served(tmp_path, sealed.address()) as (host, process, _):
        status, _, body = request(host, "POST", "/post?name=a.wav", wav())
        assert status == 201
        assert request(host, "GET", f"/files/{json.loads(body)['id']}/content")[2] == wav()
        assert json.loads(request(host, "GET", "/list")[2])["total"] == 1
        assert request(host, "GET", "/health")[0] == 200
        # A conversion begins the processes that convert.
        assert request(host, "POST", f"/resample?id={json.loads(body)['id']}&rate=8000")[0] == 200
        assert all(SECRET not in title for title in titles_below(process.pid))
    assert main_says(tmp_path, sealed.address(), "db", "check") == (0, "")
    assert main_says(tmp_path, sealed.address(), "db", "dump") == (0, "")


def titles_below(pid):
    """How a process and those that it began are called, as everybody on the machine can see."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        left += children.get(one, [])
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{one}/cmdline").read_text())
    assert len(found) > 1
    return found


def main_says(data, address, *words):
    """(exit status, what it said on standard error) of a command."""
    done = subprocess.run(
        [*map(str, command(*words)), "--data", str(data)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, timeout=120, env={**os.environ, "AUDIOSERVER_CATALOGUE": address},
    )
    return done.returncode, done.stderr


def test_a_password_is_read_from_a_file(sealed, tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    with served(tmp_path / "var", sealed.address("audio@", passfile=path)) as (host, _, _):
        assert request(host, "GET", "/health")[0] == 200


def test_who_is_called_strangely_comes_in(plain, tmp_path):
    door = RqliteCatalogue(parse(f"rqlite://a%20b%40c%2Fd%3Fe%25f:{SECRET}@{plain.hosts}"), SCHEMA)
    assert door.read("SELECT 1") == [(1,)]
    door.close()


@pytest.mark.parametrize("change, words, why", [
    (lambda s, p: s.address("audio:wrong-4712@"), "answers 401: user or password are wrong", "a wrong password"),
    (lambda s, p: s.address("nobody:wrong-4712@"), "answers 401", "a wrong name"),
    (lambda s, p: s.address(""), "answers 401", "no password where one is wanted"),
    (lambda s, p: s.address(ca=p.other_ca_pem), "the certificate of its authority is named by ca=FILE", "a wrong authority"),
    (lambda s, p: s.address(ca=None), "ca=FILE", "the system does not know the authority"),
    (lambda s, p: s.address(cert=None, key=None), "it wants a certificate of us", "no certificate of the client"),
    (lambda s, p: s.address(cert=p.stranger_pem, key=p.stranger_key), "does not ", "a certificate somebody else signed"),
    (lambda s, p: s.address(key=p.node_key), "client.pem and ", "a key that is another's"),
    (lambda s, p: s.address(key=p.sealed_key), "keys without a password", "a key that would be asked for on the terminal"),
    (lambda s, p: s.address(ca="/nowhere.pem"), "/nowhere.pem", "a file that is not there"),
    (lambda s, p: s.address("audio@", passfile="/nowhere"), "/nowhere", "a file of a password that is not there"),
    (lambda s, p: f"rqlite://audio:{SECRET}@{s.nodes.hosts}", "answers 400", "no TLS where it is wanted"),
])
def test_what_does_not_fit_ends_the_start_in_one_line(sealed, papers, tmp_path, monkeypatch, capfd, change, words, why):
    monkeypatch.setenv("AUDIOSERVER_CATALOGUE", change(sealed, papers))
    # If it began all the same it would end here: nobody has an address that is for documentation (RFC 5737).
    status = main(["serve", "--open", "--host", "192.0.2.1", "--port", "0", "--data", str(tmp_path)])
    out, told = capfd.readouterr()  # OpenSSL would speak to the terminal past Python
    assert (status, out) == (1, ""), why
    assert words in told and told.startswith("audioserver: ") and told.count("\n") == 1, told
    assert SECRET not in told and "wrong-4712" not in told and "[Errno" not in told and "_ssl.c" not in told


def test_tls_with_a_node_that_speaks_none_is_told(plain, papers, tmp_path):
    address = f"rqlite://audio:{SECRET}@{plain.hosts}?tls=yes&ca={papers.ca_pem}"
    assert main_says(tmp_path, address, "db", "check") == (
        1, f"audioserver: TLS with {plain.hosts}: it speaks no TLS\n"
    )


def test_a_node_that_is_not_trusted_is_left_for_one_that_is(sealed, plain, papers):
    address = sealed.address().replace(sealed.nodes.hosts, f"{plain.hosts},{sealed.nodes.hosts}")
    door = RqliteCatalogue(parse(address), SCHEMA)
    assert door.read("SELECT 1") == [(1,)]
    door.close()


def test_a_password_that_is_changed_meanwhile_is_told_by_health_and_all_goes_on_when_it_is_right_again(tmp_path):
    known = users(tmp_path / "users.json", "audio")
    with RqliteNodes(tmp_path, 1, ["-auth", known]) as node:
        address = f"rqlite://audio:{SECRET}@{node.hosts}"
        with served(tmp_path / "var", address) as (host, _, said):
            assert request(host, "POST", "/post?name=a.wav", wav())[0] == 201
            node.kill(0)
            users(known, "audio", password="another")
            node.start(0)
            node.wait()
            for method, target, body in (("GET", "/info?name=a.wav", None), ("POST", "/post?name=b.wav", wav(0.2))):
                status, fields, body = request(host, method, target, body)
                assert (status, fields["retry-after"]) == (503, "5") and SECRET.encode() not in body
            status, _, body = request(host, "GET", "/health")
            assert status == 503 and "user or password" in json.loads(body)["engines"]["catalogue"]
            assert SECRET.encode() not in body
            assert request(host, "GET", "/health/live")[0] == 200
            node.kill(0)
            users(known, "audio")
            node.start(0)
            node.wait()
            until(lambda: request(host, "GET", "/health")[0] == 200)
            assert request(host, "POST", "/post?name=b.wav", wav(0.2))[0] == 201


@pytest.mark.parametrize("text", [
    f"rqlite://audio:{SECRET}", f"rqlite://audio:{SECRET}:4001", f"rqlite://audio:{SECRET}?x@one", f"rqlite://{SECRET}@one",
    f"rqlite://one?password={SECRET}", f"rqlite://one?level={SECRET}", f"rqlite://audio:{SECRET}/x@one:y", f"rqlite://au%3Adio:{SECRET}@one",
])
def test_an_address_that_cannot_be_one_is_refused_and_not_repeated(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUDIOSERVER_CATALOGUE", text)
    status, told = main(["db", "check", "--data", str(tmp_path)]), capsys.readouterr().err
    assert status == 1 and told.count("\n") == 1 and SECRET not in told


def test_who_may_not_back_up_is_told(tmp_path):
    known = users(tmp_path / "users.json", "audio")
    known.write_text(known.read_text().replace(', "backup"', ""))
    with RqliteNodes(tmp_path, 1, ["-auth", known]) as node:
        door = RqliteCatalogue(parse(f"rqlite://audio:{SECRET}@{node.hosts}"), SCHEMA)
        try:
            with pytest.raises(CatalogueRefused, match="it may not do this"):
                door.backup(tmp_path / "copy")
        finally:
            door.close()
