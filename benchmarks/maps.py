"""How fluently a map of many works moves in Chromium: ``python -m benchmarks.maps --works 100000``.

Works are made: a mixture of nine Gaussians in the plane, and plain tiles as pictures. Chromium draws without a GPU
(SwiftShader): after the first slow frames a part of the works is drawn while the map moves, and all of them once it rests.
Beside it stands what the same browser draws of an empty page in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page as Tab

from maquette.folders.photographs import Photograph
from maquette.maps import html
from maquette.maps.html import Column, Page, Section
from maquette.maps.projection import Layout
from tests.browser import chromium

# Moves the map with the pointer, a step in each animation frame, for some seconds; how many frames were drawn in it.
_PAN = """async seconds => {
  const root = document.documentElement, surface = document.getElementById("surface"), start = performance.now();
  const say = (kind, x) => surface?.dispatchEvent(
    new PointerEvent(kind, {pointerId: 1, clientX: x, clientY: 400, bubbles: true}));
  if (surface) surface.setPointerCapture = () => {};
  say("pointerdown", 500);
  let frames = 0; const before = root.frames ?? 0;
  while (performance.now() - start < seconds * 1000) {
    await new Promise(requestAnimationFrame);
    say("pointermove", 500 + 200 * Math.sin(frames++ / 10));
  }
  say("pointerup", 500);
  return [frames, (root.frames ?? 0) - before, (performance.now() - start) / 1000];
}"""


def made(folder: Path, works: int) -> Path:
    """A map of ``works`` works, whose pictures are hundred files that take turns."""
    random = np.random.default_rng(0)
    files = []
    for number in range(100):
        path = folder / f"{number}.jpg"
        Image.new("RGB", (96, 64 + number % 60), tuple(random.integers(0, 255, 3).tolist())).save(path)
        files.append(path)
    group = random.integers(0, 9, works)
    centres = random.normal(0, 4, (9, 2))
    points = (centres[group] + random.normal(0, 1, (works, 2))).astype(np.float32)
    page = Page(
        "A large collection",
        f"{works:,} made works.",
        [Photograph(files[n % 100], folder) for n in range(works)],
        [f"work {n}" for n in range(works)],
        [Layout("Plane", points, "Made.", ("x", "y"))],
        [
            Column("group", "category", [f"Group {one}" for one in group]),
            Column("q", "number", random.random(works).tolist()),
        ],
        [Section("How this was made", "facts", [("seed", "0")])],
        views=[[] for _ in range(works)],
    )
    html.write(folder / "map.html", page)
    return folder / "map.html"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--screenshot", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = made(Path(folder), given.works)
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        empty = rate(tab, given.seconds)
        start = time.perf_counter()
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready=yes]", timeout=120_000)
        opened = time.perf_counter() - start
        tab.wait_for_timeout(4000)
        pictures = rate(tab, given.seconds)
        if given.screenshot:
            tab.screenshot(path=given.screenshot)
        tab.locator("#size").fill("0")
        tab.wait_for_timeout(1000)
        marks = rate(tab, given.seconds)
        result = {
            "works": given.works,
            "file, MB": round(path.stat().st_size / 1e6, 1),
            "opened after, s": round(opened, 1),
            "frames a second": {"empty page": empty[0], "marks alone": marks[1], "marks and pictures": pictures[1]},
        }
        print(json.dumps(result, indent=1))


def rate(tab: Tab, seconds: float) -> tuple[float, float]:
    """Animation frames, and frames that deck.gl drew, a second."""
    frames, drawn, took = tab.evaluate(_PAN, seconds)
    return round(frames / took, 1), round(drawn / took, 1)


if __name__ == "__main__":
    main()
