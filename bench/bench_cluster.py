#!/usr/bin/env python3
"""What a catalogue in an rqlite cluster costs beside the file, and what a second server brings, in one run on loopback.

    python3 bench/bench_cluster.py           three rqlite nodes, where they can be had; needs wrk

For /info and /list, with the file and with the cluster: answers a second, time of an answer, and CPU time an answer of
the server, of rqlite's leader and of its followers.  All of it shares this machine, so that the CPU times say what
machines of their own would do.  Then one server and two, each held to a share of a core (control groups, as root): what
the others use is in nobody's way, and the answers a second say what the second server brings.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from processes import start  # noqa: E402
from rqlite_nodes import RqliteNodes  # noqa: E402
from support import wav  # noqa: E402

TARGETS = ("/info?name=7.wav", "/list?limit=100")
ROWS = 300
SHARE = 0.25  # of a core, for each of the servers that are compared: two of them and all else fit into two cores
PERIOD_US = 50_000
TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(process):
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Server:
    """The program, with its rows at `catalogue`."""

    def __init__(self, folder, catalogue=""):
        environment = {**os.environ, "AUDIOSERVER_CATALOGUE": catalogue}
        self.process = start([sys.executable, ROOT / "audioserver.py", "--port", "0", "--data", folder, "--log", "none"],
                             stdout=subprocess.PIPE, text=True, env=environment)
        self.address = "127.0.0.1:" + self.process.stdout.readline().strip().rsplit(":", 1)[1]

    def fill(self):
        connection = http.client.HTTPConnection(self.address)
        for n in range(ROWS):
            connection.request("POST", f"/post?name={n}.wav", wav(0.01 + n / 10_000))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201, answer.status
        connection.close()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def loaded(servers, target, seconds, clients):
    """(answers a second, median milliseconds) of all together."""
    runs = [
        subprocess.Popen(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", f"http://{server.address}{target}"],
                         stdout=subprocess.PIPE, text=True) for server in servers
    ]
    rate, middle = 0.0, []
    for run in runs:
        said = run.communicate()[0]
        assert "Non-2xx" not in said, said
        rate += float(re.search(r"Requests/sec: *([\d.]+)", said).group(1))
        number, unit = re.search(r"50% *([\d.]+)(us|ms|s)", said).groups()
        middle.append(float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit])
    return rate, max(middle)


def row(name, target, server, nodes, seconds):
    """A line of the first table."""
    parts = [[server.process], [], []]
    if nodes is not None:
        leader = nodes.leader()
        parts[1] = [nodes.processes[leader]]
        parts[2] = [process for process in nodes.processes if process is not parts[1][0]]
    before = [sum(map(cpu_s, part)) for part in parts]
    rate, middle = loaded([server], target, seconds, 8)
    spent = [(sum(map(cpu_s, part)) - was) * 1000 / (rate * seconds) for part, was in zip(parts, before)]
    far = "|  |  |" if nodes is None else f"| {spent[1]:.2f} | {spent[2]:.2f} |"
    print(f"| {name} | `{target.partition('?')[0]}` | {rate:.0f} | {middle:.1f} | {spent[0]:.2f} {far}", flush=True)


@contextlib.contextmanager
def held(servers):
    """While each of the processes has its share of a core; False where that cannot be had."""
    groups = []
    try:
        for server in servers:
            group = Path(tempfile.mkdtemp(prefix="audioserver-", dir="/sys/fs/cgroup/cpu"))
            groups.append(group)
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(round(PERIOD_US * SHARE)))
            (group / "cgroup.procs").write_text(str(server.process.pid))
            for thread in Path(f"/proc/{server.process.pid}/task").iterdir():  # or a share lies unused on the other core
                os.sched_setaffinity(int(thread.name), {len(groups) % os.cpu_count()})
        yield True
    except OSError as error:
        print(f"no share of a core can be had here ({error}): what a second server brings is not measured")
        yield False
    finally:
        for group in groups:
            with contextlib.suppress(OSError):
                for pid in (group / "cgroup.procs").read_text().split():
                    Path("/sys/fs/cgroup/cpu/cgroup.procs").write_text(pid)
                group.rmdir()


def second(servers, seconds, rounds):
    """The second table: one server and two, in turn."""
    with held(servers) as is_held:
        if not is_held:
            return
        print(f"\n| each server held to {SHARE:.2f} of a core | one, a second | two, a second | times |\n|---|---|---|---|")
        for target in TARGETS:
            one, two = [], []
            for n in range(rounds):
                one.append(loaded([servers[n % 2]], target, seconds, 4)[0])
                two.append(loaded(servers, target, seconds, 4)[0])
            one, two = sorted(one)[rounds // 2], sorted(two)[rounds // 2]
            print(f"| `{target.partition('?')[0]}` | {one:.0f} | {two:.0f} | {two / one:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not here")
    print(f"{time.strftime('%Y-%m-%d')}, CPython {platform.python_version()}, {os.cpu_count()} cores, loopback, "
          f"{ROWS} files\n")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            nodes = stack.enter_context(RqliteNodes(folder, 3))
        except BaseException as error:  # pytest's skip is no Exception
            sys.exit(str(error))
        home, *servers = (Server(folder / name, where) for name, where in (("home", ""), ("a", nodes.url), ("b", nodes.url)))
        for server in (home, *servers):
            stack.callback(server.close)
        home.fill()
        servers[0].fill()
        print("| catalogue | | answers a second | median, ms | CPU of the server, ms | of rqlite's leader | of its followers |")
        print("|---|---|---|---|---|---|---|")
        for target in TARGETS:
            row("file", target, home, None, given.seconds)
            row("3 rqlite nodes", target, servers[0], nodes, given.seconds)
        second(servers, given.seconds, given.rounds)


if __name__ == "__main__":
    main()
