"""The documentation, held against the program: every route, parameter, command and setting is in it."""

from __future__ import annotations

import re

import pytest
from support import ROOT

from audiokit import routes
from audiokit.settings import TABLE
from audiokit.wire.problems import PROBLEMS

README = (ROOT / "README.md").read_text("utf-8")
API = (ROOT / "docs" / "api.md").read_text("utf-8")
COMMANDS = ["db create", "db destroy", "db reset", "db dump", "db check", "db backup", "db migrate", "db move", "info",
            "resample", "user add", "user list", "user remove", "user password", "user disable", "user enable",
            "user quota", "token new", "token list", "token revoke"]
PARAMETERS = (
    "name q format codec sha256 truncated duration size samplerate channels bits bitrate uploadedafter "
    "uploadedbefore tag.KEY meta.KEY sort limit cursor fields overwrite disposition"
).split()


def settings_table():
    rows = ["| flag | default | what it is |", "|---|---|---|"]
    rows += [f"| `{s.flag}` | {s.default or 'none'} | {s.reason} |" for s in TABLE]
    return "\n".join(rows)


@pytest.mark.parametrize("path", routes.ROUTES)
def test_every_route_is_documented_with_its_methods(path):
    for method in routes.ROUTES[path]:
        for name, text in (("README", README), ("docs/api.md", API)):
            assert re.search(rf"`{method} {re.escape(path)}[`?]", text), f"{name} lacks {method} {path}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    assert f"audioserver.py {command}" in API
    assert f"`{command}" in README


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_parameter_is_documented(parameter):
    assert re.search(rf"`{re.escape(parameter)}[`=]", API) or f" {parameter} " in API


def test_the_filters_of_the_documentation_are_those_of_the_program():
    from audiokit import listing

    values = {"limit": "1", "sort": "name", "truncated": "true", "sha256": "0" * 64, "fields": "id",
              "uploadedafter": "2026-01-01T00:00:00Z", "uploadedbefore": "2026-01-01T00:00:00Z"}
    for parameter in PARAMETERS:
        if parameter not in ("cursor", "overwrite", "disposition"):
            listing.parse([(parameter.replace("KEY", "x"), values.get(parameter, "1"))])


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_error_code_is_documented(code):
    assert f"`{code}`" in API


def test_the_settings_in_the_readme_are_those_of_the_program():
    found = README.split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0].strip()
    assert found == settings_table(), "paste settings_table() there"


def test_the_two_commands_come_first():
    first = README.split("```")[1]
    assert "python3 audioserver.py" in first and "make test" in first


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"(?:\]\(|src=\")([^)#:\"]+)[)\"]", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_make_target_has_help():
    text = (ROOT / "Makefile").read_text("utf-8")
    for target in re.search(r"\.PHONY: (.*)", text).group(1).split():
        assert re.search(rf"^{target}:.*## \S", text, re.MULTILINE), f"{target} has no help"
