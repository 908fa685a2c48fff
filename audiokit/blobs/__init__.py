"""Audio bytes by key, behind one door: a directory, or a bucket of an S3 store.

The door is `put(key, file, size, sha256)`, `open(key, start, stop, size)` for sending, `pieces(key)` for reading,
`lend(key, path)` for a file of one's own, `size(key)`, `delete(key)`, `scan(after, older_than_s)`, `give_up(older_than_s)`.
Keys are fresh random names of lower-case hex, never a client's words.  A store knows nothing of rows, names or HTTP.

What is on another machine (`is_far`) may wait, and raises `StoreError`, an OSError, when that machine fails.
"""

from .directory import DirectoryBlobs
from .errors import StoreDown, StoreError, StoreRefused
from .fileops import FileOps

__all__ = ["DirectoryBlobs", "FileOps", "StoreDown", "StoreError", "StoreRefused"]
