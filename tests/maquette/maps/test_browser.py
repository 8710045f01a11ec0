"""The maps in a real browser, Debian's Chromium: what a person does on them, without an error of the page's script."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Download, Page, expect

from tests.browser import chromium, findings
from tests.maquette.conftest import Run, photograph
from tests.maquette.server import Server

OBJECTS = 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in which every error, and everything that is asked of a network, fails the test."""
    opened = browser.new_page(**options)
    trouble: list[str] = []
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    yield opened
    opened.close()
    # What SwiftShader says of its own speed, when a picture of the page is taken, is no trouble of the page.
    assert [line for line in trouble if "GL Driver Message" not in line] == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser, viewport={"width": 1440, "height": 900}) as opened:
        yield opened


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


def press(page: Page, name: str) -> None:
    """Search a work, bring it to the middle and press it there."""
    page.fill("#find", name)
    page.get_by_role("button", name="Zoom to them").click()
    surface = page.locator("#surface").bounding_box()
    assert surface
    page.mouse.click(surface["x"] + surface["width"] / 2, surface["y"] + surface["height"] / 2)
    page.fill("#find", "")


def drag(page: Page, *path: tuple[float, float]) -> None:
    """Draw from corner to corner of the map; (0, 0) is near its top left, (1, 1) near its bottom right."""
    box = page.locator("#surface").bounding_box()
    assert box
    for number, (x, y) in enumerate(path):
        page.mouse.move(box["x"] + 5 + x * (box["width"] - 10), box["y"] + 5 + y * (box["height"] - 10), steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    done: Download = download.value
    return Path(done.path()).read_bytes()


def test_the_map_of_a_collection_is_searched_clicked_and_selected(
    maquette: Run, server: Server, own: Path, page: Page, tmp_path: Path
) -> None:
    words = ("cluster", "photos", "-o", "report", "--columns", own, "--id-from", "column:object", "--server", server.address)
    assert maquette(*words).returncode == 0
    opened(page, tmp_path / "report" / "map.html")
    expect(page.locator("header")).to_contain_text(f"{OBJECTS} works")

    press(page, "A 07")
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
    header, *rows = csv.reader(io.StringIO(saved(page, "Save as CSV").decode("utf-8-sig")))
    assert [row[0] for row in rows] == [f"A {number}" for number in range(10, 20)]
    assert {row[header.index("remark")] for row in rows} == {"'=cmd|' /C calc'!A0"}, "a spreadsheet takes it for a text"
    assert rows[0][header.index("inventory")] in ("123476", "123477")
    records = json.loads(saved(page, "Save as JSON"))
    assert [one["work"] for one in records] == [row[0] for row in rows]
    assert records[0]["remark"] == "=cmd|' /C calc'!A0"
    assert str(records[0]["q"]) == rows[0][header.index("q")], "all its digits"
    assert saved(page, "Save the names").decode().split("\n") == [*(row[0] for row in rows), ""]
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#selection h2")).to_have_count(0)

    page.fill("#find", "no such name")
    expect(page.locator("#found")).to_have_text(re.compile("^Nothing found"))
    page.fill("#find", "")
    expect(page.locator("#found")).to_be_empty()

    page.locator("#surface").press("0")
    page.locator("#surface").press("l")
    drag(page, (0, 0), (1, 0), (1, 1), (0, 1))
    expect(page.locator("#selection h2")).to_have_text(f"{OBJECTS} selected")
    page.locator("#surface").press("Escape")
    expect(page.locator("#selection h2")).to_have_count(0)
    page.get_by_role("button", name="Box").click()
    drag(page, (0, 0), (1, 1))
    expect(page.locator("#selection h2")).to_have_text(f"{OBJECTS} selected")
    page.locator("#surface").press("Escape")

    for name in page.locator("#layout option").all_inner_texts():
        page.select_option("#layout", name)
    for name in page.locator("#colour option").all_inner_texts():
        page.select_option("#colour", name)
        expect(page.locator("#colour"), "every column can be coloured by, ours and the user's").to_have_value(name)
    page.select_option("#colour", "inventory")
    ends = page.locator("#legend .ends span").all_inner_texts()
    assert all(re.fullmatch(r"1234\d\d", end) for end in ends), ends
    page.locator("[data-works] button").first.click()
    assert page.locator("#detail h2").inner_text().startswith("A ")
    short = facts(page)["q"]
    page.get_by_role("button", name="Exact values").click()
    assert len(facts(page)["q"]) >= len(short)
    assert float(facts(page)["q"]) == pytest.approx(float(short), abs=1e-3)
    assert findings(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(820, "light"), (390, "dark")])
def test_on_a_phone_the_work_is_told_where_the_finger_was(
    maquette: Run, server: Server, own: Path, browser: Browser, tmp_path: Path, width: int, scheme: Any
) -> None:
    assert maquette("cluster", "photos", "-o", "report", "--columns", own, "--server", server.address).returncode == 0
    phone = {"viewport": {"width": width, "height": 844}, "has_touch": True, "color_scheme": scheme}
    with watched(browser, **phone) as page:
        opened(page, tmp_path / "report" / "map.html")
        wider = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wider, "nothing is wider than the window"
        assert findings(page) == []
        if width > 800:
            return
        page.fill("#find", "07.jpg")
        page.get_by_role("button", name="Zoom to them").click()
        page.locator("#surface").tap()
        expect(page.locator("#tap strong")).to_have_text("07.jpg")
        card, surface = page.locator("#tap").bounding_box(), page.locator("#surface").bounding_box()
        assert card and surface
        assert surface["x"] <= card["x"] and card["x"] + card["width"] <= surface["x"] + surface["width"]
        assert findings(page) == []
        page.get_by_role("button", name="All of it").click()
        expect(page.locator("#detail h2")).to_be_in_viewport()
        page.emulate_media(media="print")
        expect(page.locator("#tools")).to_be_hidden()
        expect(page.locator("#about")).to_be_visible()


def test_without_webgl_the_page_says_so_and_the_rest_works(
    maquette: Run, server: Server, own: Path, page: Page, tmp_path: Path
) -> None:
    assert maquette("cluster", "photos", "-o", "report", "--server", server.address).returncode == 0
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest)"
        " { return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    opened(page, tmp_path / "report" / "map.html")
    expect(page.locator("#unseen")).to_be_visible()
    press(page, "07.jpg")
    expect(page.locator("#detail h2")).to_have_text("07.jpg")


def test_a_view_of_the_latent_plane_comes_back_with_its_address(
    maquette: Run, server: Server, own: Path, page: Page, tmp_path: Path
) -> None:
    words = ("embed", "photos", "-o", "out.csv", "--page", "plane.html", "--columns", own, "--server", server.address)
    assert maquette(*words).returncode == 0
    opened(page, tmp_path / "plane.html")
    page.locator("#surface").press("+")
    page.locator("#legend button.group").first.click()
    expect(page.locator("#legend button.group").first).to_have_attribute("aria-pressed", "false")
    page.locator("#legend button.group").first.click()
    page.locator("#surface").press("Enter")
    expect(page.locator("#detail h2")).to_have_count(1)
    work = page.locator("#detail h2").inner_text()
    page.wait_for_url(re.compile("work="))
    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    expect(page.locator("#detail h2")).to_have_text(work)
    press(page, "<1>.jpg")
    expect(page.locator("#detail h2")).to_have_text("<1>.jpg")
