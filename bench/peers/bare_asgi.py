"""The same two answers as a bare ASGI application, for uvicorn: no framework, one row to JSON.

Environment: PEER_DB, a SQLite file with the table `records` (bench/bench_http.py makes it).
"""

import json
import os
import sqlite3
from urllib.parse import parse_qs

DB = sqlite3.connect("file:%s?mode=ro" % os.environ["PEER_DB"], uri=True, check_same_thread=False)
DB.row_factory = sqlite3.Row
JSON = [(b"content-type", b"application/json")]


def record(row):
    fields = dict(row)
    for key in ("tags", "pictures", "metadata", "warnings"):
        fields[key] = json.loads(fields[key])
    for key in ("duration_exact", "truncated", "lossless"):
        fields[key] = bool(fields[key])
    return fields


def one(id):
    return record(DB.execute("SELECT * FROM records WHERE id = ?", (id,)).fetchone())


def newest(limit):
    rows = DB.execute("SELECT * FROM records ORDER BY uploaded DESC, id LIMIT ?", (limit,))
    return {"files": [record(row) for row in rows], "total": 0, "total_exact": False, "next": None}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    query = parse_qs(scope["query_string"].decode())
    answer = one(query["id"][0]) if scope["path"] == "/info" else newest(int(query["limit"][0]))
    body = json.dumps(answer).encode()
    headers = JSON + [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
