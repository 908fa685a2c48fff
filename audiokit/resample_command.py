"""The command `resample`: one local file to MP3 or WAV at another rate.

It asks the same worker processes as the service does.  Exit status: 0 converted, 1 not converted (said in one line
on standard error), 2 wrong usage, 130 interrupted.  Whatever happens, no partial result is left: it is made beside
OUT under another name, which it changes at the end.  What is no file (a pipe, a device) is written to and never
replaced; a link goes on to name what it named.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Callable, ContextManager, Dict, List, Optional, TextIO

from .formats.info import AudioInfo, NotAudio
from .offers import DECODED, DEFAULT_BITRATE, DEFAULT_RATE, WAV_RATES, is_decoded, is_resampled, rates_in_words
from .settings import cores

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_SHORT = 30.0  # s of audio for which a second process would cost more than it wins
_PIECE = 1 << 20  # bytes copied at a time


class Wrong(Exception):
    """Why nothing was converted; the words are for a terminal, `status` for the shell."""

    def __init__(self, words: str, status: int = FAILED) -> None:
        super().__init__(words)
        self.status = status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `resample`."""
    parser.add_argument("input", metavar="IN", help=f"{DECODED}; - is standard input")
    parser.add_argument("output", metavar="OUT", help=".mp3 or .wav says what it becomes; - is standard output")
    parser.add_argument("--rate", default=str(DEFAULT_RATE), help="Hz, or `source` for the input's own (default "
                        f"{DEFAULT_RATE})")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--bitrate", type=int, metavar="KBIT/S", help="of MP3 (default 128, mono 64)")
    size.add_argument("--quality", type=int, metavar="0..9", help="of MP3 at a variable rate; 0 is best")
    parser.add_argument("--channels", type=int, choices=(1, 2), help="as the source, at most 2, by default")
    parser.add_argument("--format", choices=("mp3", "wav"), help="when OUT does not say it (default mp3)")
    parser.add_argument("--dither", choices=("none", "tpdf"), default="none", help="noise that hides the rounding "
                        "to 16 bits, after resampling or where more bits come in (default none)")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: the cores)")
    parser.add_argument("--stream", action="store_true", help="write as it is made, without the Info header that "
                        "tells players an MP3's exact length")


def run(given: argparse.Namespace, identify_path: Callable[[str], AudioInfo]) -> int:
    """Carry the command out; the exit status."""
    interrupts = Interrupts()
    before = {name: signal.signal(name, interrupts) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tempfile.TemporaryDirectory(prefix="audioserver-") as folder:
            return _run(given, identify_path, Path(folder), interrupts)
    except Wrong as wrong:
        print(f"audioserver: {wrong}", file=sys.stderr)
        return wrong.status
    except KeyboardInterrupt:
        print("audioserver: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(f"audioserver: {error.filename or 'the conversion'}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class Interrupts:
    """SIGINT and SIGTERM: KeyboardInterrupt at once, or, while held, only noted, for whoever looks at `came`.

    Processes and threads are begun and ended while they are held: half of that cannot be undone.
    """

    def __init__(self) -> None:
        self.came = False
        self._is_held = False

    def __call__(self, number: int, frame: Any) -> None:
        self.came = True
        if not self._is_held:
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._is_held = True

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._is_held = False
        if self.came and kind is None:
            raise KeyboardInterrupt


def _run(
    given: argparse.Namespace, identify_path: Callable[[str], AudioInfo], folder: Path, interrupts: Interrupts
) -> int:
    source = given.input
    if source == "-":
        source = str(folder / "input")
        with open(source, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, _PIECE)
    try:
        info = identify_path(source)
    except NotAudio as error:
        raise Wrong(f"{given.input}: {error.words}")
    wanted = _wanted(given, info)
    if given.output != "-" and os.path.exists(given.output) and os.path.samefile(source, given.output):
        raise Wrong(f"{given.output} is the input itself", USAGE)
    if given.jobs < 1:
        raise Wrong(f"--jobs {given.jobs}: it takes a process to convert", USAGE)
    if given.stream and _is_filled(given.output):
        with _opened(given.output) as out:
            warnings = _stream(given, source, wanted, info, out)
    else:
        with interrupts, _beside(given.output, folder) as beside:
            made = Path(beside) / "result"
            if given.stream:
                with open(made, "wb") as out:
                    warnings = _stream(given, source, wanted, info, out, interrupts)
            else:
                warnings = _convert(given, source, str(made), wanted, info, interrupts)
            if not interrupts.came:
                _deliver(given, made)
    for words in warnings:
        print(f"audioserver: {given.input}: {words}", file=sys.stderr)
    return OK


def _wanted(given: argparse.Namespace, info: AudioInfo) -> Dict[str, Any]:
    """What is to be made, checked; Wrong says what is allowed."""
    from .codec.parameters import BadParameters, parameters

    if not is_decoded(info.container, info.codec):
        raise Wrong(f"{given.input}: {info.codec} in {info.container} is not decoded; {DECODED}, are")
    if not is_resampled(info.sample_rate):
        raise Wrong(f"{given.input}: {rates_in_words(info.sample_rate)}")
    kind = given.format or {".wav": "wav", ".wave": "wav", ".mp3": "mp3"}.get(Path(given.output).suffix.lower())
    if kind is None and given.output != "-":
        raise Wrong(f"{given.output}: .mp3 or .wav says what it becomes, or --format does", USAGE)
    kind = kind or "mp3"
    channels = given.channels or min(info.channels, 2)
    rate = info.sample_rate if given.rate == "source" else _rate(given.rate)
    bitrate = given.bitrate
    if kind == "wav":
        if bitrate is not None or given.quality is not None:
            raise Wrong("--bitrate and --quality are of MP3", USAGE)
    else:
        if bitrate is None and given.quality is None:
            bitrate = DEFAULT_BITRATE[channels]
        try:
            parameters(rate, channels, bitrate, given.quality)
        except BadParameters as error:
            raise Wrong(str(error), USAGE)
    return {"format": kind, "rate": rate, "channels": channels, "bitrate": bitrate, "quality": given.quality,
            "dither": given.dither}


def _rate(text: str) -> int:
    low, high = WAV_RATES
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise Wrong(f"--rate {text}: {low} to {high} Hz, or source", USAGE)
    return int(text)


def _convert(
    given: argparse.Namespace, source: str, target: str, wanted: Dict[str, Any], info: AudioInfo,
    interrupts: Interrupts,
) -> tuple:
    """Have it converted; the warnings.  Wrong when it failed; nothing when it was interrupted."""
    from .conversions import Conversions
    from .job import Conversion

    ended = threading.Event()
    outcomes = []

    def on_done(outcome: Any) -> None:
        outcomes.append(outcome)
        ended.set()

    bar = Progress(sys.stderr)
    conversions = Conversions(given.jobs if info.duration > _SHORT else 1)
    try:
        cancel = conversions.begin(source, target, Conversion(**wanted), info.duration, bar.show, on_done)
        while not ended.wait(0.1):
            if interrupts.came:
                cancel()
                ended.wait()
    finally:
        conversions.close()
        bar.clear()
    if interrupts.came:
        return ()
    if outcomes[0].failure is not None:
        raise Wrong(f"{given.input}: {outcomes[0].failure.detail}")
    return outcomes[0].warnings


def _is_filled(output: str) -> bool:
    """Whether OUT is written to, not replaced: standard output, and what is there and no file, such as a device."""
    return output == "-" or os.path.exists(output) and not os.path.isfile(output)


def _opened(output: str) -> ContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdout.buffer) if output == "-" else open(output, "wb")


def _beside(output: str, folder: Path) -> ContextManager[str]:
    """A folder, since segments lie there too, beside OUT: only within one file system a rename is one step."""
    place = folder if _is_filled(output) else os.path.dirname(os.path.realpath(output))
    try:
        return tempfile.TemporaryDirectory(prefix=".resample-", suffix=".part", dir=place)
    except OSError as error:
        raise Wrong(f"{output}: {error.strerror}")  # not the folder's name, which nobody chose


def _deliver(given: argparse.Namespace, made: Path) -> None:
    if _is_filled(given.output):
        with open(made, "rb") as file, _opened(given.output) as out:
            shutil.copyfileobj(file, out, _PIECE)
            out.flush()
        return
    mask = os.umask(0)  # as an ordinary new file would have it: workers make theirs private
    os.umask(mask)
    os.chmod(made, 0o666 & ~mask)
    os.replace(made, os.path.realpath(given.output))


def _stream(
    given: argparse.Namespace, source: str, wanted: Dict[str, Any], info: AudioInfo, out: BinaryIO,
    interrupts: Optional[Interrupts] = None,
) -> List[str]:
    """Convert here, piece by piece, to an open file; the warnings."""
    from .codec.decoder import Undecodable
    from .transcoding import Damage, stream

    try:
        warnings = stream(source, out, wanted, info, lambda: interrupts is not None and interrupts.came)
        out.flush()
    except (Damage, Undecodable) as error:
        raise Wrong(f"{given.input}: {error}")
    return warnings


class Progress:
    """A bar with the time that is left; nothing at all where nobody looks."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out if out.isatty() else None
        self._now, self._begun = now, now()
        self._said = ""

    def show(self, share: float) -> None:
        """`share` of the work is done."""
        if self._out is None:
            return
        text = self.line(share)
        if text != self._said:
            self._said = text
            self._out.write("\r" + text)
            self._out.flush()

    def line(self, share: float) -> str:
        """The bar as text."""
        full = round(30 * min(max(share, 0.0), 1.0))
        spent = self._now() - self._begun
        left: Optional[float] = spent * (1 - share) / share if share > 0.02 else None
        words = "" if left is None else f" {left:4.0f} s left"
        return f"[{'#' * full}{'.' * (30 - full)}] {100 * share:3.0f} %{words}"

    def clear(self) -> None:
        """Leave the line as it was found."""
        if self._out is not None and self._said:
            self._out.write("\r" + " " * (len(self._said) + 12) + "\r")
            self._out.flush()
