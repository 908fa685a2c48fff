"""What people do with the page, in a real browser: `make browser`."""

from __future__ import annotations

from support import wav

ROWS = "[...document.querySelectorAll('tbody tr .name')].map((cell) => cell.textContent)"


class TestUploading:
    def test_dropped_files_and_folders_are_uploaded_and_listed_and_played(self, page):
        browser = page.browser
        page.open()
        assert "Drop audio anywhere" in browser.text(".state")
        page.write("songs/one.wav", wav(2.0))
        page.write("songs/deeper/two.wav", wav(1.0, 44100, 2))
        browser.drop([str(page.folder / "songs")])
        browser.until(f"{ROWS}.length === 2")
        assert sorted(browser.script(f"return {ROWS}")) == ["one.wav", "two.wav"]
        assert browser.text(".uploads").startswith("2 files uploaded")
        browser.press("tbody tr .play button")
        browser.until("document.querySelector('#player button').getAttribute('aria-label') === 'Pause'")

    def test_a_refusal_is_said_in_the_servers_words_beside_the_file(self, page):
        page.expected = ["415 (Unsupported Media Type)"]
        page.open()
        page.browser.drop([page.write("notes.txt", b"only words\n")])
        page.browser.until("document.querySelector('.uploads .refusal')")
        words = page.browser.text(".uploads li")
        assert "notes.txt" in words and "The content is not audio that is read here" in words
