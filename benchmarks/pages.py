"""From the drop of a photograph on a page until its answer is seen, beside the request alone; and pictures of the pages.

    python -m benchmarks.pages                              a table: milliseconds, medians
    python -m benchmarks.pages --screenshots docs/pages     also the pictures that the documentation shows

Debian's Chromium without a GPU, the shipped models, one photograph at a time. *Seen* is when the verdict stands there and the
pictures that belong to it are drawn; *request* is the same form sent by the same page, until its JSON is parsed.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from playwright.sync_api import Browser, Page

from services.common import settings
from tests.browser import chromium, opened
from tests.serving import KINDS, Served

SAMPLES = settings.ROOT / "samples"
# The sample that is shown of each service, and what is there when its answer is drawn.
SHOWN = {
    "classify": ("statue", ".answer[aria-busy=false] .verdict", ".stage .frame > img"),
    "cluster_assign": ("statue", ".answer[aria-busy=false] .verdict", ".between"),
    "embed_latent": ("figurine", ".answer[aria-busy=false] .verdict", ".plane .own"),
    "remove_background": ("statue", ".answer[aria-busy=false] .verdict", ".download .row:last-child button:enabled"),
}
_DROP = """async ([address, selectors]) => {
    const file = new File([await (await fetch(address)).blob()], `${Math.random()}.jpg`, { type: "image/jpeg" });
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    const started = performance.now();
    document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
    const there = () => document.querySelector("[aria-label='As a curl command']")?.innerText.includes(file.name)
        && selectors.every((selector) => document.querySelector(selector))
        && [...document.images].every((image) => image.complete);
    while (!there()) {
        await new Promise(requestAnimationFrame);
        if (performance.now() - started > 120000) throw new Error("no answer is seen");
    }
    return performance.now() - started;
}"""
_ASK = """async ([address, path, fields]) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set("image", await (await fetch(address)).blob(), "a.jpg");
    const started = performance.now();
    await (await fetch(path, { method: "POST", body: form })).json();
    return performance.now() - started;
}"""
FIELDS: dict[str, dict[str, str]] = {
    "classify": {"top_k": "8", "explain": "true"},
    "cluster_assign": {"neighbours": "8"},
    "embed_latent": {},
    "remove_background": {"frame": "display"},
}


def main(
    screenshots: Annotated[Path | None, typer.Option(help="folder for pictures of the pages")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="drops of each photograph")] = 9,
) -> None:
    """Print a Markdown table, and write pictures where ``screenshots`` says."""
    environment = {"MAQUETTE_MODELS": str(settings.ROOT / "exported_models"), "MAQUETTE_TIMEOUT_SECONDS": "150"}
    load = os.getloadavg()[0]
    print("| page | photograph | seen, ms | request, ms | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        for name in KINDS:
            served = Served(name, Path(home), environment).until_ready()
            try:
                for what, photograph in (("640 x 640", (SAMPLES / "statue.jpg").read_bytes()), ("12 MP", _large())):
                    seen, alone = _timed(browser, served, photograph, rounds)
                    print(f"| {name} | {what} | {seen:.0f} | {alone:.0f} | {seen / alone:.2f} |", flush=True)
                if screenshots:
                    _pictured(browser, served, screenshots)
            finally:
                served.stop()
    print(f"\nLoad before: {load:.1f}, after: {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores.")


def _timed(browser: Browser, served: Served, photograph: bytes, rounds: int) -> tuple[float, float]:
    with opened(browser, _origin(served), viewport={"width": 1440, "height": 900}) as page:
        page.route("**/measured.jpg", lambda route: route.fulfill(body=photograph, content_type="image/jpeg"))
        page.goto("/")
        asked = ["measured.jpg", served.kind.noun, FIELDS[served.kind.name]]
        page.evaluate(_ASK, asked)
        pairs = []
        for _ in range(rounds):
            seen = page.evaluate(_DROP, ["measured.jpg", SHOWN[served.kind.name][1:]])
            pairs.append((seen, page.evaluate(_ASK, asked)))
    seen, alone = (statistics.median(times) for times in zip(*pairs, strict=True))
    return seen, alone


def _pictured(browser: Browser, served: Served, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = served.kind.name
    with opened(browser, _origin(served), viewport={"width": 1440, "height": 900}) as page:
        page.goto("/")
        _answered(page, name)
        _save(page, folder / f"{name}.webp")
        if name == "remove_background":
            page.goto("/docs")
            page.get_by_role("button", name="Send").first.wait_for()
            _save(page, folder / "docs.webp")
    if name == "embed_latent":
        options: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2}
        with opened(browser, _origin(served), **options) as page:
            page.goto("/")
            _answered(page, name)
            page.locator(".plane").scroll_into_view_if_needed()
            page.locator("#plane").evaluate("heading => heading.scrollIntoView()")
            _save(page, folder / "phone-dark.webp")


def _answered(page: Page, name: str) -> None:
    sample, *there = SHOWN[name]
    page.get_by_role("button", name=sample, exact=True).click()
    for selector in there:
        page.locator(selector).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)


def _save(page: Page, path: Path) -> None:
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=80, method=6)


def _origin(served: Served) -> str:
    return str(served.http.base_url).rstrip("/")


def _large() -> bytes:
    """A sample at 4000 x 3000 with noise, so that it is as much work as a camera's."""
    with Image.open(SAMPLES / "statue.jpg") as statue:
        pixels = np.asarray(statue.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
    noisy = pixels + np.random.default_rng(0).integers(-8, 9, pixels.shape, np.int16)
    stream = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=88)
    return stream.getvalue()


if __name__ == "__main__":
    typer.run(main)
