"""Debian's Chromium, what may not happen in it, and what axe-core finds on a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "these tests need Debian's package chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_SWITCHES))
        yield launched
        launched.close()


@contextmanager
def opened(browser: Browser, origin: str, ignored: str = "\0", **options: Any) -> Iterator[Page]:
    """A page of ``origin``; what it logs as an error, what it raises and what it asks of others is an error at the end.

    ``ignored``: a part of the console's lines that a test provokes itself, such as a status.
    """
    # Without motion colours change at once, and axe-core does not look while they do.
    context = browser.new_context(base_url=origin, accept_downloads=True, reduced_motion="reduce", **options)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda asked: trouble.append(asked.url) if not asked.url.startswith((origin, "blob:")) else None)
    yield page
    context.close()
    assert [line for line in trouble if ignored not in line] == []


def findings(page: Page) -> list[str]:
    """What axe-core has to say, a line for each place."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
