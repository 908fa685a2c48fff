"""The engines behind the two doors, opened: a file and a folder, or what an address names.

The modules that speak to other machines are imported only where an address names one: an HTTP client and an XML parser
cost each start some 20 ms.  Raises what the engines raise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from .blobs import DirectoryBlobs, FileOps
from .catalogue import Catalogue

SCHEMA = Path(__file__).parent.with_name("schema.sql")


def open_catalogue(address: str, path: Path, ops: FileOps, create: bool, migrate: bool) -> Any:
    """The catalogue: the file `path`, or what the address names; `create` and `migrate` it where asked to."""
    schema = SCHEMA.read_text("utf-8")
    if not address:
        return Catalogue(path, schema, ops, create=create, migrate=migrate)
    from .catalogue.address import parse
    from .catalogue.rqlite import RqliteCatalogue

    return RqliteCatalogue(parse(address), schema, migrate=migrate)


def open_blobs(url: str, folder: Path, ops: FileOps, say: Callable[[str], None] = lambda text: None) -> Any:
    """The store of the bytes: the folder, or what the address names; `say` is told when that fails."""
    if not url:
        return DirectoryBlobs(folder, ops)
    from .blobs.s3 import S3Blobs

    return S3Blobs(url, ops, say=say)


def was_left(path: Path) -> bool:
    """Whether there is no catalogue, or one whose rows were moved elsewhere."""
    if not path.exists():
        return True
    from .catalogue.moving import has_left

    left = open_catalogue("", path, FileOps(), False, False)
    try:
        return has_left(left)
    finally:
        left.close()
