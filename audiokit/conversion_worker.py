"""One order at a time, in a process of its own: a line of JSON in, lines of JSON out.

    {"source": path, "target": path, "conversion": {…}}   ->   {"progress": 0.5} …   {"warnings": […]}
                                                          or   {"failure": code, "words": …}
                                                          or   {"segments": [[0, 529200], …]}
    the same with "segment": [number, of, first, end]     ->   target.0, target.1, …
    the same with "join": count                           ->   the target, made of those
    {"source": path, "target": path, "peaks": region, "pcm": {…} or null}     ->   the target, as `waveform` has it

What is long is answered with the segments that it falls into (segments.py), which `conversions` hands out then.

It ends when its standard input does, whatever it is doing then: a server that is killed leaves nobody behind.  Started by
`conversions`, which tells it how to identify audio.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import Any, BinaryIO, Callable, Dict

from .codec.decoder import Undecodable
from .formats.info import AudioInfo, NotAudio
from .segments import convert_segment, join, plan, reported
from .summarising import bare, summarise
from .transcoding import Damage, convert
from .wire.problems import is_full

_NICENESS = 10  # so that a server on the same cores answers first


def work(identify: Callable[[BinaryIO], AudioInfo]) -> None:
    """Serve orders from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends ^C to all; the parent decides
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    orders: SimpleQueue = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        order = orders.get()
        _say(_carried_out(order, identify))


def _listen(orders: SimpleQueue) -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os._exit(0)


def _say(words: Dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


def _tell(share: float) -> None:
    _say({"progress": share})


def _carried_out(order: Dict[str, Any], identify: Callable[[BinaryIO], AudioInfo]) -> Dict[str, Any]:
    try:
        target = order["target"]
        if "peaks" in order:
            with open(order["source"], "rb") as source:
                info = bare(source, order["pcm"]) if order["pcm"] else identify(source)
                return {"warnings": summarise(source, info, target, order["peaks"])}
        wanted = order["conversion"]
        if "join" in order:
            join([f"{target}.{number}" for number in range(order["join"])], target, wanted, order["samples"])
            return {"warnings": reported(target, order["join"])}
        with open(order["source"], "rb") as source:
            if "segment" in order:
                number, _, first, end = order["segment"]
                convert_segment(source, identify, target, wanted, (number, first, end), _tell)
                return {"warnings": []}
            info = identify(source)
            segments = plan(source, info, target, wanted)
            if segments is not None:
                return {"segments": segments, "samples": segments[-1][1]}
            return {"warnings": convert(source, info, target, wanted, _tell)}
    except (Undecodable, NotAudio, Damage) as error:
        return {"failure": "damaged-audio", "words": str(error)}
    except OSError as error:
        if is_full(error):
            return {"failure": "no-space", "words": "the disk is full"}
        return {"failure": "internal", "words": f"the conversion failed: {error.strerror}"}
