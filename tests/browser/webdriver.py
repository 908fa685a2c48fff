"""A browser, driven over the WebDriver protocol (W3C) with the standard library alone.

It starts Debian's chromedriver and one headless Chromium, and speaks JSON to it. Waiting happens
in the browser: a condition is looked at each frame. Raises `WebDriverError` with the browser's
own words, and `NoBrowser` where there is none.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from typing import Any, Dict, List, Optional

ELEMENT = (
    "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 11: the key that marks an element
)
KEYS = {  # WebDriver section 17.4.2
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Control": "\ue009",
    "Escape": "\ue00c",
    "Space": " ",
    "PageDown": "\ue00f",
    "End": "\ue010",
    "Home": "\ue011",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Backspace": "\ue003",
}
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--mute-audio",
    "--lang=en-US",
    "--hide-scrollbars",
]
SECONDS = 60  # the longest that a condition is waited for: nothing that works takes so long
PASSING = ("stale element reference", "element not interactable", "element click intercepted")  # before anything is done
_UNTIL = """
const done = arguments[arguments.length - 1];
const holds = new Function(arguments[0]);
const end = performance.now() + 1000 * arguments[1];
(function look() {
  let found = false;
  try { found = holds(); } catch (error) { found = false; }
  if (found) done(found);
  else if (performance.now() > end) done(null);
  else setTimeout(look, 10);
})();
"""


def _compact(value: Any) -> str:
    """As JSON.stringify writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class WebDriverError(Exception):
    """What the browser refused."""


class NoBrowser(Exception):
    """There is no chromedriver or no Chromium here that starts."""


class Element:
    """What a JavaScript expression finds in the page; found anew where the page has drawn itself anew meanwhile."""

    def __init__(self, browser: Browser, pick: str) -> None:
        self._browser, self._pick = browser, pick
        self.id = browser.locate(pick)

    def click(self) -> None:
        """Scroll it into view and press it."""
        self._act("click", {})

    def type(self, text: str) -> None:
        """Focus it and type; a file chooser takes paths, one a line."""
        self._act("value", {"text": text})

    def clear(self) -> None:
        """Empty it."""
        self._act("clear", {})

    def _act(self, what: str, body: Dict[str, Any]) -> None:
        end = time.monotonic() + SECONDS
        while True:
            try:
                return self._browser.command("POST", f"element/{self.id}/{what}", body)
            except WebDriverError as error:
                if not str(error).startswith(PASSING) or time.monotonic() > end:
                    raise
            self.id = self._browser.locate(self._pick)


class Browser:
    """One session; a context manager.  `folder` is where downloads go."""

    def __init__(self, folder: str) -> None:
        driver, program = (
            shutil.which("chromedriver"),
            shutil.which("chromium") or shutil.which("google-chrome"),
        )
        if driver is None or program is None:
            raise NoBrowser("chromedriver and chromium are not installed")
        self._process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=2 * SECONDS)
            self._session = ""
            self._session = "session/" + self._begin(program, folder)
        except BaseException:
            self._end()
            raise

    def _port(self) -> int:
        for line in self._process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return int(found.group(1))
        raise NoBrowser("chromedriver does not start")

    def _begin(self, program: str, folder: str) -> str:
        options = {
            "binary": program,
            "args": ARGUMENTS,
            "prefs": {"download.default_directory": folder},
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "timeouts": {"script": 1000 * (SECONDS + 10)},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        try:
            return self.command("POST", "session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except WebDriverError as error:  # another version than the driver's, or a system that lets none begin
            raise NoBrowser(f"Chromium does not start: {error}") from error

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.command("DELETE", "", None)
        finally:
            self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        if hasattr(self, "_connection"):
            self._connection.close()

    def command(self, method: str, path: str, body: Optional[Dict[str, Any]]) -> Any:
        """One command of the session; its value."""
        target = "/" + "/".join(part for part in (self._session, path) if part)
        text = None if body is None else json.dumps(body)
        self._connection.request(method, target, text, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        value = json.loads(answer.read())["value"]
        if answer.status != 200:
            raise WebDriverError(f"{value.get('error')}: {value.get('message')}")
        return value

    # -- going and looking -----------------------------------------------------------------------------

    def go(self, url: str) -> None:
        """Load a page."""
        self.command("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        """Where it is."""
        return self.command("GET", "url", None)

    def back(self) -> None:
        """The back button."""
        self.command("POST", "back", {})

    def script(self, text: str, *arguments: Any) -> Any:
        """Run JavaScript in the page; what it returns."""
        given = [{ELEMENT: one.id} if isinstance(one, Element) else one for one in arguments]
        return self.command("POST", "execute/sync", {"script": text, "args": given})

    def wait_script(self, text: str, *arguments: Any) -> Any:
        """Run JavaScript that calls its last argument when it is done."""
        return self.command("POST", "execute/async", {"script": text, "args": list(arguments)})

    def until(self, condition: str, seconds: float = SECONDS) -> Any:
        """Wait until this JavaScript expression is true; its value.  AssertionError when it never is."""
        found = self.wait_script(_UNTIL, f"return ({condition});", seconds)
        assert found, f"not within {seconds} s: {condition}"
        return found

    def becomes(self, expression: str, value: Any) -> None:
        """Wait until this JavaScript expression has a value: what an action causes comes after the action."""
        self.until(f"JSON.stringify({expression}) === {json.dumps(_compact(value))}")

    def shows(self, css: str, words: str) -> None:
        """Wait until the text of the first element that fits has these words in it."""
        self.until(f"document.querySelector({json.dumps(css)}).innerText.includes({json.dumps(words)})")

    def find(self, css: str) -> Element:
        """The first element that fits, which is waited for."""
        return Element(self, f"document.querySelector({json.dumps(css)})")

    def locate(self, pick: str) -> str:
        """The id of the element that this JavaScript expression finds; waits for it."""
        while True:
            self.until(pick)
            try:
                found = self.script("return " + pick)
            except WebDriverError as error:
                if not str(error).startswith(PASSING):
                    raise
                continue
            if found is not None:
                return found[ELEMENT]

    def press(self, css: str) -> None:
        """Click on it."""
        self.find(css).click()

    def labelled(self, text: str) -> Element:
        """What is visible and can be pressed, and whose text or label begins with `text`; waited for."""
        pick = (
            "[...document.querySelectorAll('button, a, label, summary, input')].find((node) => node.checkVisibility() && "
            f"(node.getAttribute('aria-label') || node.textContent).trim().startsWith({json.dumps(text)}))"
        )
        return Element(self, pick)

    def text(self, css: str) -> str:
        """The text of the first element that fits, which is waited for."""
        return self.until(f"document.querySelector({json.dumps(css)}).innerText")

    # -- hands -----------------------------------------------------------------------------------------

    def keys(self, *names: str, held: str = "") -> None:
        """Press these keys one after another on what has the focus; `held` is kept down meanwhile."""
        actions: List[Dict[str, str]] = []
        if held:
            actions.append({"type": "keyDown", "value": KEYS[held]})
        for name in names:
            value = KEYS.get(name, name)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        if held:
            actions.append({"type": "keyUp", "value": KEYS[held]})
        self.command("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def drag(self, css: str, start: float, stop: float) -> None:
        """Press in the middle of an element's height, at `start` of its width, and let go at `stop`; 0 to 1."""
        box = self.script(
            "const { x, y, width, height } = document.querySelector(arguments[0]).getBoundingClientRect(); return [x, y, width, height]",
            css,
        )
        x, y, width, height = box
        moves = [(start, "pointerDown"), ((start + stop) / 2, ""), (stop, "pointerUp")]
        actions: List[Dict[str, Any]] = []
        for at, act in moves:
            actions.append(
                {
                    "type": "pointerMove",
                    "duration": 0,
                    "x": int(x + at * width),
                    "y": int(y + height / 2),
                }
            )
            if act:
                actions.append({"type": act, "button": 0})
        pointer = {
            "type": "pointer",
            "id": "mouse",
            "parameters": {"pointerType": "mouse"},
            "actions": actions,
        }
        self.command("POST", "actions", {"actions": [pointer]})

    def drop(self, paths: List[str], x: int = 300, y: int = 300) -> None:
        """Drop files or folders on the page, as from a file manager."""
        data = {
            "items": [],
            "files": [os.path.abspath(path) for path in paths],
            "dragOperationsMask": 1,
        }
        for kind in ("dragEnter", "dragOver", "drop"):
            self.devtools("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    # -- the browser's own knowledge -------------------------------------------------------------------

    def devtools(self, command: str, parameters: Dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self.command("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int) -> None:
        """The size of the page, in CSS pixels."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, **features: str) -> None:
        """What the reader prefers: prefers_color_scheme="dark", …"""
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", {"features": pairs})

    def screenshot(self, path: str) -> None:
        """What is seen, as a PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.command("GET", "screenshot", None)))

    def complaints(self) -> List[str]:
        """What stands in the console since the last look, at warning or worse."""
        entries = self.command("POST", "se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> List[Dict[str, Any]]:
        """The requests since the last look: {url, method, headers}."""
        found = []
        for entry in self.command("POST", "se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append({**message["params"]["request"], "requestId": message["params"]["requestId"]})
            elif message["method"] == "Network.requestWillBeSentExtraInfo":
                for request in found:
                    if request["requestId"] == message["params"]["requestId"]:
                        request["headers"] = {**request["headers"], **message["params"]["headers"]}
        return found
