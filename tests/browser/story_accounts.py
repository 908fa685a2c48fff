"""Signing in, and what one's account holds: links, drop links, tokens; in a real browser."""

from __future__ import annotations

import json

import pytest
from people import Person, ask
from support import eventually, request, wav

ROWS = "[...document.querySelectorAll('tbody tr .name')].map((cell) => cell.textContent)"
NOT_SIGNED_IN = "401 (Unauthorized)"


@pytest.fixture
def ann(page):
    """An account with a file of hers; one of Bob's beside it."""
    ann, bob = Person(page.server, "ann"), Person(page.server, "bob")
    page.server.server.authenticator.changed()
    ann.file = ann.post("hers.wav", wav(1.0))
    bob.post("his.wav", wav(1.0))
    page.browser.devtools("Network.clearBrowserCookies", {})
    yield ann
    page.browser.devtools("Network.clearBrowserCookies", {})


def sign_in(page, person):
    page.expected += [NOT_SIGNED_IN]
    page.browser.go(page.server.url + "/account")
    page.browser.find("input[name=name]").type(person.name)
    page.browser.find("input[name=password]").type(person.password)
    page.browser.keys("Enter")
    page.browser.until(f"{ROWS}.length === 1")


class TestSigningIn:
    def test_the_list_asks_who_one_is_and_then_shows_ones_own(self, page, ann):
        page.expected += [NOT_SIGNED_IN]
        page.browser.go(page.server.url + "/?sort=name")
        page.browser.find("input[name=name]").type("ann")
        page.browser.find("input[name=password]").type("wrong " * 3)
        page.browser.keys("Enter")
        page.browser.until("document.querySelector('.sign-in .refusal').textContent")
        page.browser.keys(*ann.password, "Enter")
        page.browser.until(f"{ROWS}.join() === 'hers.wav'")
        assert page.browser.url.endswith("/?sort=name")
        page.browser.labelled("ann").click()
        page.browser.until("document.querySelector('h1')?.textContent === 'ann'")
        page.browser.labelled("Sign out").click()
        page.browser.find(".sign-in")
        page.open("/")
        page.browser.find(".sign-in")

    def test_nothing_of_one_account_is_left_for_the_next(self, page, ann):
        sign_in(page, ann)
        page.browser.press("tbody .play button")
        page.browser.drop([page.write("secret.wav", wav(0.5))])
        page.browser.until(f"{ROWS}.length === 2")
        page.browser.labelled("ann").click()
        page.browser.labelled("Sign out").click()
        page.browser.find("input[name=name]").type("bob")
        page.browser.find("input[name=password]").type(ann.password)
        page.browser.keys("Enter")
        page.browser.until(f"{ROWS}.join() === 'his.wav'")
        for name in ("hers.wav", "secret.wav"):
            page.browser.until(f"!document.documentElement.outerHTML.includes('{name}')")

    def test_a_file_by_its_address_asks_too_and_uploads_and_plays_as_oneself(self, page, ann):
        page.expected += [NOT_SIGNED_IN]
        page.browser.go(f"{page.server.url}/file/{ann.file['id']}")
        page.browser.find("input[name=name]").type("ann")
        page.browser.find("input[name=password]").type(ann.password)
        page.browser.keys("Enter")
        page.browser.until("document.querySelector('h1')?.textContent === 'hers.wav'")
        page.browser.labelled("Play").click()
        page.browser.until(
            "document.querySelector('#player button')?.getAttribute('aria-label') === 'Pause'"
        )
        page.browser.drop([page.write("more.wav", wav(2.0))])
        page.browser.labelled("All files").click()
        page.browser.until(f"{ROWS}.join() === 'more.wav,hers.wav'")
        assert [file["name"] for file in ann.ask("GET", "/list?sort=name")[2]["files"]] == [
            "hers.wav",
            "more.wav",
        ]


class TestOnesAccount:
    def test_usage_is_shown_and_tokens_are_made_once_and_revoked(self, page, ann):
        sign_in(page, ann)
        page.browser.labelled("ann").click()
        page.browser.until("document.querySelector('.facts')?.textContent.includes('Files1')")
        page.browser.find("article form input").type("for the radio")
        page.browser.labelled("Make a token").click()
        token = page.browser.text(".copyable code")
        assert ask(page.server, "GET", "/list", Authorization="Bearer " + token)[2]["total"] == 1
        page.browser.labelled("Remove for the radio").click()
        page.browser.until("!document.querySelector('.copyable')")
        page.browser.until(
            "![...document.querySelectorAll('.kept li')].some((row) => row.textContent.includes('radio'))"
        )
        assert ask(page.server, "GET", "/list", Authorization="Bearer " + token)[0] == 401

    def test_a_link_reads_a_file_until_it_is_removed(self, page, ann):
        sign_in(page, ann)
        page.browser.press("tbody .name a")
        page.browser.labelled("Make a link").click()
        page.browser.until("document.querySelector('.copyable code')?.textContent.includes('/links/')")
        link = page.browser.script("return document.querySelector('.copyable code').textContent")
        target = link[len(page.server.url) :]
        assert request(page.server.address, "GET", target)[2] == wav(1.0)
        page.browser.labelled("Remove Link").click()
        page.browser.until("!document.querySelector('.kept li')")
        assert request(page.server.address, "GET", target)[0] == 404

    def test_a_file_is_shared_with_everybody(self, page, ann):
        sign_in(page, ann)
        page.browser.press("tbody .name a")
        page.browser.labelled("Every account here").click()
        page.browser.labelled("Rename")
        eventually(lambda: ann.ask("GET", "/files/" + ann.file["id"])[2]["shared"])


class TestDropLinks:
    @pytest.fixture
    def address(self, page, ann):
        """A drop link that was made on the page."""
        sign_in(page, ann)
        page.browser.labelled("ann").click()
        page.browser.labelled("Make a drop link").click()
        page.browser.until("document.querySelector('.copyable code')?.textContent.includes('/drop/')")
        address = page.browser.script("return document.querySelector('.copyable code').textContent")
        page.browser.devtools("Network.clearBrowserCookies", {})
        return address

    def test_whoever_has_one_records_and_sees_nothing(self, page, ann, address):
        page.browser.size(320, 640)
        page.browser.go(address)
        page.browser.labelled("Record").click()
        page.browser.until("/0:0[1-9]/.test(document.querySelector('.recording .number')?.textContent)")
        page.browser.labelled("Stop and keep").click()
        page.browser.until("document.querySelector('.uploads')?.textContent.startsWith('1 file uploaded')")
        assert not page.browser.script(
            "return [...document.querySelectorAll('a')].some((link) => link.checkVisibility() && !link.matches('.skip'))"
        )
        names = [file["name"] for file in ann.ask("GET", "/list?sort=name")[2]["files"]]
        assert len(names) == 2 and names[0].startswith("Recording ")

    def test_what_is_no_drop_any_more_is_said_in_the_servers_words(self, page, ann, address):
        page.expected += ["404 (Not Found)"]
        (drop,) = ann.ask("GET", "/drops")[2]["drops"]
        assert ann.ask("DELETE", "/drops/" + drop["id"])[0] == 204
        page.browser.go(address)
        page.browser.find(".drop")
        page.browser.drop([page.write("late.wav", wav())])
        page.browser.until("document.querySelector('.uploads .refusal')")
        page.browser.shows(".uploads", "there is no such drop, or not any more")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_accounts_are(page, ann, scheme):
    from story_page import AXE

    if not AXE.is_file():
        pytest.skip(f"skipped: axe-core is not at {AXE}")
    page.browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.expected += [NOT_SIGNED_IN]

    def look(name):
        page.browser.script(AXE.read_text("utf-8"))
        found = page.browser.wait_script("axe.run(document, { resultTypes: ['violations'] }).then(arguments[0])")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == [], name

    page.browser.go(page.server.url + "/")
    page.browser.find(".sign-in")
    look("sign in")
    sign_in(page, ann)
    for width in (1280, 320):
        page.browser.size(width, 800)
        page.open("/account")
        page.browser.until("document.querySelector('.facts')")
        page.browser.labelled("Make a drop link").click()
        page.browser.until("document.querySelector('.copyable')")
        look(f"account at {width}")
        assert page.browser.script("return document.documentElement.scrollWidth") <= width
        page.open("/file/" + ann.file["id"])
        page.browser.labelled("Make a link").click()
        page.browser.until("document.querySelectorAll('.copyable').length === 4")
        look(f"file at {width}")
    page.browser.go(page.server.url + "/drop/" + json.dumps("x").strip('"') * 43)
    page.browser.find(".drop")
    look("drop")
