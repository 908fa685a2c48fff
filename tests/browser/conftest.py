"""One browser for all stories, a fresh server for each, and what must hold behind every one of
them.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from support import ROOT, wav  # noqa: E402
from webdriver import Browser, NoBrowser  # noqa: E402

# What the page says goes by itself after seconds, and the way to undo something with it: here it waits to be seen.
PATIENT = "const brief = setTimeout; setTimeout = (act, ms, ...given) => brief(act, ms >= 5000 ? 1e7 : ms, ...given);"


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory):
    """The browser; where there is none the stories are skipped, and that is said."""
    try:
        with Browser(str(tmp_path_factory.mktemp("downloads"))) as browser:
            browser.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": PATIENT})
            yield browser
    except NoBrowser as error:
        pytest.skip(f"skipped: {error}")


@pytest.fixture(scope="session")
def seeding(tmp_path_factory):
    """A data folder that gets 100,000 invented files while the other stories are told."""
    folder = tmp_path_factory.mktemp("many")
    command = [
        sys.executable,
        str(ROOT / "bench" / "bench_catalogue.py"),
        "--rows",
        "100000",
        "--data",
        str(folder),
        "--seed-only",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield process, folder / "100000"


@pytest.fixture(scope="session", autouse=True)
def early(request, one_browser):
    """Begin what takes long at the beginning."""
    if any("hundred_thousand" in item.name for item in request.session.items):
        request.getfixturevalue("seeding")


class Page:
    """A server and a browser that looks at it."""

    def __init__(self, server, browser, folder) -> None:
        self.server, self.browser, self.folder = server, browser, folder
        self.expected = []  # complaints of the console that belong to the story

    def store(self, name, body=None, **parameters):
        """A file that is there already; its record."""
        query = "".join(f"&{key.replace('_', '.')}={quote(value)}" for key, value in parameters.items())
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        try:
            connection.request("POST", f"/files?name={quote(name)}{query}", body or wav(1.0))
            answer = connection.getresponse()
            record = json.loads(answer.read())
            assert answer.status in (200, 201), record
            return record
        finally:
            connection.close()

    def write(self, name, body):
        """A file on this disk; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return str(path)

    def open(self, target="/"):
        """Load a view and wait until its head stands; what it then asks the server for comes when it comes."""
        self.browser.go(self.server.url + target)
        self.browser.find("#main h1")


@pytest.fixture
def page(one_browser, running, tmp_path):
    """A page to act on; behind the story nothing stands in the console and nothing was asked of anybody else."""
    server = running(tmp_path / "var")
    one_browser.size(1280, 800)
    one_browser.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    one_browser.complaints(), one_browser.requests()
    one = Page(server, one_browser, tmp_path)
    yield one
    complaints = [line for line in one_browser.complaints() if not any(word in line for word in one.expected)]
    elsewhere = [
        request["url"]
        for request in one_browser.requests()
        if not request["url"].startswith((one.server.url, "blob:" + one.server.url, "data:", "chrome:", "about:"))
    ]
    one_browser.go("about:blank")
    assert complaints == [] and elsewhere == []


def pytest_report_header():
    """Where pictures go, if they are wanted."""
    return f"pictures of each view: {os.environ.get('SCREENSHOTS') or 'none; SCREENSHOTS=folder makes them'}"
