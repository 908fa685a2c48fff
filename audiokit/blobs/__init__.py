"""Audio bytes by key, behind one door; today a directory.

The door is `put(key, file, size, sha256)`, `open(key)`, `delete(key)` and `scan(after)`.  Keys are
fresh random names of lower-case hex, never a client's words.  A store knows nothing of rows, names or HTTP.
"""

from .directory import DirectoryBlobs
from .fileops import FileOps

__all__ = ["DirectoryBlobs", "FileOps"]
