"""How fluently `maquette review` scrolls 2,000 photographs, and looks at one of 50 megapixels, in Debian's Chromium.

python -m benchmarks.review --photographs 2000

Frames a second beside what the same browser reaches in the same run on a page that only scrolls coloured boxes: its limit on
this machine. Chromium draws without a graphics card here, as it is started by the tests.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from playwright.sync_api import Page, sync_playwright

_ROOT = Path(__file__).parents[1]
_SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu")
_WINDOW = {"width": 1440, "height": 900}
# Scrolls by so many pixels a frame and answers the milliseconds between frames.
_SCROLL = """([selector, seconds, step]) => new Promise((done) => {
  const box = document.querySelector(selector), gaps = [];
  let last = 0, direction = 1, start = 0;
  const frame = (now) => {
    if (last) gaps.push(now - last); else start = now;
    last = now;
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) direction = -1;
    if (box.scrollTop <= 0) direction = 1;
    box.scrollTop += direction * step;
    now - start < seconds * 1000 ? requestAnimationFrame(frame) : done(gaps);
  };
  requestAnimationFrame(frame);
})"""
_GAPS = """(seconds) => new Promise((done) => {
  const gaps = [];
  let last = 0, start = 0;
  const frame = (now) => {
    if (last) gaps.push(now - last); else start = now;
    last = now;
    now - start < seconds * 1000 ? requestAnimationFrame(frame) : done(gaps);
  };
  requestAnimationFrame(frame);
})"""
_BOXES = """() => {
  const box = document.createElement("div");
  box.id = "limit";
  box.style.cssText = "position: fixed; inset: 0; overflow-y: scroll";
  for (let i = 0; i < 250; i += 1) {
    const row = document.createElement("div");
    row.style.cssText = `height: 200px; background: hsl(${i * 37} 40% 60%)`;
    box.append(row);
  }
  document.body.replaceChildren(box);
}"""


def photographs(folder: Path, count: int, seed: int = 0) -> None:
    """Small JPEGs that differ, each with a mask beside it, and one of 50 megapixels, which comes first."""
    random = np.random.default_rng(seed)
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (8, 12, 3), dtype=np.uint8)).resize(
            (900, 600), Image.Resampling.BICUBIC
        )
        small.save(folder / "photos" / f"{number:05}.jpg", quality=80)
        mask = Image.new("L", small.size)
        mask.paste(255, (200 + number % 50, 100, 700, 500))
        mask.save(folder / "masks" / f"{number:05}.jpg.png")
    large = Image.fromarray(random.integers(0, 256, (700, 1000, 3), dtype=np.uint8)).resize(
        (8660, 5774), Image.Resampling.BICUBIC
    )
    large.save(folder / "photos" / "50-megapixels.jpg", quality=88)
    mask = Image.new("L", large.size)
    mask.paste(255, (2000, 1000, 7000, 5000))
    mask.save(folder / "masks" / "50-megapixels.jpg.png")


def summary(gaps: list[float]) -> dict[str, float]:
    """Frames a second, the 99th percentile of the time between two, and the longest, in milliseconds."""
    return {
        "frames_a_second": round(1000 / statistics.fmean(gaps), 1),
        "p99_ms": round(sorted(gaps)[int(len(gaps) * 0.99)], 1),
        "longest_ms": round(max(gaps), 1),
    }


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "maquette", "review", "photos", "-o", "masks", "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"http://\S+", line):
            return process, found[0]
    raise SystemExit("maquette review did not start")


def tiles(page: Page) -> None:
    """All tiles that the view asks for are there."""
    page.wait_for_timeout(300)
    page.wait_for_load_state("networkidle")


def measured(page: Page, address: str, seconds: float) -> dict[str, Any]:
    page.goto("about:blank")
    page.evaluate(_BOXES)
    limit = summary(page.evaluate(_SCROLL, ["#limit", seconds, 60]))
    started = time.monotonic()
    page.goto(address)
    page.locator(".cell img").first.wait_for()
    shown = time.monotonic() - started
    page.locator(".progress").wait_for(state="detached", timeout=600_000)
    looked = time.monotonic() - started
    page.wait_for_timeout(1000)
    first = summary(page.evaluate(_SCROLL, [".grid", seconds, 60]))
    page.evaluate("document.querySelector('.grid').scrollTop = 0")
    page.wait_for_timeout(500)
    again = summary(page.evaluate(_SCROLL, [".grid", seconds, 60]))
    cells = page.locator(".cell").count()
    page.evaluate("document.querySelector('.grid').scrollTop = 0")
    page.get_by_role("listbox").focus()
    page.keyboard.press("Home")
    while "50-mega" not in page.locator("[aria-selected=true]").get_attribute("aria-label", timeout=5000):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator(".stage canvas").first.wait_for()
    tiles(page)
    stage = page.get_by_role("application")
    stage.focus()
    zooming: list[float] = []
    for key in ("+", "+", "+", "ArrowRight", "ArrowDown", "+", "+", "ArrowLeft", "-", "-", "Home"):
        page.keyboard.press(key)
        zooming += page.evaluate(_GAPS, 0.5)
    return {
        "limit": limit,
        "grid_while_thumbnails_are_new": first,
        "grid": again,
        "share_of_the_limit": round(again["frames_a_second"] / limit["frames_a_second"], 2),
        "cells_in_the_document": cells,
        "seconds_to_first_thumbnail": round(shown, 1),
        "seconds_until_all_are_measured": round(looked, 1),
        "zoom_and_pan_of_50_megapixels": summary(zooming),
    }


def main(
    count: Annotated[int, typer.Option("--photographs", help="how many")] = 2000,
    seconds: Annotated[float, typer.Option(help="of scrolling, each time")] = 8,
) -> None:
    """Print what was measured as JSON."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        photographs(folder, count)
        process, address = start(folder)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_SWITCHES))
        try:
            found = measured(browser.new_page(viewport=_WINDOW), address, seconds)
        finally:
            browser.close()
            process.terminate()
            process.communicate()
        typer.echo(json.dumps({"photographs": count + 1, "seed": 0, **found}, indent=2))


if __name__ == "__main__":
    typer.run(main)
