"""What the first view of the page weighs, and how soon it can be used: cold cache, then warm, in a
real Chromium.

    python3 bench/bench_page.py                    100 files in a temporary folder
    python3 bench/bench_page.py --rows 100000      as many invented ones

"seen" is when the first row of the list stands; times are milliseconds after the address was
entered, as the browser itself measures them. Needs chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from webdriver import Browser  # noqa: E402

from audioserver import AudioServer  # noqa: E402

_LOOK = """
const [page] = performance.getEntriesByType("navigation");
const parts = performance.getEntriesByType("resource");
const bytes = (ones) => ones.reduce((sum, one) => sum + one.encodedBodySize, 0);
const wire = (ones) => ones.reduce((sum, one) => sum + one.transferSize, 0);
return { interactive: page.domContentLoadedEventEnd, seen: performance.getEntriesByName("first row")[0].startTime,
  files: bytes([page, ...parts.filter((one) => one.name.includes("/ui/"))]), wire: wire([page, ...parts]) };
"""
# Runs before the page's own script; it notes when the first name stands in the document.
_WATCH = """
new MutationObserver((_, watcher) => {
  if (document.querySelector("tbody .name a")) { performance.mark("first row"); watcher.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""


def measured(browser: Browser, url: str, rounds: int, is_cold: bool) -> None:
    """Load the page so often; print the weights of the last time and the times of all."""
    found = []
    for _ in range(rounds):
        if is_cold:
            browser.devtools("Network.clearBrowserCache", {})
        browser.go(url)
        browser.until("performance.getEntriesByName('first row').length")
        found.append(browser.script(_LOOK))
        browser.go("about:blank")
    last = found[-1]
    print(
        f"{'cold' if is_cold else 'warm'}: over the wire {last['wire']:,} bytes, of them page and parts {last['files']:,} compressed"
    )
    for name in ("interactive", "seen"):
        times = sorted(one[name] for one in found)
        print(f"  {name:12} p50 {statistics.median(times):6.0f}  p90 {times[int(0.9 * (len(times) - 1))]:6.0f} ms")


def main() -> None:
    """Seed, serve, look."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=100)
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    print(
        f"# CPython {platform.python_version()}, {platform.machine()}, {given.rows:,} files, {given.rounds} loads each"
    )
    with tempfile.TemporaryDirectory() as folder:
        seed = [
            sys.executable,
            str(ROOT / "bench" / "bench_catalogue.py"),
            "--rows",
            str(given.rows),
            "--data",
            folder,
            "--seed-only",
        ]
        subprocess.run(seed, check=True, stdout=subprocess.DEVNULL)
        with AudioServer(("127.0.0.1", 0), data=str(Path(folder) / str(given.rows))) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                with Browser(folder) as browser:
                    browser.size(1280, 800)
                    browser.devtools("Page.enable", {})
                    browser.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
                    for is_cold in (True, False):
                        measured(browser, server.url + "/", given.rounds, is_cold)
            finally:
                server.shutdown()
                thread.join()


if __name__ == "__main__":
    main()
