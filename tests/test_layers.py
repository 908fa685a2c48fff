"""The architecture, held: imports point downwards, and stay inside the standard library."""

from __future__ import annotations

import ast
import re
import sys
from functools import lru_cache

import pytest
from support import ROOT

GONE = {"aifc", "audioop", "cgi", "cgitb", "chunk", "imghdr", "sndhdr", "sunau", "crypt", "pipes", "telnetlib", "uu",
        "xdrlib", "asyncore", "asynchat", "smtpd", "distutils", "imp"}
# room: rooms it may import besides itself
MAY_IMPORT = {
    "audioserver": {"storage", "audiokit.blobs", "audiometa", "audiokit.routes", "audiokit.commands", "audiokit.accesslog",
                    "audiokit.settings", "audiokit.wire", "audiokit.jobs", "audiokit.conversions",
                    "audiokit.resample_command", "audiokit.accounts", "audiokit.authentication",
                    "audiokit.account_commands", "audiokit.failures", "audiokit.keyfile", "audiokit.pages", "audiokit.peaks",
                    "audiokit.preconditions", "audiokit.shared_jobs", "audiokit.windows"},
    "storage": {"audiometa", "audiokit.blobs", "audiokit.catalogue", "audiokit.migrations",
                "audiokit.accounts", "audiokit.arrivals", "audiokit.wire", "audiokit.names",
                "audiokit.quotas", "audiokit.engines", "audiokit.failures", "audiokit.health", "audiokit.keyfile",
                "audiokit.moves", "audiokit.removals", "audiokit.results", "audiokit.spool"},
    "audiokit.arrivals": {"audiometa", "audiokit.catalogue", "audiokit.failures", "audiokit.formats", "audiokit.held",
                          "audiokit.names", "audiokit.quotas", "audiokit.spool", "audiokit.wire"},
    "audiokit.moves": {"audiokit.blobs", "audiokit.catalogue", "audiokit.engines", "audiokit.keyfile"},
    "audiokit.engines": {"audiokit.blobs", "audiokit.catalogue"},
    "audiokit.failures": {"audiokit.blobs", "audiokit.catalogue", "audiokit.wire"},
    "audiokit.held": set(),
    "audiokit.health": {"audiokit.blobs", "audiokit.failures", "audiokit.spool"},
    "audiokit.removals": {"audiokit.catalogue"},
    "audiokit.results": {"audiokit.blobs", "audiokit.catalogue", "audiokit.digests", "audiokit.failures", "audiokit.removals"},
    "audiokit.spool": {"audiokit.blobs", "audiokit.failures", "audiokit.wire"},
    "audiometa": {"audiokit.formats"},
    "audiokit": set(),
    "audiokit.settings": {"audiokit.catalogue", "audiokit.blobs"},
    "audiokit.digests": set(),
    "audiokit.accesslog": set(),
    "audiokit.accounts": {"audiokit.parameters", "audiokit.wire"},
    "audiokit.credentials": {"audiokit.parameters"},
    "audiokit.guesses": {"audiokit.wire"},
    "audiokit.authentication": {"audiokit.accounts", "audiokit.credentials", "audiokit.guesses", "audiokit.sessions",
                                "audiokit.wire"},
    "audiokit.account_commands": {"audiokit.accounts", "audiokit.commands", "audiokit.credentials", "audiokit.settings",
                                  "audiokit.wire"},
    "audiokit.links": {"audiokit.wire"},
    "audiokit.preconditions": {"audiokit.wire"},
    "audiokit.quotas": {"audiokit.wire"},
    "audiokit.names": {"audiokit.wire"},
    "audiokit.sessions": set(),
    "audiokit.keyfile": set(),
    "audiokit.json_bodies": {"audiokit.catalogue", "audiokit.parameters", "audiokit.settings", "audiokit.wire"},
    "audiokit.account_routes": {"audiokit.accounts", "audiokit.credentials", "audiokit.json_bodies", "audiokit.parameters",
                                "audiokit.quotas", "audiokit.sessions", "audiokit.wire"},
    "audiokit.link_routes": {"audiokit.accounts", "audiokit.content", "audiokit.credentials", "audiokit.json_bodies",
                             "audiokit.links", "audiokit.names", "audiokit.parameters", "audiokit.preconditions", "audiokit.quotas",
                             "audiokit.uploads", "audiokit.wire"},
    "audiokit.peak_routes": {"audiokit.content", "audiokit.offers", "audiokit.parameters", "audiokit.peaks",
                             "audiokit.waveform", "audiokit.wire"},
    "audiokit.peaks": {"audiokit.failures", "audiokit.job", "audiokit.wire"},
    "audiokit.waveform": set(),
    "audiokit.windows": {"audiokit.codec", "audiokit.formats", "audiokit.wire"},
    "audiokit.pages": {"audiokit.wire"},
    "audiokit.routes": {"audiokit.account_routes", "audiokit.accounts", "audiokit.content", "audiokit.json_bodies",
                        "audiokit.link_routes", "audiokit.listing", "audiokit.pages", "audiokit.parameters",
                        "audiokit.peak_routes", "audiokit.preconditions", "audiokit.resample_routes",
                        "audiokit.uploads", "audiokit.wire"},
    "audiokit.resample_routes": {"audiokit.accounts", "audiokit.content", "audiokit.failures", "audiokit.job", "audiokit.names",
                                 "audiokit.offers", "audiokit.orders", "audiokit.preconditions", "audiokit.uploads",
                                 "audiokit.wire"},
    "audiokit.orders": {"audiokit.formats", "audiokit.job", "audiokit.offers", "audiokit.parameters", "audiokit.wire"},
    "audiokit.job": {"audiokit.wire"},
    "audiokit.job_notes": {"audiokit.job"},
    "audiokit.jobs": {"audiokit.digests", "audiokit.failures", "audiokit.job", "audiokit.job_notes", "audiokit.wire"},
    "audiokit.shared_jobs": {"audiokit.catalogue", "audiokit.failures", "audiokit.far_job", "audiokit.heirs", "audiokit.job",
                             "audiokit.jobs", "audiokit.wire"},
    "audiokit.heirs": {"audiokit.catalogue", "audiokit.failures", "audiokit.far_job", "audiokit.job", "audiokit.jobs",
                       "audiokit.wire"},
    "audiokit.far_job": {"audiokit.catalogue", "audiokit.job", "audiokit.job_notes", "audiokit.wire"},
    "audiokit.conversions": {"audiokit.job", "audiokit.wire"},
    "audiokit.conversion_worker": {"audiokit.codec", "audiokit.formats", "audiokit.segments", "audiokit.summarising",
                                   "audiokit.transcoding", "audiokit.wire"},
    "audiokit.segments": {"audiokit.codec", "audiokit.formats", "audiokit.resampling", "audiokit.transcoding"},
    "audiokit.summarising": {"audiokit.codec", "audiokit.formats", "audiokit.transcoding", "audiokit.waveform"},
    "audiokit.transcoding": {"audiokit.codec", "audiokit.formats"},
    "audiokit.resampling": set(),
    "audiokit.content": {"audiokit.wire"},
    "audiokit.uploads": {"audiokit.digests", "audiokit.formats", "audiokit.held", "audiokit.names", "audiokit.parameters",
                         "audiokit.wire"},
    "audiokit.commands": {"audiokit.settings", "audiokit.formats"},
    "audiokit.listing": {"audiokit.parameters", "audiokit.wire"},
    "audiokit.parameters": {"audiokit.wire"},
    "audiokit.resample_command": {"audiokit.conversions", "audiokit.transcoding", "audiokit.job",
                                  "audiokit.codec", "audiokit.formats", "audiokit.offers", "audiokit.settings"},
    "audiokit.offers": {"audiokit.formats"},
    "audiokit.catalogue": {"audiokit.accounts", "audiokit.digests", "audiokit.links", "audiokit.migrations"},
    "audiokit.blobs": {"audiokit.digests", "audiokit.wire"},
    "audiokit.migrations": set(),
    "audiokit.wire": set(),
    "audiokit.formats": set(),
    "audiokit.codec": {"audiokit.formats"},
}
PURE = ("audiokit.wire", "audiokit.formats", "audiokit.codec", "audiokit.accounts", "audiokit.credentials", "audiokit.far_job",
        "audiokit.guesses", "audiokit.links", "audiokit.listing", "audiokit.names", "audiokit.offers", "audiokit.orders",
        "audiokit.parameters", "audiokit.preconditions", "audiokit.quotas", "audiokit.resampling", "audiokit.sessions",
        "audiokit.blobs.sigv4", "audiokit.catalogue.clauses", "audiokit.catalogue.crowds", "audiokit.catalogue.guard",
        "audiokit.catalogue.merging", "audiokit.catalogue.newest", "audiokit.catalogue.rows")
# `random` is missing on purpose: dither draws from a generator with a seed, which is a function like any other.
IMPURE = {"socket", "sqlite3", "subprocess", "threading", "time", "selectors", "select", "secrets",
          "pathlib", "tempfile", "multiprocessing", "asyncio", "os", "shutil"}
# The engine's own half of the wire: it is made of sockets, threads and clocks.
ENGINE = {"audiokit.wire.reactor", "audiokit.wire.connection", "audiokit.wire.transfers", "audiokit.wire.poller",
          "audiokit.wire.workers", "audiokit.wire.tls"}


def sources():
    for path in sorted([*ROOT.glob("*.py"), *(ROOT / "audiokit").rglob("*.py")]):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield re.sub(r"\.__init__$", "", dotted), path


def room_of(module):
    """Whose it is: the longest that it is below, but the package itself, which all are below, is only its own."""
    below = (room for room in MAY_IMPORT if module == room or room != "audiokit" and module.startswith(room + "."))
    return max(below, key=len, default=None)


def statements(node):
    """Every statement below a node, however deep, but for what only a type checker sees."""
    for name in ("body", "orelse", "handlers", "finalbody"):
        for below in getattr(node, name, ()):
            if not (isinstance(below, ast.If) and "TYPE_CHECKING" in ast.dump(below.test)):
                yield below
                yield from statements(below)


@lru_cache(maxsize=None)
def read(module, path):
    """The docstring of a module, and absolute names of what it imports; what only a type checker sees does not count."""
    tree, names = ast.parse(path.read_text("utf-8")), []
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in statements(tree):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join(parents + ([node.module] if node.module else []))
            names += [base, *(f"{base}.{alias.name}" for alias in node.names if base.startswith("audiokit"))]
    return ast.get_docstring(tree), names


MODULES = list(sources())


@pytest.mark.parametrize("module, path", MODULES, ids=[m for m, _ in MODULES])
def test_every_module_has_a_room_and_a_docstring(module, path):
    assert room_of(module) is not None, f"{module}: choose its room in MAY_IMPORT"
    if path.stat().st_size:
        assert read(module, path)[0], f"{module} does not say what it is"


@pytest.mark.parametrize("module, path", MODULES, ids=[m for m, _ in MODULES])
def test_imports_point_downwards(module, path):
    own = room_of(module)
    for name in read(module, path)[1]:
        target = room_of(name)
        if target is not None and target not in ("audiokit", own):
            assert target in MAY_IMPORT[own], f"{module} imports {name}"


def test_every_arrow_of_the_table_is_there():
    drawn = {(room_of(module), room_of(name)) for module, path in MODULES for name in read(module, path)[1]}
    assert {(room, below) for room, may in MAY_IMPORT.items() for below in may} <= drawn


@pytest.mark.parametrize("module, path", MODULES, ids=[m for m, _ in MODULES])
def test_imports_stay_inside_the_standard_library(module, path):
    own = {"audioserver", "storage", "audiometa", "audiokit", "__future__"}
    for name in read(module, path)[1]:
        head = name.split(".")[0]
        assert head not in GONE, f"{module} imports {head}, which newer interpreters lack"
        if hasattr(sys, "stdlib_module_names"):
            assert head in own or head in sys.stdlib_module_names, f"{module} imports {name}"


@pytest.mark.parametrize(
    "module, path",
    [pair for pair in MODULES if pair[0].startswith(PURE) and pair[0] not in ENGINE],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pure_rooms_touch_nothing(module, path):
    found = {name.split(".")[0] for name in read(module, path)[1]} & IMPURE
    assert not found, f"{module} is pure and imports {sorted(found)}"


def test_the_project_speaks_of_itself_alone():
    made = {"build", "var", *(p.name for p in ROOT.glob(".venv*"))}  # what others wrote, as .gitignore has it
    ours = [p for p in ROOT.iterdir() if p.name not in made]
    files = [p for top in ours for p in (top, *top.rglob("*")) if p.suffix in (".py", ".md", ".sql", ".toml")]
    assert ROOT / "audioserver.py" in files and ROOT / "tests" / "test_layers.py" in files
    for path in files:
        text = path.read_text("utf-8")
        for word in ("/" + "work/", "pypi" + ".org", "registry" + ".npmjs"):
            assert word not in text, f"{path.relative_to(ROOT)} names {word}"
