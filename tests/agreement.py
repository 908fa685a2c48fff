"""Has schemathesis hold the running server against /openapi.json: `make schemathesis`; no test that pytest collects.

A server of its own on a free port, with files is asked twice: open, and as an admin.  Exit 1 where
description and server disagree.  Takes the program `schemathesis` as its argument.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import request, wav  # noqa: E402

from audioserver import AudioServer  # noqa: E402

EXAMPLES = "20"  # a parameter's values that are tried, at most
# What a schema cannot say: which parameters belong together, which bytes are audio, what a condition holds of.
REFUSED = {
    "GET /list": [400], "GET /files": [400], "GET /info": [400], "GET /download": [400, 412, 416],
    "GET /files/{id}/content": [412, 416], "GET /files/{id}/peaks": [400, 412, 415],
    "GET /links/{id}": [400, 403, 412, 416], "GET /resample/{id}": [410], "GET /resample/{id}/events": [410],
    "GET /resample/{id}/result": [410, 412, 416], "DELETE /resample/{id}": [410],
    "POST /post": [400, 413, 415, 422], "POST /files": [400, 413, 415, 422], "POST /drop/{token}": [400, 413, 415, 422],
    "POST /resample": [400, 413, 415, 422], "POST /session": [400], "PATCH /files/{id}": [400],
    # Which characters are of one line, and how long a time in words is.
    **{name: [400] for name in ("POST /files/{id}/links", "POST /drops", "POST /tokens", "POST /users/{name}/tokens",
                                "POST /users", "PATCH /users/{name}", "DELETE /users/{name}")},
    **{f"GET {path}": [400, 412] for path in ("/", "/file/{id}", "/account", "/drop/{token}", "/docs", "/ui/{id}",
                                              "/openapi.json")},
}


def settings(ids) -> str:
    """What schemathesis is told: which refusals are right, and what there is to ask for."""
    lines = []
    for name, statuses in REFUSED.items():
        allowed = json.dumps(["2xx", "304", "401", "403", "404", "409", *map(str, statuses)])
        wrong = json.dumps(["400", "401", "403", "404", "405", "409", "422", *map(str, statuses)])
        lines += ["[[operations]]", f'include-name = "{name}"',
                  f"checks.positive_data_acceptance.expected-statuses = {allowed}",
                  f"checks.negative_data_rejection.expected-statuses = {wrong}"]
        for path, given in ids.items():
            if name.endswith(path):
                lines.append(f"parameters = {given}")
        lines.append("")
    return "\n".join(lines)


def ask(program: str, server: AudioServer, folder: str, who: str, *more: str) -> int:
    """One run; its exit status.  What schemathesis prints is shown only where it found something."""
    posted = request(server.server_address, "POST", "/post?name=seed.wav", wav(0.2), dict(HEADERS))
    file = json.dumps({"path.id": json.loads(posted[2])["id"]}).replace(": ", " = ")
    config = Path(folder) / "schemathesis.toml"
    config.write_text(settings({"/files/{id}/content": file, "/files/{id}/peaks": file}), "utf-8")
    command = [program, "--config-file", str(config), "run", server.url + "/openapi.json", "--max-examples", EXAMPLES,
               "--phases", "examples,coverage,fuzzing", "--seed", "1", "--request-timeout", "120",
               "--suppress-health-check", "too_slow", "--no-color", *more]  # how quick this machine is says nothing of us
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder)
    report = run.stdout.decode("utf-8", "replace")
    cases = re.search(r"([0-9]+) generated", report)
    if run.returncode or not cases:
        sys.stdout.buffer.write(run.stdout)
        sys.stdout.flush()
    print(f"asked {who}: {cases.group(1) if cases else 'no'} cases,", "disagreement" if run.returncode else "agreement")
    return run.returncode or (0 if cases else 1)


HEADERS = {}


def main() -> int:
    """Both runs; 0 where neither finds anything."""
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        with AudioServer(("127.0.0.1", 0), data=data) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                found = ask(program, server, folder, "with open doors")
                audioserver = [sys.executable, str(ROOT / "audioserver.py")]
                subprocess.run([*audioserver, "user", "add", "root", "--admin", "--data", data], input=b"correct horse\n",
                               check=True)
                token = subprocess.run([*audioserver, "token", "new", "root", "--scope", "read,write,delete,admin",
                                        "--data", data], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
                server.authenticator.changed()
                HEADERS["Authorization"] = "Bearer " + token
                found = ask(program, server, folder, "as an admin", "-H", "Authorization: Bearer " + token) or found
            finally:
                server.shutdown()
                thread.join()
    return found


if __name__ == "__main__":
    sys.exit(main())
