"""Every page at the widths that people have, in the dark, and printed; axe-core finds nothing on any."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import findings, opened
from tests.pages.conftest import origin
from tests.serving import KINDS, Served

PLACES = [*((name, "/") for name in KINDS), ("remove_background", "/docs")]


def filled(page: Page, path: str) -> None:
    page.goto(path)
    if path == "/":
        page.locator(".samples button").first.click()
        expect(page.locator(".answer .verdict")).to_be_visible(timeout=60_000)
        expect(page.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=60_000)
    else:
        page.get_by_role("button", name="Send").first.click()
        expect(page.locator("[data-status]")).to_have_text("200", timeout=60_000)


@pytest.mark.parametrize(("name", "path"), PLACES)
def test_at_three_widths_in_the_dark_and_on_paper(browser: Browser, shipped: dict[str, Served], name: str, path: str) -> None:
    with opened(browser, origin(shipped[name]), viewport={"width": 1440, "height": 900}, color_scheme="light") as page:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert findings(page) == [], "before anything was asked"
        filled(page, path)
        for width in (1440, 820, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{width} px are too few"
            assert width == 820 or findings(page) == [], width
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 21, 19)"
        assert findings(page) == [], "in the dark"
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        expect(page.locator("button.first").first).to_be_hidden()
        expect(page.locator(".answer .verdict, .operation summary").first).to_be_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("name", KINDS)
def test_pages_are_open_strict_and_asked_for_again_only_when_they_changed(running: dict[str, Served], name: str) -> None:
    http = running[name].http
    for path in ("/", "/docs", "/assets/base.css", "/samples/statue.jpg"):
        page = http.get(path)
        assert page.status_code == 200, path
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert http.get(path, headers={"if-none-match": page.headers["etag"]}).status_code == 304
        assert http.post(path).status_code == 405
    assert http.get("/samples/../pyproject.toml").status_code == 404
    assert http.get("/samples/README.md").status_code == 404
