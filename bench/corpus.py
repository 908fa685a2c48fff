"""How true audiometa is: every file of the corpus against what is known of it.

    python3 bench/corpus.py [--corpus DIR] [--peers]

Prints the table of figures, then every miss.  Ends with 1 when a figure is below its goal, with 0
(and says so) where there is no corpus.  `--peers` measures tinytag and mutagen on the same files,
in a virtual environment of its own, where the package index can be reached."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import audio_readers  # noqa: E402

CORPUS = ROOT.parent / "shared" / "corpus"
NEAR_S = 0.05  # seconds, or one frame where that is longer: then a duration is right
EXACT_S = 0.0015  # seconds: then it is exact
# Longest frame of a codec in samples, for "within one frame"
FRAME_SAMPLES = {
    "mp3": 1152,
    "mp2": 1152,
    "mp1": 384,
    "aac": 2048,
    "ac3": 1536,
    "eac3": 1536,
    "opus": 960,
}
GOOD = ("accept", "warn", "accept?")


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    goal: float  # a share at least; of the impostors accepted, a count at most
    right: int
    of: int

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        if self.goal == 0:
            return self.right == 0
        return not self.of or self.right >= self.goal * self.of

    def text(self) -> str:
        """Name, share and count, goal."""
        share = f"{100 * self.right / self.of:6.1f} %" if self.of else "     -  "
        goal = "none" if self.goal == 0 else f"{100 * self.goal:.0f} %"
        mark = "" if self.is_met else "   MISSED"
        return f"{self.name:<44}{share}  {self.right:>4} of {self.of:<4} goal {goal}{mark}"


Answer = Optional[Dict[str, Any]]  # what a reader says, None where it refuses


def ours(path: Path) -> Tuple[Answer, str]:
    """What audiometa says of the file, and the reason where it refuses."""
    import audiometa

    try:
        info = audiometa.identify_path(str(path))
    except audiometa.NotAudio as refusal:
        return None, refusal.reason
    except Exception as error:  # a bug of ours, shown with the other misses
        return None, f"by {error!r}"
    fields = audiometa.record_fields(info)
    return {**fields, "samples": info.samples}, ""


def measure(truths: Dict[str, dict], ask: Callable[[str], Tuple[Answer, str]]) -> Tuple[List[Figure], List[str]]:
    """The table and the misses of one reader; `ask` takes a name below the corpus."""
    counts: Dict[str, List[int]] = {}
    misses: List[str] = []

    def count(key: str, is_right: bool, miss: str = "") -> None:
        entry = counts.setdefault(key, [0, 0])
        entry[1] += 1
        entry[0] += is_right
        if not is_right and miss:
            misses.append(miss)

    for name, truth in truths.items():
        answer, reason = ask(name)
        if truth["expect"] == "reject":
            count("impostors accepted", answer is not None)
            if answer is not None:
                misses.append(f"{name}: accepted, as {_short(answer)}")
        if truth["expect"] not in GOOD:
            continue
        if answer is None:
            if truth["expect"] == "accept?":
                continue  # arguable either way: judged only where it is accepted
            answer = {}
            misses.append(f"{name}: refused, {reason}")
        _judge(name, truth, answer, count)
    return _figures(counts), misses


def _judge(name: str, truth: dict, answer: Dict[str, Any], count: Callable[..., None]) -> None:
    refused = not answer
    if "duration" in truth:
        error = abs((answer.get("duration") or 1e9) - truth["duration"])
        frame = FRAME_SAMPLES.get(truth.get("codec", ""), 0) / truth.get("sample_rate", 1)
        near = error <= max(NEAR_S, frame)
        said = f"{name}: {answer.get('duration')} s, is {truth['duration']} s"
        count("duration right", near, "" if refused else said)
        count("exact", error <= EXACT_S, "" if refused or not near else said + " (not exact)")
    for key in ("sample_rate", "channels"):
        if key in truth:
            is_right = answer.get(key) == truth[key]
            count(
                key,
                is_right,
                "" if refused else f"{name}: {key} {answer.get(key)}, is {truth[key]}",
            )
    for key in ("container", "codec", "bits_per_sample"):
        if key in truth and answer.get(key) != truth[key]:
            count(
                "other",
                False,
                "" if refused else f"{name}: {key} {answer.get(key)}, is {truth[key]}",
            )
        elif key in truth:
            count("other", True)
    for key, value in truth.get("tags", {}).items():
        found = (answer.get("tags") or {}).get(key)
        is_right = _same_text(found, value)
        count("tags", is_right, "" if refused else f"{name}: tag {key} {found!r}, is {value!r}")
    if truth["expect"] == "warn":
        marked = bool(answer.get("truncated") or answer.get("duration_declared") or answer.get("warnings"))
        count(
            "marked",
            marked,
            "" if refused else f"{name}: nothing says that it is cut short or lies",
        )


def _same_text(found: Any, value: str) -> bool:
    values = found if isinstance(found, list) else [found]
    wanted = unicodedata.normalize("NFC", value)
    return any(isinstance(one, str) and unicodedata.normalize("NFC", one) == wanted for one in values)


def _figures(counts: Dict[str, List[int]]) -> List[Figure]:
    rows = (
        ("duration right (1 frame or 0.05 s)", 1.0, "duration right"),
        ("sample rate right", 1.0, "sample_rate"),
        ("channels right", 1.0, "channels"), ("duration exact within 1.5 ms", 0.95, "exact"),
        ("tag values right", 0.98, "tags"), ("truncated or lying files marked", 1.0, "marked"),
        ("container, codec, bits right", 0.98, "other"),
        ("impostors accepted", 0, "impostors accepted"),
    )  # fmt: skip
    return [Figure(label, goal, *counts.get(key, [0, 0])) for label, goal, key in rows]


def _short(answer: Dict[str, Any]) -> str:
    return " ".join(str(answer.get(key)) for key in ("container", "codec", "duration", "sample_rate"))


def main(arguments: Optional[List[str]] = None) -> int:
    """Print the table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=CORPUS, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--peers", action="store_true", help="measure tinytag and mutagen, too")
    options = parser.parse_args(arguments)
    expected = options.corpus / "expected.json"
    if not expected.is_file():
        print(f"no corpus at {options.corpus}: nothing measured")
        return 0
    truths = json.loads(expected.read_text("utf-8"))
    truths = {name: truth for name, truth in truths.items() if (options.corpus / name).is_file()}
    print(f"{len(truths)} files of {options.corpus}")
    figures, misses = measure(truths, lambda name: ours(options.corpus / name))
    for figure in figures:
        print(figure.text())
    for miss in misses:
        print("  " + miss)
    if options.peers:
        _print_peers(truths, options.corpus)
    return 0 if all(figure.is_met for figure in figures) else 1


def _print_peers(truths: Dict[str, dict], corpus: Path) -> None:
    python = audio_readers.python()
    if python is None:
        return
    for peer in audio_readers.PACKAGES:
        names = "\n".join(str(corpus / name) for name in truths)
        done = subprocess.run(
            [python, audio_readers.__file__, peer.name],
            input=names, capture_output=True, text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"}, check=True,
        )  # fmt: skip
        answers = {name: json.loads(line) for name, line in zip(truths, done.stdout.splitlines())}
        figures, _ = measure(truths, lambda name, said=answers: (said[name], "refused"))
        print(f"\n{peer.name} {peer.version}")
        for figure in figures:
            if not figure.name.startswith(("container", "truncated")):
                print(figure.text().replace("   MISSED", ""))


if __name__ == "__main__":
    sys.exit(main())
