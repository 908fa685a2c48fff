"""What is said to browsers and believed of proxies: policies, sharing between origins, forwarded addresses."""

from __future__ import annotations

import json

import pytest
from people import QUICK, Person
from support import raw, request, wav

from audiokit.settings import BadSetting, Settings, networks, origins
from audiokit.wire import policies
from audiokit.wire.cors import EXPOSED, Sharing
from audiokit.wire.proxies import Proxies

SITE = "https://app.example"
TRUSTED = Proxies(networks("10.0.0.0/8,192.0.2.1,2001:db8::/32"))
# The client of a request from 10.0.0.1 with this X-Forwarded-For.
FORWARDED = [
    (None, "10.0.0.1", "a proxy that says nothing speaks for itself"),
    ("203.0.113.9", "203.0.113.9", "one hop"),
    ("203.0.113.9, 10.2.3.4", "203.0.113.9", "trusted hops are skipped"),
    ("1.1.1.1, 203.0.113.9, 10.2.3.4", "203.0.113.9", "what is left of an untrusted hop is that hop's word"),
    ("10.9.9.9, 10.2.3.4", "10.9.9.9", "all are trusted: the first of them asks"),
    ("203.0.113.9:4711", "203.0.113.9", "some proxies write the port"),
    ("[2001:db9::7]:4711", "2001:db9::7", "and brackets"),
    ("2001:DB9:0::7", "2001:db9::7", "one spelling for one address"),
    ("::ffff:203.0.113.9", "203.0.113.9", "IPv4 in the clothes of IPv6"),
    ("2001:db8::5", "2001:db8::5", "a trusted network of IPv6"),
    ("1.1.1.1, unknown, 10.2.3.4", "10.2.3.4", "the chain breaks off where a hop is no address"),
    ("<script>", "10.0.0.1", "nonsense is no address"),
    ("203.0.113.9,", "10.0.0.1", "an empty hop neither"),
    ("1.2.3.400", "10.0.0.1", "nor this"),
]


class TestProxies:
    @pytest.mark.parametrize("value, client, why", FORWARDED)
    def test_the_client_is_the_right_most_hop_that_is_not_trusted(self, value, client, why):
        assert TRUSTED.client("10.0.0.1", {} if value is None else {"x-forwarded-for": value}) == client, why

    TRUST = [("10.255.0.1", True), ("192.0.2.1", True), ("192.0.2.2", False), ("::ffff:10.0.0.1", True),
             ("2001:db8::1%eth0", True), ("fe80::1%eth0", False), ("", False), ("localhost", False)]

    @pytest.mark.parametrize("address, is_trusted", TRUST)
    def test_only_named_networks_are_trusted(self, address, is_trusted):
        assert TRUSTED.trust(address) is is_trusted
        assert not Proxies(()).trust(address)

    PROTO = [("https", "https"), ("HTTP", "http"), ("http, https", "https"), ("gopher", None), ("", None)]

    @pytest.mark.parametrize("value, scheme", PROTO)
    def test_the_nearest_proxy_says_the_scheme(self, value, scheme):
        assert TRUSTED.scheme({"x-forwarded-proto": value}) == scheme

    @pytest.mark.parametrize("trusted, client", [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1"),
                                                 ("", "127.0.0.1")])
    def test_the_log_names_the_client_and_nobody_else_can_choose_it(self, running, capsys, trusted, client):
        server = running(trusted_proxy=networks(trusted), log="json")
        request(server.address, "GET", "/health", headers={"X-Forwarded-For": "1.1.1.1, 203.0.113.9"})
        assert raw(server.address, b"GET / HTTP/9.9\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n").startswith(b"HTTP/1.1 505")
        server.__exit__()
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["client"] for line in lines] == [client, "127.0.0.1"]

    def test_guesses_count_for_whom_the_proxy_speaks(self, running):
        server = running(trusted_proxy=networks("127.0.0.1"), guess_limit=2)
        person = Person(server, "ann")
        server.server.authenticator._parameters = QUICK
        server.server.authenticator.changed()

        def log_in(password, client):
            body = json.dumps({"name": "ann", "password": password})
            return request(server.address, "POST", "/session", body, {"X-Forwarded-For": client})[0]

        assert [log_in("wrong " * 2, "203.0.113.9") for _ in range(3)] == [401, 401, 429]
        assert log_in(person.password, "203.0.113.10") == 201, "the right password gets in from elsewhere"

    def test_the_scheme_of_the_proxy_is_the_only_one_the_page_may_have(self, running):
        server = running(trusted_proxy=networks("127.0.0.1"))
        for origin, status in (("https://localhost", 201), ("http://localhost", 403)):
            fields = {"Host": "localhost", "X-Forwarded-Proto": "https", "Origin": origin}
            assert request(server.address, "POST", "/post", wav(), fields)[0] == status


class TestSettings:
    @pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "10.0.0.0-10.0.0.9"])
    def test_what_is_no_network_is_named(self, text):
        with pytest.raises(BadSetting, match=f"--trusted-proxy: '{text}' is neither"):
            Settings.of({"trusted_proxy": text}, {})

    @pytest.mark.parametrize("text", ["example.org", "https://example.org/", "null", "https://*.example.org", "ftp://a",
                                      "https://a b", "https://example.org:443", "http://example.org:80", "https://a\r"])
    def test_what_is_no_origin_is_named(self, text):
        if text == "https://a\r":
            assert origins(text) == ("https://a",)
            return
        with pytest.raises(BadSetting, match="--cors-origin"):
            Settings.of({"cors_origin": text}, {})

    def test_several_are_separated_by_commas(self):
        assert origins("https://A.example, http://b:8080,*") == ("https://a.example", "http://b:8080", "*")
        assert [str(one) for one in networks("10.0.0.0/8, ::1")] == ["10.0.0.0/8", "::1/128"]


class TestPolicies:
    PRIVATE = [
        ((), "private, no-cache", "Authorization, Cookie"),
        ((("Cache-Control", "no-cache"), ("Vary", "Origin")), "private, no-cache", "Origin, Authorization, Cookie"),
        ((("Cache-Control", "public, max-age=5"),), "private, max-age=5", "Authorization, Cookie"),
        ((("Cache-Control", "no-store"),), "no-store", "Authorization, Cookie"),
    ]

    @pytest.mark.parametrize("fields, control, vary", PRIVATE)
    def test_what_was_given_to_a_credential_is_for_no_shared_cache(self, fields, control, vary):
        found = policies.private((("A", "b"), *fields))
        assert found[0] == ("A", "b") and dict(found)["Cache-Control"] == control and dict(found)["Vary"] == vary
        assert len(found) == 3 and policies.private(found)

    def test_answers_to_a_credential_are_private_and_those_to_everybody_are_not(self, running, both_ways):
        assert "vary" not in request(both_ways.address, "GET", "/list")[1], "nobody has an account there"
        server = running()
        person = Person(server, "ann")
        server.server.authenticator.changed()
        person.post("a.wav", wav())
        asked = [("/list", 200), ("/download?name=a.wav", 200), ("/info?name=none", 404)]
        for target, status in asked:
            found, said, _ = person.ask("GET", target)
            assert found == status and said["vary"] == "Authorization, Cookie"
            assert said["cache-control"] == ("private, no-cache" if status == 200 else "no-store")
        said = request(server.address, "GET", "/list")[1]
        assert said["vary"] == "Authorization, Cookie" and said["cache-control"] == "no-store"
        assert "vary" not in request(server.address, "GET", "/health")[1]

    # method, target, fields, status, policy
    ANSWERS = [
        ("GET", "/list", {}, 200, policies.DATA),
        ("GET", "/nowhere", {}, 404, policies.DATA),
        ("GET", "/<script>alert(1)</script>", {}, 404, policies.DATA),
        ("GET", "/info?name=<script>", {}, 404, policies.DATA),
        ("GET", "/list", {"Host": "evil.example"}, 421, policies.DATA),
        ("POST", "/post", {"Origin": "https://evil.example"}, 403, policies.DATA),
        ("GET", "/download?name=a.wav", {}, 200, policies.DOWNLOAD),
        ("GET", "/download?name=a.wav&disposition=inline", {"Range": "bytes=0-3"}, 206, policies.DOWNLOAD),
        ("GET", "/download?name=a.wav", {"Range": "bytes=999999-"}, 416, policies.DATA),
        ("GET", "/download?name=a.wav", {"If-None-Match": "*"}, 304, None),
        ("OPTIONS", "/list", {}, 204, None),
        ("PUT", "/list", {}, 405, policies.DATA),
        ("GET", "/openapi.json", {}, 200, policies.DATA),
        ("GET", "/ui/icon.svg", {}, 200, policies.DATA),
        ("GET", "/files/ID/peaks?width=1", {}, 200, policies.DATA),
        ("GET", "/files/ID/peaks?width=1&format=dat", {}, 200, policies.DATA),
    ]

    @pytest.mark.parametrize("method, target, fields, status, policy", ANSWERS)
    def test_every_answer_says_what_a_browser_may_do_with_it(self, both_ways, method, target, fields, status, policy):
        record = json.loads(request(both_ways.address, "POST", "/post?name=a.wav", wav())[2])
        found, said, body = request(both_ways.address, method, target.replace("ID", record["id"]), headers=fields)
        assert found == status
        assert said["x-content-type-options"] == "nosniff" and said.get("content-security-policy") == policy
        assert "html" not in said.get("content-type", "")

    EARLY = [b"\x16\x03\x01\x00\x05", b"GET / HTTP/2.0\r\n\r\n", b"GET /\r\n\r\n", b"<html>\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]

    @pytest.mark.parametrize("data", EARLY)
    def test_refusals_before_a_request_is_known_say_it_too(self, server, data):
        answer = raw(server.address, data)
        assert answer.count(b"X-Content-Type-Options: nosniff\r\n") == 1
        assert policies.DATA.encode() in answer and b"Content-Type: application/problem+json\r\n" in answer


class TestSharing:
    def test_it_is_off_until_origins_are_named(self, server):
        for method in ("GET", "OPTIONS"):
            fields = {"Origin": SITE, "Access-Control-Request-Method": "GET"}
            said = request(server.address, method, "/list", headers=fields)[1]
            assert not [name for name in said if name.startswith("access-control") or name == "vary"]

    def test_a_named_origin_reads_and_changes(self, running):
        server = running(cors_origin=origins(SITE))
        fields = {"Origin": SITE, "Sec-Fetch-Site": "cross-site"}
        status, said, _ = request(server.address, "POST", "/post?name=a.wav", wav(), fields)
        assert status == 201 and said["access-control-allow-origin"] == SITE
        assert said["access-control-allow-credentials"] == "true" and said["vary"] == "Origin"
        for target, status in (("/list", 200), ("/download?name=a.wav", 200), ("/nowhere", 404), ("/list?limit=x", 400)):
            found, said, _ = request(server.address, "GET", target, headers=fields)
            assert (found, said["access-control-allow-origin"]) == (status, SITE), "errors can be read as well"
            assert said["access-control-expose-headers"] == EXPOSED

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil.example", SITE + ":8443"])
    def test_other_origins_get_nothing(self, running, origin):
        server = running(cors_origin=origins(SITE))
        status, said, _ = request(server.address, "POST", "/post", wav(), {"Origin": origin})
        assert status == 403 and "access-control-allow-origin" not in said and said["vary"] == "Origin"
        assert request(server.address, "GET", "/list")[1]["vary"] == "Origin", "a cache must know, whoever asks"
        said = request(server.address, "OPTIONS", "/post", headers={
            "Origin": origin, "Access-Control-Request-Method": "POST"})[1]
        assert not [name for name in said if name.startswith("access-control")]

    def test_a_preflight_is_told_what_the_path_can(self, running):
        server = running(cors_origin=origins(SITE))
        fields = {"Origin": SITE, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "content-type"}
        status, said, _ = request(server.address, "OPTIONS", "/files/abc", headers=fields)
        assert status == 204 and said["access-control-allow-origin"] == SITE
        assert said["access-control-allow-methods"] == said["allow"] == "GET, HEAD, PATCH, DELETE, OPTIONS"
        for field in ("Authorization", "Content-Type", "Range", "Repr-Digest"):
            assert field in said["access-control-allow-headers"].split(", ")

    def test_a_star_lets_everybody_read_without_credentials_and_nobody_change(self, running):
        server = running(cors_origin=("*",))
        said = request(server.address, "GET", "/list", headers={"Origin": "https://any.example"})[1]
        assert said["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in said
        assert request(server.address, "POST", "/post", wav(), {"Origin": "https://any.example"})[0] == 403
        said = request(server.address, "OPTIONS", "/files", headers={
            "Origin": "https://any.example", "Access-Control-Request-Method": "POST"})[1]
        assert said["access-control-allow-methods"] == "GET, HEAD"

    def test_a_star_beside_a_name_still_varies(self):
        both = Sharing(origins(SITE + ",*"))
        assert dict(both.fields({"origin": SITE}))["Access-Control-Allow-Origin"] == SITE
        other = dict(both.fields({}))
        assert (other["Access-Control-Allow-Origin"], other["Vary"]) == ("*", "Origin")

    def test_a_malformed_head_shares_nothing(self, running):
        server = running(cors_origin=origins(SITE))
        assert b"Access-Control" not in raw(server.address, b"GET / HTTP/1.1\r\nOrigin: https://app.example\r\nbad\r\n\r\n")
