"""The contact sheet, made from what lies on disk."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from PIL import Image
from playwright.sync_api import expect

from tests.browser import chromium, findings
from tests.maquette.conftest import Run
from tests.maquette.server import Server


class Figures(HTMLParser):
    """Each figure's words, and what the page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.figures: list[str] = []
        self.pictures: list[bytes] = []
        self.links: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "figure":
            self._inside = True
            self.figures.append("")
        elif tag == "img":
            source = values["src"] or ""
            assert source.startswith("data:image/jpeg;base64,"), "nothing is loaded from elsewhere"
            self.pictures.append(base64.b64decode(source.partition(",")[2]))
        elif tag == "a":
            self.links.append(values["href"] or "")
        assert tag not in ("link", "iframe")
        assert tag != "script" or "src" not in values

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "figure"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.figures[-1] += data


def test_every_photograph_is_on_it_and_every_link_leads_somewhere(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad & <b>.jpg").write_text("no image")
    assert maquette("mask", folder, "-o", "out", "--server", server.address).returncode == 1
    page = Figures((tmp_path / "out" / "contact-sheet.html").read_text())
    assert len(page.figures) == 4
    assert "bad & <b>.jpg" in page.figures[0]
    assert "The bytes are not an image." in page.figures[0]
    assert len(page.pictures) == 3
    for data in page.pictures:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("JPEG", (40, 30))
    assert len(page.links) == 4 + 3
    assert all((tmp_path / "out" / unquote(link)).exists() for link in page.links)


def test_a_resumed_run_gives_the_same_sheet(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    sheet = tmp_path / "out" / "contact-sheet.html"
    first = sheet.read_text()
    sheet.unlink()
    assert maquette(*run).returncode == 0
    assert sheet.read_text() == first
    assert len(server.seen.items) == 3


def test_a_mask_corrected_by_hand_is_shown_as_it_is_now(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    Image.new("L", (40, 30)).save(tmp_path / "out" / "a.jpg.png")
    maquette(*run)
    first = Figures((tmp_path / "out" / "contact-sheet.html").read_text()).figures[0]
    assert re.search(r"a\.jpg\s*the mask is empty\s*object 0\.0% · mask · made or corrected by a person", first)


def test_a_cutout_is_judged_by_its_alpha(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    maquette("mask", folder / "a.jpg", "-o", "out", "--output-kind", "cutout", "--server", server.address)
    (figure,) = Figures((tmp_path / "out" / "contact-sheet.html").read_text()).figures
    assert f"object {100 / 1200:.1%}" in figure


def test_no_sheet_when_none_is_wanted(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    assert maquette("mask", folder, "-o", "out", "--no-sheet", "--server", server.address).returncode == 0
    assert not (tmp_path / "out" / "contact-sheet.html").exists()


def test_a_sheet_that_cannot_be_written_costs_no_mask(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "contact-sheet.html").mkdir(parents=True)
    done = maquette("mask", folder, "-o", "out", "--server", server.address)
    assert done.returncode == 1
    assert "contact-sheet.html cannot be written" in done.stderr
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_marks_are_kept_and_saved_as_a_list(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    maquette("mask", folder, "-o", "out", "--server", server.address)
    sheet = tmp_path / "out" / "contact-sheet.html"
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', sheet.read_text())
    assert policy and policy[1].startswith("default-src 'none'") and "unsafe" not in policy[1]
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        trouble: list[str] = []
        page.on("console", lambda line: trouble.append(line.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(sheet.as_uri())
        page.get_by_label("Mark a.jpg").focus()
        page.keyboard.press("Space")
        page.reload()
        expect(page.get_by_label("Mark a.jpg")).to_be_checked()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save the names").click()
        assert Path(download.value.path()).read_text() == "a.jpg\n"
        page.get_by_label("Size").fill("400")
        assert findings(page) == []
        assert trouble == []
