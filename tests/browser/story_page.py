"""What people do with the page, in a real browser: `make browser`.

Behind every story the `page` fixture looks at the console, which must be empty, and at all
requests, which must go to our server alone.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from audio_files import aiff, flac, mp3
from support import ROOT, eventually, long_wav, request, wav

ROWS = "[...document.querySelectorAll('tbody tr .name')].map((cell) => cell.textContent)"
PLAYER = "document.querySelector('#player button').getAttribute('aria-label')"
NASTY = "<img src=x onerror=alert(1)>&amp; \u05e9\u05dc\u05d5\u05dd \u97f3.wav"
AXE = Path(os.environ.get("AXE", ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
PICTURES = os.environ.get("SCREENSHOTS", "")
SLOW_LINE = {
    "offline": False,
    "latency": 0,
    "downloadThroughput": -1,
    "uploadThroughput": 300_000,
}  # bytes a second
FULL_LINE = {**SLOW_LINE, "uploadThroughput": -1}


def rows(page):
    return page.browser.script(f"return {ROWS}")


def rows_are(page, *names):
    page.browser.becomes(ROWS, list(names))


FOCUS = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"


@pytest.fixture
def slow_line(page):
    """Uploads as from a hotel."""
    page.browser.devtools("Network.enable", {})
    page.browser.devtools("Network.emulateNetworkConditions", SLOW_LINE)
    yield
    page.browser.devtools("Network.emulateNetworkConditions", FULL_LINE)


def png(width, height):
    """A grey picture."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * width) * height))
        + chunk(b"IEND", b"")
    )


def id3_with_picture(picture):
    """An ID3v2.3 tag with one APIC frame."""
    content = b"\0image/png\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">I", len(content)) + b"\0\0" + content
    return b"ID3\x03\0\0" + bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0)) + frame


class TestUploading:
    def test_dropped_files_and_folders_are_uploaded_and_listed(self, page):
        page.open()
        page.browser.shows(".state", "Drop audio anywhere")
        page.write("songs/one.wav", wav(2.0))
        page.write("songs/deeper/two.wav", wav(1.0, 44100, 2))
        page.write("songs/.hidden", b"not meant")
        page.browser.drop([str(page.folder / "songs")])
        page.browser.until(f"{ROWS}.length === 2")
        assert sorted(rows(page)) == ["one.wav", "two.wav"]
        page.browser.shows(".uploads", "2 files uploaded")
        _, _, body = request(page.server.address, "GET", "/list?meta.folder=songs%2Fdeeper&fields=name")
        assert json.loads(body)["files"] == [{"name": "two.wav"}]

    def test_chosen_files_are_uploaded(self, page):
        page.open()
        page.browser.script("document.querySelector('#choose-files').hidden = false")
        page.browser.find("#choose-files").type(
            page.write("a.wav", wav()) + "\n" + page.write("b.wav", wav(0.2))
        )
        page.browser.until(f"{ROWS}.length === 2")

    def test_pasted_files_are_uploaded(self, page):
        page.open()
        page.browser.script(
            """
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(arguments[0])], "pasted.wav"));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));""",
            list(wav()),
        )
        rows_are(page, "pasted.wav")

    def test_a_refusal_is_said_in_the_servers_words_beside_the_file(self, page):
        page.expected += ["415 (Unsupported Media Type)"]
        page.open()
        page.browser.drop([page.write("notes.txt", b"only words\n")])
        page.browser.until("document.querySelector('.uploads .refusal')")
        page.browser.shows(".uploads li", "notes.txt")
        page.browser.shows(".uploads li", "The content is not audio that is read here")

    def test_progress_speed_and_time_left_are_shown_and_a_few_are_in_flight(self, page, slow_line):
        page.open()
        page.browser.drop([page.write(f"{n}.wav", long_wav(60 + n)) for n in range(5)])
        states = page.browser.until(
            "/\\d.*B of .*B · .*B\\/s · .* left/.test(document.querySelector('.uploads li .told').textContent)"
            " && document.querySelector('.uploads li progress').value > 0"
            " && [...document.querySelectorAll('.uploads li')].map((row) => row.dataset.state)"
        )
        assert states.count("sending") + states.count("checking") <= 3 and "waiting" in states

    def test_leaving_in_the_middle_warns(self, page, slow_line):
        page.open()
        page.browser.drop([page.write("long.wav", long_wav(600))])  # a minute
        page.browser.until("document.querySelector('.uploads li')?.dataset.state === 'sending'")
        page.browser.press("#search")  # browsers warn those alone who have touched the page
        prevented = page.browser.script("return !dispatchEvent(new Event('beforeunload', { cancelable: true }))")
        page.browser.labelled("Cancel long.wav").click()
        page.browser.until("!document.querySelector('.uploads li')")
        assert prevented
        page.browser.until("dispatchEvent(new Event('beforeunload', { cancelable: true }))")

    def test_what_broke_off_can_be_tried_again(self, page):
        page.expected += ["ERR_INTERNET_DISCONNECTED"]
        page.open()
        page.browser.devtools("Network.enable", {})
        page.browser.devtools("Network.emulateNetworkConditions", {**FULL_LINE, "offline": True})
        page.browser.drop([page.write("again.wav", wav())])
        page.browser.until("document.querySelector('.uploads .refusal')")
        page.browser.devtools("Network.emulateNetworkConditions", FULL_LINE)
        page.browser.labelled("Retry again.wav").click()
        rows_are(page, "again.wav")

    def test_a_taken_name_can_be_kept_beside_or_replaced(self, page):
        page.expected += ["409 (Conflict)"]
        page.store("same.wav", wav(1.0))
        page.open()
        page.browser.drop([page.write("same.wav", wav(2.0))])
        page.browser.labelled("Keep both files named same.wav").click()
        rows_are(page, "same (2).wav", "same.wav")
        page.browser.drop([page.write("same.wav", wav(3.0))])
        page.browser.labelled("Replace the stored same.wav").click()
        page.browser.until(
            "[...document.querySelectorAll('tbody .duration')].some((cell) => cell.textContent === '0:03')"
        )

    def test_the_microphone_is_recorded(self, page):
        page.open()
        page.browser.labelled("Record").click()
        page.browser.until("/0:0[1-9]/.test(document.querySelector('.recording .number')?.textContent)")
        page.browser.labelled("Stop and keep").click()
        page.browser.until(f"{ROWS}.length === 1")
        _, _, body = request(page.server.address, "GET", "/list")
        (record,) = json.loads(body)["files"]
        assert record["name"].startswith("Recording ") and (
            record["container"],
            record["codec"],
        ) == ("wav", "pcm_s16le")
        assert record["duration"] >= 1 and not record["truncated"] and record["warnings"] == []


class TestTheList:
    @pytest.fixture
    def three(self, page):
        page.store("alpha night.wav", wav(1.0), meta_place="kitchen")
        page.store("beta.wav", wav(3.0, 16000))
        page.store("gamma night.wav", wav(2.0, 44100, 2))
        return page

    def test_it_is_sorted_by_its_heads_and_the_address_says_so(self, three):
        three.open()
        rows_are(three, "gamma night.wav", "beta.wav", "alpha night.wav")
        three.browser.labelled("Duration").click()
        rows_are(three, "beta.wav", "gamma night.wav", "alpha night.wav")
        assert parse_qs(urlsplit(three.browser.url).query) == {"sort": ["-duration"]}
        three.browser.becomes("document.querySelector('th.duration').getAttribute('aria-sort')", "descending")
        three.browser.labelled("Duration").click()
        rows_are(three, "alpha night.wav", "gamma night.wav", "beta.wav")
        three.browser.back()
        rows_are(three, "beta.wav", "gamma night.wav", "alpha night.wav")

    def test_it_is_filtered_while_one_types_and_the_back_button_undoes_it(self, three):
        three.open()
        three.browser.find("#search").type("night")
        rows_are(three, "gamma night.wav", "alpha night.wav")
        assert three.browser.url.endswith("/?q=night")
        three.browser.back()
        rows_are(three, "gamma night.wav", "beta.wav", "alpha night.wav")
        three.browser.becomes("document.querySelector('#search').value", "")

    @pytest.mark.parametrize(
        "target, names",
        [
            ("/?q=kitchen", ["alpha night.wav"]),
            ("/?minduration=2&sort=name", ["beta.wav", "gamma night.wav"]),
            ("/?channels=2", ["gamma night.wav"]),
            ("/?name=*night*&maxsamplerate=8000", ["alpha night.wav"]),
            ("/?codec=pcm_s16le&sort=-name&minsamplerate=16000", ["gamma night.wav", "beta.wav"]),
        ],
    )
    def test_an_address_is_a_view_that_can_be_sent(self, three, target, names):
        three.open(target)
        rows_are(three, *names)

    def test_the_form_writes_the_filters_of_the_interface(self, three):
        three.open()
        three.browser.labelled("Filters").click()
        three.browser.script("""
            const set = (label, value) => {
              const field = [...document.querySelectorAll('.filters label')]
                .find((node) => node.textContent.startsWith(label)).querySelector('input, select');
              field.value = value;
              field.dispatchEvent(new Event('input', { bubbles: true }));
            };
            set('Name', 'night'); set('Duration from', '0:01.5'); set('Channels', '2'); set('Uploaded from', '2020-01-01');""")
        rows_are(three, "gamma night.wav")
        query = parse_qs(urlsplit(three.browser.url).query)
        assert (query["name"], query["minduration"], query["channels"]) == (
            ["*night*"],
            ["1.5"],
            ["2"],
        )
        three.browser.labelled("Remove the filter at least").click()
        three.browser.until("!location.search.includes('minduration')")
        three.browser.labelled("Clear").click()
        rows_are(three, "gamma night.wav", "beta.wav", "alpha night.wav")

    def test_what_the_server_refuses_is_said_in_its_words(self, three):
        three.expected += ["400 (Bad Request)"]
        three.browser.go(three.server.url + "/?minduration=soon")
        three.browser.until("document.querySelector('.state [role=alert]')")
        three.browser.shows(".state", "minduration is 'soon', not a number of seconds")
        three.browser.labelled("Clear the filters").click()
        three.browser.until(f"{ROWS}.length === 3")

    def test_nothing_that_fits_helps_on(self, three):
        three.open("/?q=zebra")
        three.browser.shows(".state", "Nothing fits")
        three.browser.labelled("Clear the filters").click()
        three.browser.until(f"{ROWS}.length === 3")

    def test_several_are_removed_after_a_question_and_an_undo_comes_in_time(self, three):
        three.open()
        three.browser.until(f"{ROWS}.length === 3")
        three.browser.labelled("Select beta.wav").click()
        three.browser.labelled("Select alpha night.wav").click()
        three.browser.shows(".chosen", "2 files selected")
        three.browser.labelled("Remove").click()
        three.browser.press("dialog .primary")
        rows_are(three, "gamma night.wav")
        three.browser.labelled("Undo").click()
        rows_are(three, "gamma night.wav", "beta.wav", "alpha night.wav")
        assert json.loads(request(three.server.address, "GET", "/list")[2])["total"] == 3

    def test_leaving_sends_what_was_removed(self, three):
        three.open()
        three.browser.labelled("Select beta.wav").click()
        three.browser.labelled("Remove").click()
        three.browser.press("dialog .primary")
        rows_are(three, "gamma night.wav", "alpha night.wav")
        three.browser.go("about:blank")
        eventually(lambda: json.loads(request(three.server.address, "GET", "/list")[2])["total"] == 2)

    def test_a_range_is_selected_with_shift(self, three):
        three.open()
        three.browser.until(f"{ROWS}.length === 3")
        three.browser.script("""const boxes = document.querySelectorAll('tbody input'); boxes[0].click();
            boxes[2].dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }))""")
        three.browser.shows(".chosen", "3 files selected")

    def test_names_full_of_markup_stay_text(self, page):
        record = page.store(NASTY)
        page.open()
        rows_are(page, NASTY)
        page.open("/file/" + record["id"])
        page.browser.becomes("document.querySelector('h1').textContent", NASTY)
        assert page.browser.script("return document.querySelectorAll('main img').length") == 0


class TestOneFile:
    def test_every_field_of_the_record_is_explained(self, page):
        record = page.store("a.wav", wav(2.5, 22050), meta_project="tales")
        page.open("/file/" + record["id"])
        for text in (
            "0:03 (2.5 s)",
            "22,050 Hz",
            "Mono.",
            "pcm_s16le",
            record["sha256"],
            record["id"],
            "counted in samples",
            "audio/wav",
        ):
            page.browser.shows("article", text)
        known = page.browser.script("return document.querySelectorAll('.facts dt').length")
        absent = page.browser.text(".facts + p").count(",") + 1
        apart = {"name", "tags", "pictures", "metadata", "warnings"}
        assert known + absent == len(set(record) - apart)

    def test_a_file_cut_short_says_so_in_plain_words(self, page):
        record = page.store("cut.wav", wav(2.0)[:-5000])
        page.open("/file/" + record["id"])
        assert record["truncated"]
        page.browser.shows(".warnings", record["warnings"][0])

    def test_what_is_not_there_is_said(self, page):
        page.expected += ["404 (Not Found)"]
        page.open("/file/none")
        page.browser.shows("main", "no file has the id 'none'")

    def test_it_is_renamed_and_its_notes_are_kept(self, page):
        record = page.store("old.wav", meta_a="1")
        page.open("/file/" + record["id"])
        page.browser.labelled("Rename").click()
        page.browser.keys("n", "e", "w")
        page.browser.keys("Enter")
        page.browser.until("document.querySelector('h1')?.textContent === 'new.wav'")
        page.browser.labelled("Add a field").click()
        page.browser.keys("b", "Tab", "2")
        page.browser.labelled("Save the notes").click()
        page.browser.until("document.querySelector('#messages').textContent.includes('Saved')")
        changed = json.loads(request(page.server.address, "GET", "/files/" + record["id"])[2])
        assert (changed["name"], changed["metadata"]) == ("new.wav", {"a": "1", "b": "2"})

    def test_a_name_that_cannot_be_is_refused_in_the_servers_words(self, page):
        page.expected += ["400 (Bad Request)"]
        record = page.store("old.wav")
        page.open("/file/" + record["id"])
        page.browser.labelled("Rename").click()
        page.browser.keys("/", "Enter")
        page.browser.shows(".title", "The name cannot be used")

    def test_it_is_removed_and_the_list_is_shown(self, page):
        record = page.store("gone.wav")
        page.open("/file/" + record["id"])
        page.browser.labelled("Remove").click()
        page.browser.press("dialog .primary")
        page.browser.until("location.pathname === '/' && document.querySelector('.state .large')")
        page.browser.labelled("Undo").click()
        page.browser.until("document.querySelector('h1')?.textContent === 'gone.wav'")
        assert request(page.server.address, "GET", "/files/" + record["id"])[0] == 200

    def test_it_is_converted_with_progress_and_the_result_is_kept(self, page):
        record = page.store("talk.wav", wav(3.0, 16000))
        page.open("/file/" + record["id"])
        page.browser.labelled("Keep the result").click()
        page.browser.labelled("Convert").click()
        page.browser.labelled("Open the result").click()
        page.browser.until("document.querySelector('h1')?.textContent === 'talk 32000.mp3'")

    def test_a_result_is_downloaded(self, page):
        record = page.store("talk.wav", wav(1.0, 16000))
        page.open("/file/" + record["id"])
        page.browser.labelled("Convert").click()
        page.browser.labelled("Download the result").click()
        page.browser.until("document.querySelector('.conversion').textContent.includes('Fetched')")

    def test_the_picture_in_a_file_is_cut_out_and_shown(self, page):
        record = page.store("song.mp3", id3_with_picture(png(24, 16)) + mp3())
        assert len(record["pictures"]) == 1
        page.open("/file/" + record["id"])
        page.browser.until("document.querySelector('img.cover')?.naturalWidth === 24")

    def test_a_curl_line_is_shown(self, page):
        record = page.store("a.wav")
        page.open("/file/" + record["id"])
        page.browser.shows("article", f'curl -O -J "{page.server.url}/files/{record["id"]}/content"')


class TestHearing:
    def test_it_plays_seeks_by_ranges_and_stays_while_one_browses(self, page):
        record = page.store("long.wav", long_wav(600))  # 19 MB: more than a browser fetches at once
        page.open()
        page.browser.press("tbody .play button")
        page.browser.until(f"{PLAYER} === 'Pause'")
        page.browser.requests()
        page.browser.script("""const slider = document.querySelector('#player .seek');
            slider.value = 800; slider.dispatchEvent(new Event('input'))""")
        page.browser.until("/^8:0/.test(document.querySelector('#player .number').textContent)")
        content, begins = f"/files/{record['id']}/content", re.compile(r"bytes=(\d+)-")

        def is_fetched_from_there():
            asked = [one["headers"].get("Range", "") for one in page.browser.requests() if content in one["url"]]
            return any(int(found.group(1)) > 1_000_000 for found in map(begins.match, asked) if found)

        eventually(is_fetched_from_there)
        page.browser.press("tbody .name a")
        page.browser.until("document.querySelector('article h1')")
        page.browser.becomes(PLAYER, "Pause")

    def test_space_and_the_arrow_keys_play_and_seek(self, page):
        page.store("tone.wav", long_wav(100))
        page.open()
        page.browser.find("tbody .name a")
        page.browser.script("document.querySelector('tbody .name a').focus()")
        page.browser.keys("Space")
        page.browser.until(f"{PLAYER} === 'Pause'")
        page.browser.keys("Space")
        page.browser.until(f"{PLAYER} === 'Play'")
        page.browser.script(
            "document.querySelector('#player .seek').value = 0; document.querySelector('#player .seek').dispatchEvent(new Event('input'))"
        )
        page.browser.keys("Right", "Right")
        page.browser.until(
            "document.querySelector('#player .number').textContent.startsWith('0:10')"
        )
        page.browser.keys("Left")
        page.browser.until(
            "document.querySelector('#player .number').textContent.startsWith('0:05')"
        )

    def test_what_a_browser_cannot_play_is_said(self, page):
        record = page.store("mac.aiff", aiff())
        page.open("/file/" + record["id"])
        page.browser.labelled("Play").click()
        page.browser.until("document.querySelector('#player .refusal').checkVisibility()")


HEIGHTS = """
    const canvas = document.querySelector('article canvas');
    const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const tall = (x) => { let n = 0; for (let y = 0; y < height; y += 1) n += data[4 * (y * width + x) + 3] > 128; return n / height; };
    return [0.1, 0.4, 0.6, 0.9].map((part) => { const x = Math.round(part * width / 3) * 3; return tall(x); });
"""


def quiet_then_loud():
    """A WAV of 20 s: silence, then a tone."""
    sound = bytearray(long_wav(20))
    sound[44 : 44 + (len(sound) - 44) // 2] = bytes((len(sound) - 44) // 2)
    return bytes(sound)


class TestTheWaveform:
    @pytest.fixture
    def drawn(self, page):
        record = page.store("half.wav", quiet_then_loud())
        page.open("/file/" + record["id"])
        page.browser.until("document.querySelector('article .surface.drawn')")
        return page

    def test_it_is_drawn_as_the_sound_is(self, drawn):
        first, second, third, last = drawn.browser.script(HEIGHTS)
        assert first < 0.1 and second < 0.1 and third > 0.7 and last > 0.7

    def test_a_part_is_seen_closer_by_dragging_and_by_buttons(self, drawn):
        drawn.browser.requests()
        drawn.browser.drag(".surface", 0.25, 0.75)
        drawn.browser.until("document.querySelector('.waves .number').textContent === '0:05'")
        drawn.browser.labelled("Closer").click()
        drawn.browser.until("/^0:0[78]/.test(document.querySelector('.waves .number').textContent)")
        drawn.browser.labelled("Whole").click()
        drawn.browser.until("document.querySelector('.waves .number').textContent === '0:00'")

    def test_a_part_of_something_long_is_asked_for_in_detail(self, page):
        record = page.store("long.wav", long_wav(600))
        page.open("/file/" + record["id"])
        page.browser.until("document.querySelector('article .surface.drawn')")
        page.browser.requests()
        page.browser.drag(".surface", 0.5, 0.51)
        page.browser.until("document.querySelector('.waves .number').textContent.startsWith('5:0')")
        page.browser.until(
            "performance.getEntriesByType('resource').some((entry) => /peaks.*from=30/.test(entry.name) && entry.responseEnd)"
        )

    def test_a_press_plays_from_there(self, drawn):
        drawn.browser.drag(".surface", 0.5, 0.5)
        drawn.browser.until(
            f"{PLAYER} === 'Pause' && /^0:1/.test(document.querySelector('#player .number').textContent)"
        )

    def test_the_keyboard_seeks_and_zooms_on_it(self, drawn):
        drawn.browser.script("document.querySelector('.surface').focus()")
        drawn.browser.keys("Right", "Right")
        drawn.browser.until("document.querySelector('.surface').getAttribute('aria-valuenow') === '2.00'")
        drawn.browser.keys("+")
        drawn.browser.until("document.querySelector('.waves .number:last-child').textContent === '0:10'")

    def test_what_the_server_does_not_decode_is_said_and_nothing_is_asked(self, page):
        record = page.store("song.flac", flac())
        page.open("/file/" + record["id"])
        page.browser.until(
            "document.querySelector('.waves p').textContent.startsWith('The server does not decode flac')"
        )
        assert not any("/peaks" in one["url"] for one in page.browser.requests())


class TestForEveryone:
    def test_the_keyboard_alone_does_all(self, page):
        page.store("one.wav", wav(1.0))
        page.store("two.wav", wav(2.0))
        page.open()
        page.browser.until(f"{ROWS}.length === 2")
        page.browser.keys("Tab")
        page.browser.until(f"({FOCUS}).startsWith('Skip')")
        page.browser.keys("Enter", "Tab")
        page.browser.becomes("document.activeElement.id", "search")
        page.browser.keys("o", "n", "e")
        rows_are(page, "one.wav")
        page.browser.keys("Backspace", "Backspace", "Backspace")
        rows_are(page, "two.wav", "one.wav")
        for _ in range(12):
            page.browser.keys("Tab")
            if page.browser.script("return " + FOCUS) == "two.wav":
                break
        page.browser.keys("Down")
        page.browser.becomes(FOCUS, "one.wav")
        page.browser.keys("Enter")
        page.browser.until("document.querySelector('h1')?.textContent === 'one.wav'")
        page.browser.becomes("document.activeElement.tagName", "H1")
        page.browser.keys("Tab")
        page.browser.becomes(FOCUS, "Play")
        page.browser.keys("Tab", "Tab", "Tab")
        page.browser.becomes(FOCUS, "Remove")
        page.browser.keys("Enter")
        page.browser.until("document.querySelector('dialog[open]')")
        page.browser.keys("Tab", "Enter")
        rows_are(page, "two.wav")

    @pytest.fixture
    def views(self, page):
        """Every view with something in it, by its name."""
        record = page.store("Morning choir.wav", wav(6.0, 22050, 2), meta_place="St Mary")
        for n in range(14):
            page.store(
                f"{'Piano' if n % 3 else 'Field recording with a rather long name'} {n}.wav",
                wav(0.4 + n * 2.3, 16000),
            )

        def listing():
            page.open()
            page.browser.until(f"{ROWS}.length === 15")

        def filters():
            page.open("/?minduration=1&channels=1")
            page.browser.until(f"{ROWS}.length === 13")
            page.browser.labelled("Filters").click()

        def playing():
            listing()
            page.browser.labelled("Select Piano 13.wav").click()
            page.browser.press("tbody .play button")
            page.browser.until(f"{PLAYER} === 'Pause'")

        def refused():
            page.expected += ["415 (Unsupported Media Type)"]
            listing()
            page.browser.drop([page.write("notes.txt", b"only words\n")])
            page.browser.until("document.querySelector('.uploads .refusal')")

        def file():
            page.open("/file/" + record["id"])
            page.browser.until("document.querySelector('.facts')")

        def nothing():
            page.open("/?q=zebra")
            page.browser.until("document.querySelector('.state').checkVisibility()")

        def question():
            file()
            page.browser.labelled("Remove").click()
            page.browser.until("document.querySelector('dialog[open]')")

        def api():
            page.browser.go(page.server.url + "/docs")
            page.browser.until("document.querySelectorAll('main code').length > 40")

        return {
            one.__name__: one
            for one in (listing, filters, playing, refused, file, nothing, question, api)
        }

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing_in_any_view(self, page, views, scheme):
        if not AXE.is_file():
            pytest.skip(f"skipped: axe-core is not at {AXE}")
        page.browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        for width in (1280, 320):
            page.browser.size(width, 800)
            for name, show in views.items():
                if name == "api" and width == 320:
                    continue  # the same, and long
                show()
                if PICTURES:
                    os.makedirs(PICTURES, exist_ok=True)
                    page.browser.screenshot(os.path.join(PICTURES, f"{name}-{scheme}-{width}.png"))
                page.browser.script(AXE.read_text("utf-8"))
                found = page.browser.wait_script(
                    "axe.run(document, { resultTypes: ['violations'] }).then(arguments[0])"
                )
                told = [
                    (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
                    for one in found["violations"]
                ]
                assert told == [], f"{name} at {width} in {scheme}"

    @pytest.mark.parametrize("width", [320, 640])
    def test_nothing_is_wider_than_the_screen(self, page, views, width):
        page.browser.size(width, 700)
        for name, show in views.items():
            show()
            assert page.browser.script("return document.documentElement.scrollWidth") <= width, name


class TestTheDescription:
    def test_a_line_for_curl_that_is_copied_is_whole_and_does_no_harm(self, page):
        page.browser.go(page.server.url + "/docs")
        page.browser.until("document.querySelectorAll('main code').length > 40")
        lines = page.browser.script("return [...document.querySelectorAll('main pre code')].map((code) => code.textContent).join('\\n')")
        assert "/links/ID?download=DOWNLOAD&expires=EXPIRES&signature=SIGNATURE" in lines, "a link is nothing without these"
        for change in ('"admin":false', '"disabled":false', '"shared":false', '"download":true', '"metadata":{"KEY":"VALUE"}'):
            assert change in lines


class TestALot:
    def test_a_hundred_thousand_rows_are_scrolled(self, page, running, seeding):
        process, folder = seeding
        assert process.wait() == 0
        page.server = running(folder)
        page.open()
        page.browser.until("document.querySelector('tbody a')")
        page.browser.shows(".under", "100,000 files")
        page.browser.script("scrollTo(0, document.body.scrollHeight / 50)")
        page.browser.until("document.querySelector('tr[aria-rowindex=\"2010\"] a')")
        page.browser.script("scrollTo(0, document.body.scrollHeight)")
        page.browser.until("document.querySelector('tr[aria-rowindex=\"100001\"] a')")
        assert page.browser.script("return document.querySelectorAll('tbody tr').length") < 100
        (oldest,) = json.loads(request(page.server.address, "GET", "/list?sort=uploaded&limit=1")[2])["files"]
        assert rows(page)[-1] == oldest["name"]
        page.browser.script("scrollTo(0, document.body.scrollHeight / 2)")
        page.browser.until("document.querySelector('tr[aria-rowindex=\"50000\"] a')")
        page.browser.script("scrollTo(0, 0)")
        page.browser.until("document.querySelector('tr[aria-rowindex=\"2\"] a')")
