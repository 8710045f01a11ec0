"""The maps in a real browser, Debian's Chromium: what a person does on them, without an error of the page's script."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import chromium
from tests.maquette.conftest import Run, photograph
from tests.maquette.server import Server

OBJECTS = 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in which every error, and everything that is asked of a network, fails the test."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    trouble: list[str] = []
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    yield opened
    opened.close()
    assert trouble == []


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two photographs of each object, and a catalogue with what a page could get wrong."""
    (tmp_path / "photos").mkdir()
    rows = [["file", "object", "inventory", "code", "group", "q", "remark"]]
    for number in range(2 * OBJECTS):
        name = f"{number:02}.jpg"
        (tmp_path / "photos" / name).write_bytes(photograph(6 * number))
        given = f"A {number // 2:02}"
        rows.append([name, given, str(123456 + number), f"00{number}", "xyz"[number % 3], str(number), "=cmd|' /C calc'!A0"])
    with (tmp_path / "own.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return tmp_path / "own.csv"


def opened(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")


def facts(page: Page) -> dict[str, str]:
    """What the panel says of the work that was clicked."""
    names, values = (page.locator(f"#detail {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def middle_of(page: Page, name: str) -> tuple[float, float]:
    """Where a work lies in the window."""
    x, y = page.evaluate("n => { const i = D.names.indexOf(n); return [sx(i), sy(i)]; }", name)
    box = page.locator("#canvas").bounding_box()
    assert box
    return box["x"] + x, box["y"] + y


def test_the_map_of_a_collection_is_searched_clicked_and_selected(
    maquette: Run, server: Server, own: Path, page: Page, tmp_path: Path
) -> None:
    words = ("cluster", "photos", "-o", "report", "--columns", own, "--id-from", "column:object", "--server", server.address)
    assert maquette(*words).returncode == 0
    opened(page, tmp_path / "report" / "map.html")
    expect(page.locator("header")).to_contain_text(f"{OBJECTS} works")

    page.mouse.click(*middle_of(page, "A 07"))
    expect(page.locator("#detail h2")).to_have_text("A 07")
    told = facts(page)
    assert told["inventory"] in ("123470", "123471"), "as the user wrote it, no digit less"
    assert told["code"] in ("0014", "0015")
    assert re.fullmatch(r"Group [01]", told["group"])
    assert (told["group (own.csv)"], told["q (own.csv)"]) in (("z", "14"), ("x", "15"))
    assert told["photographs"] == "2"
    expect(page.locator("#detail li a")).to_have_text(re.compile(r"^photos/1[45]\.jpg$"))
    expect(page.locator("#detail img")).to_have_js_property("naturalWidth", 40)  # the photograph itself, from the disk
    page.locator("#detail .works button").first.click()
    expect(page.locator("#detail h2")).not_to_have_text("A 07")

    page.fill("#find", "a 1")
    expect(page.locator("#selection h2")).to_have_text("10 selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    header, *rows = saved
    assert [row[0] for row in rows] == [f"A {number}" for number in range(10, 20)]
    assert {row[header.index("remark")] for row in rows} == {"'=cmd|' /C calc'!A0"}, "a spreadsheet takes it for a text"
    assert rows[0][header.index("inventory")] in ("123476", "123477")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#selection h2")).to_have_count(0)

    box = page.locator("#canvas").bounding_box()
    assert box
    page.locator("#canvas").press("l")
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    for x, y in ((box["width"] - 5, 5), (box["width"] - 5, box["height"] - 5), (5, box["height"] - 5)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    expect(page.locator("#selection h2")).to_have_text(f"{OBJECTS} selected")
    page.locator("#canvas").press("Escape")

    for name in page.locator("#layout option").all_inner_texts():
        page.select_option("#layout", name)
    for name in page.locator("#colour option").all_inner_texts():
        page.select_option("#colour", name)
        assert page.evaluate("column.name") == name, "every column can be coloured by, ours and the user's"
    page.select_option("#colour", "inventory")
    ends = page.locator("#legend .ends span").all_inner_texts()
    assert all(re.fullmatch(r"1234\d\d", end) for end in ends), ends
    page.locator("[data-works] button").first.click()
    assert page.locator("#detail h2").inner_text().startswith("A ")


def test_a_view_of_the_latent_plane_comes_back_with_its_address(
    maquette: Run, server: Server, own: Path, page: Page, tmp_path: Path
) -> None:
    words = ("embed", "photos", "-o", "out.csv", "--page", "plane.html", "--columns", own, "--server", server.address)
    assert maquette(*words).returncode == 0
    opened(page, tmp_path / "plane.html")
    page.locator("#canvas").press("+")
    page.locator("#legend button.group").first.click()
    expect(page.locator("#legend button.group").first).to_have_attribute("aria-pressed", "false")
    page.locator("#legend button.group").first.click()
    page.locator("#canvas").press("Enter")
    expect(page.locator("#detail h2")).to_have_count(1)
    work = page.locator("#detail h2").inner_text()
    page.wait_for_url(re.compile("work="))
    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    expect(page.locator("#detail h2")).to_have_text(work)
    page.mouse.click(*middle_of(page, "<1>.jpg"))
    expect(page.locator("#detail h2")).to_have_text("<1>.jpg")
