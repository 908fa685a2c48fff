"""The catalogue behind one door: `read(sql, params)` and `write([(sql, params), …])`.

A call of `write` is one transaction, all or nothing, durable when it returns.  What may stand in its statements
is what any engine that speaks SQLite's SQL can do over a wire: no RETURNING, no PRAGMA, no BEGIN, no functions of
time or chance, no blobs.  `allowed` holds that, also where it would work.  A call counts once, also where the engine may
carry it out twice, or late.
"""

from .errors import CatalogueDown, CatalogueRefused, InDoubt, TooSlow
from .guard import allowed
from .sqlite import Catalogue

__all__ = ["Catalogue", "CatalogueDown", "CatalogueRefused", "InDoubt", "TooSlow", "allowed"]
