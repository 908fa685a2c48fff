"""The commands beside serving: `db` and `info`.

Each is a function from parsed arguments to an exit status: 0 done, 1 not done (said on standard error), 2 wrong
usage.  What they work on is handed in: the storage class, and what looks at audio.  They print results on
standard output and talk on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, TextIO

from .formats.info import NotAudio
from .settings import add_flags

OK, FAILED = 0, 1
_FOLDER = "folder"  # as an address: the data folder


def add_db(parser: argparse.ArgumentParser) -> None:
    """The arguments of `db`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    about = {
        "create": "make an empty data folder",
        "destroy": "remove the catalogue and the audio",
        "reset": "destroy, then create",
        "migrate": "bring an older catalogue up to this program; the server does so by itself when it starts",
        "dump": "print the catalogue as SQL",
        "check": "compare rows with bytes, both ways",
        "move": "move catalogue, audio or both to other engines, or back, while a server goes on reading",
        "backup": "copy catalogue and bytes to a folder that --data can serve, while the server runs",
    }
    for name, text in about.items():
        action = actions.add_parser(name, help=text, description=text)
        add_flags(action, ["data", "catalogue"] if name == "move" else ["data", "catalogue", "blobs"])
        if name in ("destroy", "reset"):
            action.add_argument("--yes", action="store_true", help="do not ask")
        if name == "check":
            action.add_argument("--deep", action="store_true", help="read every file and verify its sha256")
            action.add_argument("--fix", action="store_true", help="repair what can be repaired")
        if name == "move":
            action.add_argument("--to", metavar="URL", help="where to move the catalogue: rqlite://HOST:4001,... or folder")
            whither = action.add_mutually_exclusive_group()
            whither.add_argument("--blobs", dest="to_blobs", metavar="URL", help="where to move the audio: s3://... or folder")
            whither.add_argument("--home", dest="to_blobs", action="store_const", const=_FOLDER, help="the same as --blobs folder")
            whither.add_argument("--cancel", action="store_true", help="give up a move that was begun")
            action.add_argument("--from-blobs", dest="blobs", metavar="URL", help="the store where the audio is now "
                                "(default: AUDIOSERVER_BLOBS, else the data folder)")
            action.set_defaults(wrong=action.error)
        if name == "backup":
            action.add_argument("directory", metavar="DIR", help="a folder that does not exist, or is empty")


def add_info(parser: argparse.ArgumentParser) -> None:
    """The arguments of `info`."""
    parser.add_argument("files", nargs="+", metavar="FILE")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one record a line, also on a terminal")
    shape.add_argument("--table", action="store_true", help="a table, also into a pipe")


def run_db(given: argparse.Namespace, data: str, storage_class: Any, blobs: str = "") -> int:
    """Carry out one `db` action on the folder `data`, and on the store `blobs` where the audio is in one."""
    given.blobs = blobs
    if given.action not in ("create", "reset") and not storage_class.exists(data):
        return fail(f"there is no catalogue in {data}")
    return _DB[given.action](given, Path(data), storage_class)


def _create(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    if storage_class.exists(data):
        return fail(f"{data} has a catalogue already")
    storage_class(data, blobs=given.blobs).close()
    print(f"created {data}")
    return OK


def _destroy(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    if not _agreed(given, f"This removes the catalogue and every audio file in {given.blobs or data}."):
        return fail("nothing was removed")
    storage_class.destroy(data, given.blobs)
    print(f"removed the catalogue and the audio of {data}")
    return OK


def _reset(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    status = _destroy(given, data, storage_class) if storage_class.exists(data) else OK
    return status or _create(given, data, storage_class)


def _migrate(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    with storage_class(data, create=False) as storage:
        before, now = storage.versions
    print(f"{data} has version {now}" + (f", it had {before}" if before != now else " already"))
    return OK


def _dump(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    with storage_class(data, create=False, exclusive=False, blobs=given.blobs) as storage:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")  # which is what reads it again, whatever this terminal shows
        for line in storage.dump():
            print(line)
    return OK


def _check(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    with storage_class(data, create=False, exclusive=given.fix, blobs=given.blobs) as storage:
        report = storage.check(deep=given.deep, fix=given.fix)
    for line in report.lines():
        print(line)
    return OK if report.is_sound else FAILED


def _backup(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    with storage_class(data, create=False, exclusive=False, blobs=given.blobs) as storage:
        count = storage.backup(Path(given.directory))
    print(f"backed up {count} files to {given.directory}; serve them with --data {given.directory}")
    return OK


def _move(given: argparse.Namespace, data: Path, storage_class: Any) -> int:
    if given.cancel == bool(given.to or given.to_blobs):
        given.wrong("say where to: --to for the catalogue, --blobs or --home for the audio, or both; or --cancel alone")
    with storage_class(data, create=False, exclusive=False, blobs=given.blobs) as storage:
        if given.cancel:
            was = storage.cancel_move()
            print("everything may be changed again" if was else "no move was under way")
            return OK
        moved = storage.move(
            catalogue=_engine(given.to), blobs=_engine(given.to_blobs), say=lambda text: print(text, file=sys.stderr)
        )
    if moved.bytes is not None:
        print(f"moved {moved.bytes.files} files of {moved.bytes.bytes} bytes, each verified; "
              f"{moved.bytes.copied} were not there yet")
    if moved.rows is not None:
        print(f"moved {moved.rows.rows} rows, {moved.rows.files} of them files, compared by sha256")
    print(f"serve them {_flags(given)}")
    return OK


def _engine(address: Optional[str]) -> Optional[str]:
    return "" if address == _FOLDER else address


def _flags(given: argparse.Namespace) -> str:
    """What a server has to be told after a move; of what did not move that is as before."""
    moved = [(flag, address) for flag, address in (("--catalogue", given.to), ("--blobs", given.to_blobs)) if address]
    return " and ".join(
        f"without {flag}" if address == _FOLDER else f"with {flag} '{address}'" for flag, address in moved
    )


_DB: Dict[str, Callable[[argparse.Namespace, Path, Any], int]] = {
    "create": _create, "destroy": _destroy, "reset": _reset, "migrate": _migrate, "dump": _dump, "check": _check,
    "backup": _backup, "move": _move,
}


def _agreed(given: argparse.Namespace, what: str) -> bool:
    if given.yes:
        return True
    if not sys.stdin.isatty():
        print(f"{what} Say --yes.", file=sys.stderr)
        return False
    print(f"{what} Type yes to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def fail(text: str) -> int:
    """Say why nothing was done; the exit status."""
    print(f"audioserver: {text}", file=sys.stderr)
    return FAILED


def run_info(
    given: argparse.Namespace, identify_path: Callable[[str], Any], record_fields: Callable[[Any], dict],
    out: TextIO,
) -> int:
    """Print what each file is; 1 when any is not audio or cannot be read."""
    as_table = given.table or (out.isatty() and not given.json)
    status = OK
    if as_table and hasattr(out, "reconfigure"):
        out.reconfigure(errors="backslashreplace")  # a terminal of few characters
    for path in given.files:
        try:
            fields = record_fields(identify_path(path))
        except NotAudio as error:
            status = fail(f"{path}: {error.words}")
            continue
        except OSError as error:
            status = fail(f"{path}: {error.strerror or error}")
            continue
        record = {"name": Path(path).name, "size": Path(path).stat().st_size, **fields}
        if as_table:
            _print_table(path, record, out)
        else:
            _print_json({"file": path, **record}, out)
    return status


def _print_json(value: Dict[str, Any], out: TextIO) -> None:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:  # a terminal of few characters, or a name that is no text
        text = json.dumps(value)
    print(text, file=out)


_UNITS = {"size": "bytes", "duration": "s", "duration_declared": "s", "sample_rate": "Hz", "bits_per_sample": "bits",
          "bitrate": "bit/s"}


def _print_table(path: str, record: Dict[str, Any], out: TextIO) -> None:
    """The fields that say something, one a line, for a person."""
    print(_plain(path), file=out)
    for key, value in record.items():
        if value in (None, [], {}, False) or key == "name":
            continue
        for label, text in _rows(key, value):
            print(f"  {label:18} {_plain(text)}", file=out)
    print(file=out)


def _rows(key: str, value: Any) -> List[tuple]:
    if isinstance(value, dict):
        return [(f"{key}.{k}", "; ".join(v) if isinstance(v, list) else v) for k, v in value.items()]
    if key == "pictures":
        return [(key, f"{p['type']}, {p['mime']}, {p['length']} bytes at {p['offset']}") for p in value]
    if isinstance(value, list):
        return [(key, item) for item in value]
    if value is True:
        return [(key, "yes")]
    return [(key, f"{value} {_UNITS[key]}" if key in _UNITS else str(value))]


def _plain(text: str) -> str:
    """A tag must not be able to steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))
