"""The page of ``maquette review`` in a real browser, as people use it: by keyboard alone, by pointer, on a phone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from maquette.masks import png
from tests.browser import findings, opened
from tests.maquette.conftest import Run
from tests.maquette.review.conftest import GREEN, RED, Review, picture, share, view
from tests.serving import Served, until

Start = Callable[..., Review]


@pytest.fixture
def made(maquette: Run, photos: Path, service: str, tmp_path: Path) -> Path:
    """The five photographs with their masks, and one photograph without."""
    assert maquette("mask", photos, "-o", "masks", "--server", service, "--no-sheet").returncode == 0
    view(5).save(photos / "5.png")
    return photos


def large(page: Page, name: str) -> None:
    """The large view shows this photograph, its tiles and its mask."""
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator(".stage")).not_to_have_attribute("data-shown", "0")


def saved(page: Page) -> None:
    """No change is under way."""
    expect(page.locator(".picture .busy")).to_have_count(0)


def whole(page: Page, path: str) -> None:
    """It fits, and axe-core finds nothing, at each width, and in the dark."""
    for width, height in ((1440, 900), (820, 1180), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        assert width == 820 or findings(page) == [], (path, width)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # colours change at once
    assert findings(page) == [], (path, "in the dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_an_evening_by_keyboard_alone(
    browser: Browser, review: Start, made: Path, masks: list[Path], service: str, tmp_path: Path
) -> None:
    local = review("photos", "-o", "masks", "--server", service)
    with opened(browser, local.origin, viewport={"width": 1440, "height": 900}) as page:
        page.goto(local.address)
        assert "token" not in page.url
        expect(page.get_by_role("option").first).to_have_accessible_name("5.png: no mask")
        expect(page.get_by_role("option")).to_have_count(6)
        whole(page, "all")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("accept, and go on")
        assert findings(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

        page.get_by_role("listbox").focus()
        page.keyboard.press("Home")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        name = page.get_by_role("heading", level=1).inner_text()
        large(page, name)
        whole(page, "one")
        index = int(name[0])
        page.keyboard.press("8")
        expect(page.get_by_role("button", name="Brush")).to_have_attribute("aria-pressed", "true")
        before = masks[index].read_bytes()
        # The cross begins in the middle of the window, between the two blocks.
        page.get_by_role("application").focus()
        for key in ("ArrowUp", "ArrowUp", "Enter", "ArrowUp", "ArrowUp", "ArrowUp", "Shift+Enter"):
            page.keyboard.press(key)
            saved(page)
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()
        until(lambda: local.set()["items"][index]["undo"] == 2, lambda: "two strokes are not saved")
        middle = view(index).size[0] // 2
        column = np.asarray(picture(masks[index]))[: view(index).size[1] // 2, middle]
        assert (column == 255).sum() > 20, "a dab, and a line from it"
        page.keyboard.press("u")
        page.keyboard.press("u")
        until(lambda: masks[index].read_bytes() == before, lambda: "not undone")

        page.keyboard.press("7")
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        until(lambda: local.set()["items"][index]["why"] == "hints", lambda: "no hint was taken")
        saved(page)
        page.keyboard.press("Space")
        expect(page.get_by_role("heading", level=1)).not_to_have_text(name)
        other = page.get_by_role("heading", level=1).inner_text()
        page.keyboard.press("x")
        until(lambda: (tmp_path / "masks" / "rejected.csv").exists(), lambda: "nothing was listed")
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_be_focused()
        page.keyboard.press("3")
        expect(page.get_by_role("option", name=f"{name}, accepted")).to_have_count(1)
        page.keyboard.press("4")
        expect(page.get_by_role("option", name=f"{other}, rejected")).to_have_count(1)
        with (tmp_path / "masks" / "rejected.csv").open(newline="") as stream:
            assert [row["file"] for row in csv.DictReader(stream)] == [other]


def test_what_was_corrected_is_applied_to_the_rest_compared_and_taken_back(
    browser: Browser, review: Start, made: Path, masks: list[Path], service: str
) -> None:
    local = review("photos", "-o", "masks", "--server", service)
    before = [path.read_bytes() for path in masks]
    with opened(browser, local.origin, viewport={"width": 820, "height": 1180}) as page:
        page.goto(local.address)
        page.get_by_role("button", name="Make 1 missing").click()
        expect(page.locator(".rest")).to_contain_text("1 mask made")
        assert (masks[0].parent / "5.png.png").exists()
        for index in (0, 3):
            page.get_by_role("option", name=f"{index}.png").click()
            large(page, f"{index}.png")
            for tool, place in (("Object", 1 / 4), ("Background", 3 / 4)):
                page.get_by_role("button", name=tool).click()
                pointed(page, index, place)
            two_hints(local, index)
            assert share(masks[index], GREEN, index) < 0.1 < 0.9 < share(masks[index], RED, index)
            page.get_by_role("button", name="All").click()
        expect(page.get_by_role("button", name="Corrected 2")).to_be_visible()
        drawn = [masks[index].read_bytes() for index in (0, 3)]

        page.get_by_role("button", name="Apply to the rest").click()
        expect(page.get_by_role("dialog")).to_contain_text("makes 4 others again")
        assert findings(page) == []
        page.get_by_role("button", name="Learn and make the rest").click()
        expect(page.locator(".rest")).to_contain_text("Learnt from 2 masks", timeout=60_000)
        page.get_by_role("button", name="Made again 4").click()
        expect(page.get_by_role("option")).to_have_count(4)
        assert all(share(masks[index], GREEN, index) < 0.1 for index in range(5))
        expect(page.locator(".cell .corner").first).to_contain_text("% changed")
        page.get_by_role("button", name="Before").click()
        expect(page.locator(".cell .corner").first).to_have_text("before")
        page.get_by_role("option", name="1.png").click()
        large(page, "1.png")
        page.keyboard.press("c")
        expect(page.locator(".picture .corner")).to_have_text("before the last change")
        page.get_by_role("button", name="Accept").click()
        page.keyboard.press("Escape")
        whole(page, "made again")

        page.get_by_role("button", name="Take back 3").click()
        page.get_by_role("dialog").get_by_role("button", name="Take back 3").click()
        expect(page.locator(".rest")).to_contain_text("3 masks as before the last run")
    assert [masks[index].read_bytes() == before[index] for index in range(5)] == [False, False, True, False, True]
    assert [masks[index].read_bytes() for index in (0, 3)] == drawn
    assert png.owned(masks[1]) is not None


def two_hints(local: Review, index: int) -> None:
    """Both have reached the disk."""
    until(lambda: local.set()["items"][index]["undo"] == 2, lambda: "two hints are not saved")


def pointed(page: Page, index: int, place: float, *, finger: bool = False) -> None:
    """Click or tap in the middle of the photograph's height, at this part of its width."""
    box = page.locator(".stage").bounding_box()
    assert box
    width, height = view(index).size
    scale = min(box["width"] / width, box["height"] / height)
    x, y = box["x"] + box["width"] / 2 + (place - 0.5) * width * scale, box["y"] + box["height"] / 2
    if finger:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)


def test_a_phone_marks_paints_and_decides(browser: Browser, review: Start, made: Path, masks: list[Path], service: str) -> None:
    local = review("photos", "-o", "masks", "--server", service)
    with opened(browser, local.origin, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        page.goto(local.address)
        page.get_by_role("option", name="2.png").tap()
        large(page, "2.png")
        page.get_by_role("button", name="Brush").tap()
        pointed(page, 2, 0.5, finger=True)
        until(lambda: local.set()["items"][2]["why"] == "brush", lambda: "nothing was painted")
        saved(page)
        assert np.asarray(picture(masks[2]))[view(2).size[1] // 2, view(2).size[0] // 2] == 255
        page.get_by_role("button", name="Undo").tap()
        until(lambda: local.set()["items"][2]["undo"] == 0, lambda: "not undone")
        page.get_by_role("button", name="Reject").tap()
        expect(page.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Cut-out").tap()
        page.get_by_role("button", name="Next photograph").tap()
        expect(page.get_by_role("heading", level=1)).not_to_have_text("2.png")


def test_a_mask_from_elsewhere_is_asked_about_and_a_kill_is_said(
    browser: Browser, review: Start, made: Path, masks: list[Path], service: str
) -> None:
    view(1).convert("L").point([255] * 100 + [0] * 156).save(masks[1])
    drawn = masks[1].read_bytes()
    local = review("photos", "-o", "masks", "--server", service)
    with opened(browser, local.origin, ignored="Failed to load resource", viewport={"width": 1440, "height": 900}) as page:
        page.goto(local.address)
        page.get_by_role("option", name="1.png").click()
        large(page, "1.png")
        page.get_by_role("button", name="Background").click()
        pointed(page, 1, 3 / 4)
        expect(page.get_by_role("dialog")).to_contain_text("in another program")
        assert findings(page) == []
        page.get_by_role("button", name="Leave it").click()
        assert masks[1].read_bytes() == drawn
        pointed(page, 1, 3 / 4)
        page.get_by_role("button", name="Make it anew").click()
        until(lambda: local.set()["items"][1]["why"] == "hints", lambda: "not made anew")
        assert masks[1].read_bytes() != drawn
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()
        page.keyboard.press("u")
        until(lambda: masks[1].read_bytes() == drawn, lambda: "not undone")
        stamp = local.set()["items"][1]["stamp"]
        expect(page.get_by_role("application")).to_have_attribute("data-mask", f"{stamp}.")  # its tiles are there
        local.kill()
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_text("What you did is on disk").first).to_be_visible()


def test_types_are_accepted_and_chosen_for_training(
    browser: Browser, review: Start, running: dict[str, Served], photos: Path
) -> None:
    from training.classify import data

    (photos / "labels.csv").write_text("file,label,work\n4.png,blue,the fourth\n", encoding="utf-8")
    local = review("--types", "photos", "--server", f"127.0.0.1:{running['classify'].grpc_port}")
    until(lambda: all(item["predictions"] for item in local.set()["items"]), lambda: "no proposals")
    proposals = {item["name"]: item["predictions"][0][0] for item in local.set()["items"]}
    with opened(browser, local.origin, viewport={"width": 1440, "height": 900}) as page:
        page.goto(local.address)
        page.get_by_role("button", name="Undecided 4").click()
        expect(page.get_by_role("option")).to_have_count(4)
        whole(page, "types")
        page.get_by_role("listbox").focus()
        page.keyboard.press("Enter")
        order = []
        for key in ("Space", "2", "Shift+1", "j", "0"):
            order.append(page.get_by_role("heading", level=1).inner_text())
            if key == "Space":
                expect(page.get_by_role("group", name="Types").get_by_role("button")).to_have_count(4)
                whole(page, "one type")
            page.keyboard.press(key)
            page.wait_for_timeout(50)
        until(
            lambda: sum(bool(item["labels"]) for item in local.set()["items"]) == 5,
            lambda: str([(item["name"], item["labels"]) for item in local.set()["items"]]),
        )
    first, second, third, _, last = order
    local.end()
    found, labels = data.find(photos)
    assert {photo.path.name: photo.types for photo in found} == {
        "4.png": ("blue",),
        first: (proposals[first],),
        second: ("green",),
        third: ("red",),
        last: (),
    }
    assert (photos / "labels.csv").read_text().splitlines()[:2] == ["file,label,work", "4.png,blue,the fourth"], (
        "what was there stays"
    )
    assert len(labels) >= 3

    local = review("--types", "photos", "--server", "127.0.0.1:9", "--patience", "0")
    items = {item["name"]: item["labels"] for item in local.set()["items"]}
    assert items[last] == ["-"]
    assert "is no type" in local.refused("photographs/0/labels", 422, labels=["spaceship"])
    assert "stands alone" in local.refused("photographs/0/labels", 422, labels=["-", "red"])
    assert local.refused("photographs/0/labels", 422, labels="red")
    with (photos / "labels.csv").open("a", encoding="utf-8") as table:
        table.write("elsewhere.png,green,by hand\n")
    local.post("photographs/0/labels", labels=["red", "blue"])
    assert "elsewhere.png,green,by hand" in (photos / "labels.csv").read_text(), "written in another program meanwhile"
    assert "0.png,red|blue," in (photos / "labels.csv").read_text()
    local.post("photographs/0/labels", labels=[])
    assert "0.png" not in (photos / "labels.csv").read_text()
