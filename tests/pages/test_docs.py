"""`/docs` of every service: each form is answered at the first press, and every parameter stands in it once."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import opened
from tests.pages.conftest import origin
from tests.serving import KINDS, Served


@pytest.mark.parametrize("name", KINDS)
def test_every_form_is_answered_at_the_first_press(browser: Browser, running: dict[str, Served], name: str) -> None:
    document = running[name].http.get("/docs.json").json()
    with opened(browser, origin(running[name]), viewport={"width": 1440, "height": 900}) as page:
        page.goto("/docs")
        cards = page.locator("details.operation")
        expect(cards).to_have_count(sum(len(methods) for methods in document["paths"].values()))
        for card in cards.all():
            if card.get_attribute("open") is None:
                card.locator("summary").click()
            labels = card.locator(".field > label, label.field > code").all_inner_texts()
            assert len(labels) == len(set(labels)), "every parameter once"
            card.get_by_role("button", name="Send").click()
            expect(card.locator("[data-status]"), card.locator("summary").inner_text()).to_have_text("200", timeout=60_000)


def test_what_is_written_is_sent_and_a_refusal_is_shown(browser: Browser, running: dict[str, Served]) -> None:
    with opened(browser, origin(running["classify"]), "422", viewport={"width": 1440, "height": 900}) as page:
        page.goto("/docs")
        card = page.locator("#classify")
        card.get_by_label("top_k").fill("1")
        card.get_by_label("explain").select_option("true")
        assert "top_k=1&explain=true" in card.get_by_label("As a curl command").inner_text()
        card.get_by_role("button", name="Send").click()
        answer = card.get_by_label("The answer", exact=True)
        expect(answer).to_contain_text("characters)", timeout=60_000)
        told = json.loads(answer.inner_text())
        assert len(told["predictions"]) == 1
        card.get_by_label("top_k").fill("99")
        card.get_by_role("button", name="Send").click()
        expect(card.locator("[data-status]")).to_have_text("422")
        expect(answer).to_contain_text("PARAMETER_INVALID")
    with opened(browser, origin(running["remove_background"]), viewport={"width": 1440, "height": 900}) as page:
        page.goto("/docs#removeBackground")
        card = page.locator("#removeBackground")
        card.get_by_label("accept").select_option("image/png")
        card.get_by_role("button", name="Send").click()
        expect(card.get_by_alt_text("The picture that the service answered")).to_have_js_property("naturalWidth", 640)
