"""`/` of every service, used as a person does: a photograph in, the answer seen, taken away and asked again elsewhere."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from protos.maquette.remove_background.v1.mask_names import Tool, mask_name
from tests.browser import opened
from tests.pages.conftest import SAMPLES, origin
from tests.serving import KINDS, Served

KEY = "a key of sixteen characters"
WIDE = {"viewport": {"width": 1440, "height": 900}}


def sample(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, *files: Path) -> None:
    page.get_by_label("Photograph", exact=True).and_(page.locator("input")).set_input_files([str(file) for file in files])


def answered(page: Page) -> Any:
    """The card of the answer, when it is there and no newer one is on its way."""
    expect(page.locator(".answer .verdict, .answer [role=alert]").first).to_be_visible(timeout=60_000)
    expect(page.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=60_000)
    return page.locator(".answer")


def shown(page: Page, tab: str) -> str:
    page.get_by_role("tab", name=tab, exact=True).click()
    return page.get_by_role("tabpanel").locator("code").inner_text()


def drop(page: Page, event: str, file: Path) -> None:
    """What the browser does when a person drops a file on the page, or pastes it."""
    data = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        """([event, name, data]) => {
            const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true };
            const made = event === "paste" ? new ClipboardEvent(event, { ...options, clipboardData: dataTransfer })
                                           : new DragEvent(event, { ...options, dataTransfer });
            document.body.dispatchEvent(made);
        }""",
        [event, file.name, data],
    )


def test_classify_names_the_type_shows_where_and_says_why_not(browser: Browser, shipped: dict[str, Served]) -> None:
    with opened(browser, origin(shipped["classify"]), **WIDE) as page:
        page.goto("/")
        drop(page, "drop", SAMPLES / "statue.jpg")
        card = answered(page)
        expect(card.locator(".verdict strong")).to_have_text("Figure")
        expect(card.locator("tbody tr")).to_have_count(8)
        expect(card.get_by_role("link").first).to_have_attribute("href", re.compile(r"^http://vocab\.getty\.edu/aat/\d+$"))
        shares = [float(text.split()[-2]) for text in card.locator("td .number").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        heat = page.get_by_alt_text(re.compile("heat over what speaks for Figure"))
        expect(heat).to_have_js_property("complete", True)
        page.get_by_label("How much of the heat is shown").fill("20")
        expect(heat).to_have_css("opacity", "0.2")

        drop(page, "paste", SAMPLES / "room.jpg")
        expect(card.locator(".verdict strong")).to_have_text("No answer", timeout=60_000)
        expect(card).to_contain_text("The model abstains: it hardly shows a sculpture at all")


def test_what_is_no_photograph_is_said_to_be_none(browser: Browser, shipped: dict[str, Served], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes((SAMPLES / "bust.jpg").read_bytes()[:200])
    with opened(browser, origin(shipped["classify"]), "400", **WIDE) as page:
        page.goto("/")
        choose(page, tmp_path / "broken.jpg")
        expect(answered(page).get_by_role("alert")).to_contain_text("IMAGE_")
        expect(page.locator(".stage")).to_contain_text("This browser cannot show broken.jpg")
        choose(page, SAMPLES / "bust.jpg")
        expect(page.locator(".answer .verdict")).to_be_visible(timeout=60_000)
        expect(page.locator(".answer [role=alert]")).to_have_count(0)


def test_a_tiff_that_no_browser_shows_is_shown_by_the_service(
    browser: Browser, shipped: dict[str, Served], tmp_path: Path
) -> None:
    with Image.open(SAMPLES / "statue.jpg") as statue:
        statue.save(tmp_path / "statue.tif")
    for name in ("classify", "remove_background"):
        with opened(browser, origin(shipped[name]), **WIDE) as page:
            page.goto("/")
            choose(page, tmp_path / "statue.tif")
            picture = page.get_by_alt_text("What the service made of statue.tif")
            expect(picture).to_be_visible(timeout=60_000)
            if name == "remove_background":
                expect(picture).to_have_js_property("naturalWidth", 640)
                with page.expect_download() as download:
                    page.get_by_role("button", name="Download cut-out").click()
                with Image.open(download.value.path()) as cutout:
                    assert (cutout.mode, cutout.size) == ("RGBA", (640, 640))


@pytest.mark.parametrize("name", KINDS)
def test_the_request_shown_makes_the_answer_shown(
    browser: Browser, shipped: dict[str, Served], name: str, tmp_path: Path
) -> None:
    """With a file name that a shell and curl both read in their own way."""
    awkward = tmp_path / """it's "a, b;c.jpg"""
    awkward.write_bytes((SAMPLES / "statue.jpg").read_bytes())
    with opened(browser, origin(shipped[name]), **WIDE) as page:
        page.goto("/")
        choose(page, awkward)
        answered(page)
        told = shown(page, "Answer")
        curl, python, as_json = (shown(page, tab) for tab in ("curl", "Python", "JSON"))
    url = re.search(r"POST (\S+)", as_json)
    assert url and '"error"' not in told
    body = json.loads(as_json[as_json.index("{") :])
    body["image"] = base64.b64encode(awkward.read_bytes()).decode()
    answers = [
        json.loads(output_of(tmp_path, "bash", "-c", curl)),
        json.loads(output_of(tmp_path, sys.executable, "-c", python)),
        httpx.post(url[1], json=body, timeout=60).raise_for_status().json(),
    ]
    for answer in answers:
        answer.pop("request_id")
        assert answer == answers[0]
    assert answers[0]["model_version"] in told


def output_of(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout


class TestRemoveBackground:
    def test_a_mask_is_compared_corrected_and_taken_along(
        self, browser: Browser, shipped: dict[str, Served], turned: Path
    ) -> None:
        with opened(browser, origin(shipped["remove_background"]), **WIDE) as page:
            page.goto("/")
            choose(page, turned)
            answered(page)
            coverage = page.locator(".verdict strong").inner_text()
            canvas = page.get_by_role("application")
            before = canvas.screenshot()
            page.get_by_label("Where the photograph ends").fill("100")
            assert canvas.screenshot() != before, "all of it is the photograph now"
            box = canvas.bounding_box()
            assert box
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 40, steps=3)
            page.mouse.up()
            assert int(page.get_by_label("Where the photograph ends").input_value()) < 40, "the line went with the pointer"
            page.get_by_role("button", name="100 %").click()
            expect(canvas).to_have_attribute("data-scale", "1")
            page.get_by_role("button", name="Whole").click()

            page.get_by_role("button", name="+ Object").click()
            canvas.click(position={"x": box["width"] / 2, "y": box["height"] * 0.95})
            expect(page.locator(".verdict strong")).not_to_have_text(coverage, timeout=60_000)
            answered(page)
            command = shown(page, "JSON")
            hints = json.loads(command[command.index("{") :])["hints"]
            assert [point["mark"] for point in hints["points"]] == ["object"]
            with page.expect_download() as download:
                page.get_by_role("button", name="Download mask").click()
            assert download.value.suggested_filename == f"{turned.name}.png"
            taken = np.asarray(Image.open(download.value.path()))
            with page.expect_download() as download:
                page.get_by_role("button", name="Download cut-out").click()
            cutout = np.asarray(Image.open(download.value.path()))
            page.get_by_role("button", name="Undo").click()
            expect(page.locator(".verdict strong")).to_have_text(coverage, timeout=60_000)

        answer = shipped["remove_background"].http.post(
            "/v1/masks",
            files={"image": turned.read_bytes()},
            data={"frame": "display", "hints": json.dumps(hints)},
            headers={"accept": "image/png"},
        )
        upright = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert taken.shape == (500, 640) and taken.ndim == 2, "one channel, in the rows that the camera stored"
        assert (taken == np.rot90(upright)).mean() > 0.999
        assert cutout.shape == (640, 500, 4)
        assert (cutout[..., 3] == upright).all()

    def test_masks_are_named_as_the_contract_names_them(
        self, browser: Browser, running: dict[str, Served], tmp_path: Path
    ) -> None:
        with opened(browser, origin(running["remove_background"]), **WIDE) as page:
            page.goto("/")
            for name in ("a.jpg", "IMG.0001.JPG", "with space.jpg", ".hidden.jpg"):
                (tmp_path / name).write_bytes((SAMPLES / "bust.jpg").read_bytes())
                choose(page, tmp_path / name)
                expect(page.get_by_label("As a curl command")).to_contain_text(name)
                answered(page)
                assert {option.get_attribute("value") for option in page.locator("#program option").all()} == set(Tool)
                for tool in Tool:
                    page.get_by_label("Mask for").select_option(tool)
                    try:
                        expect(page.locator("[data-name]")).to_have_text(str(mask_name(Path(name), tool)))
                    except ValueError:
                        expect(page.get_by_text("ODM passes over masks with a space")).to_be_visible()
                        expect(page.get_by_role("button", name="Download mask")).to_be_disabled()


def test_cluster_assign_shows_groups_and_pictures_of_a_folder(
    browser: Browser, shipped: dict[str, Served], tmp_path: Path
) -> None:
    with opened(browser, origin(shipped["cluster_assign"]), **WIDE) as page:
        page.goto("/")
        expect(page.get_by_role("heading", name="Group 0")).to_be_visible()
        expect(page.get_by_text("their pictures are not part of it")).to_be_visible()
        choose(page, SAMPLES / "statue.jpg")
        card = answered(page)
        expect(card.locator(".verdict")).to_have_text(re.compile(r"Between groups \d and \d"))
        expect(card.get_by_role("img", name=re.compile("Of what the two share"))).to_be_visible()
        expect(card.locator("tbody tr")).to_have_count(9)
        nearest = page.locator(".group", has=page.get_by_role("heading", name="Nearest works")).locator("li")
        expect(nearest).to_have_count(8)
        name = nearest.first.locator("span.small").first.inner_text()
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / name).write_bytes((SAMPLES / "relief.jpg").read_bytes())
        page.get_by_label("Folder of pictures").set_input_files(str(tmp_path))
        expect(nearest.first.get_by_alt_text(name)).to_have_js_property("naturalWidth", 512)
        sample(page, "relief")
        expect(card.locator(".verdict")).to_have_text(re.compile(r"Group \d"), timeout=60_000)


def test_embed_latent_walks_the_plane(browser: Browser, shipped: dict[str, Served], tmp_path: Path) -> None:
    with opened(browser, origin(shipped["embed_latent"]), **WIDE) as page:
        page.goto("/")
        plane = page.get_by_role("application")
        expect(plane.locator(".mark")).to_have_count(len(shipped["embed_latent"].get("http", "/v1/space")["points"]))
        expect(plane.locator(".ring")).to_have_count(3)
        sample(page, "figurine")
        card = answered(page)
        expect(card.locator(".verdict strong")).to_have_text(re.compile(r"^\(.+, .+\)$"))
        expect(plane.locator(".own")).to_be_visible()
        figurine = page.get_by_alt_text(re.compile("^What the decoder draws at"))
        expect(figurine).to_have_js_property("complete", True)
        first = figurine.get_attribute("src")
        box = plane.bounding_box()
        assert box
        for step in range(6):
            page.mouse.move(box["x"] + box["width"] * (0.3 + 0.05 * step), box["y"] + box["height"] * 0.6)
        expect(figurine).not_to_have_attribute("src", first or "")
        plane.locator(".own").wait_for()
        where = page.locator("[data-here]").inner_text()
        assert where != card.locator(".verdict strong").inner_text()
        plane.focus()
        plane.press("ArrowLeft")
        expect(page.locator("[data-here]")).not_to_have_text(where)
        page.get_by_text("The request that draws it", exact=True).click()
        command = page.get_by_label("The request that draws it, as a curl command").inner_text()
        output_of(tmp_path, "bash", "-c", command)
        with Image.open(tmp_path / "point.png") as drawn:
            assert figurine.evaluate("image => [image.naturalWidth, image.naturalHeight]") == list(drawn.size)
        page.mouse.move(box["x"] + 2, box["y"] + 2)  # beyond what is decoded: the nearest place that is
        expect(page.get_by_role("alert")).to_have_count(0)
        page.get_by_role("button", name="Chupicuaro").click()
        expect(plane.locator(".mark.g1")).to_have_count(0)
        page.get_by_role("button", name="Back to the photograph").click()
        expect(page.locator("[data-here]")).to_have_text(card.locator(".verdict strong").inner_text())


def test_a_key_is_asked_for_and_stays_in_the_tab(browser: Browser, serve: Callable[..., Served]) -> None:
    served = serve("classify", api_key=KEY, timeout_seconds=150).until_ready()
    with opened(browser, origin(served), "401", **WIDE) as page:
        page.goto("/")
        asked = page.get_by_label("This service asks for a key:")
        asked.fill("another key of many characters")
        asked.press("Enter")
        again = page.get_by_label("The service does not know this key.")
        again.fill(KEY)
        again.press("Enter")
        expect(again).to_have_count(0)
        choose(page, SAMPLES / "bust.jpg")
        expect(answered(page).locator(".verdict")).to_be_visible()
        command = shown(page, "curl")
        assert KEY not in command and "x-api-key: $MAQUETTE_KEY" in command
        page.goto("/docs")
        page.get_by_role("button", name="Send").first.click()
        expect(page.locator("[data-status]")).to_have_text("200")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        other = page.context.new_page()
        other.goto("/")
        expect(other.get_by_label("This service asks for a key:")).to_be_visible()


def test_all_of_it_by_keyboard_alone(browser: Browser, shipped: dict[str, Served]) -> None:
    def tab_to(page: Page, selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{selector} has no ring"
                return
        raise AssertionError(f"{selector} is not reached")

    with opened(browser, origin(shipped["remove_background"]), **WIDE) as page:
        page.goto("/")
        tab_to(page, "button.first")
        files = page.locator("input[type=file]")
        files.evaluate("files => files.addEventListener('click', (event) => { event.preventDefault(); files.name = 'asked'; })")
        page.keyboard.press("Enter")
        expect(files).to_have_attribute("name", "asked")
        tab_to(page, "button:has(img[alt=bust])")
        page.keyboard.press("Enter")
        answered(page)
        coverage = page.locator(".verdict strong").inner_text()
        page.locator("a.name").focus()
        tab_to(page, "input[type=range]")
        page.keyboard.press("ArrowRight")
        assert page.locator("input[type=range]").input_value() == "51"
        tab_to(page, "button[aria-pressed=false]")
        page.keyboard.press("Enter")
        page.locator("a.name").focus()
        tab_to(page, "canvas")
        for key in ("1", "+", "-", "0", "ArrowUp", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowLeft", "Enter"):
            page.keyboard.press(key)
        expect(page.locator(".verdict strong")).not_to_have_text(coverage, timeout=60_000)
        tab_to(page, "[role=tab]")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Python")).to_be_focused()
        expect(page.get_by_role("tabpanel")).to_contain_text("import httpx")
