"""Files by the hundred over both transports: an answer or a typed refusal, the same from both, and the process lives."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from tests.files import encode
from tests.hostile.callers.both import at_once, outcome
from tests.hostile.files import png
from tests.hostile.files.mutants import mutants, valid
from tests.hostile.watch.pod import MEBIBYTE, Pod, scaled
from tests.hostile.watch.table import watched
from tests.serving import ROOT

DATA = ROOT.parent / "shared" / "data" / "hostile"
CODES = {
    "OK",
    "IMAGE_MISSING",
    "IMAGE_UNDECODABLE",
    "IMAGE_TRUNCATED",
    "IMAGE_FORMAT_UNSUPPORTED",
    "IMAGE_TOO_MANY_BYTES",
    "IMAGE_TOO_MANY_PIXELS",
}
MUTANTS = scaled(500, 10_000)


def judge(pod: Pod, files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Each file over both transports; the code by name."""

    def one(name: str, data: bytes) -> tuple[str, str]:
        over_http, over_grpc = outcome(pod, "http", data), outcome(pod, "grpc", data)
        assert over_http == over_grpc, f"{name}: {over_http[0]} over HTTP, {over_grpc[0]} over gRPC"
        assert over_http[0] in CODES, f"{name}: {over_http[0]}"
        return name, over_http[0]

    tasks: list[Callable[[], tuple[str, str]]] = [lambda name=name, data=data: one(name, data) for name, data in files]
    return dict(at_once(tasks, 4))


@pytest.fixture
def wide(pods: Callable[..., Pod], bundles: Path) -> Pod:
    """Headers that lie about the size make large pictures of small files; here they stop at twelve megapixels. A small model,
    so that the time goes to the files.
    """
    return pods(models=bundles, max_megapixels=12, megapixels_in_flight=60)


def test_mutants(wide: Pod) -> None:
    """Of small valid files of every format, from a fixed seed."""
    peak = wide.busy + 400 * MEBIBYTE
    with watched(wide, f"{MUTANTS:,} mutants of {len(valid())} valid files, both transports", "none died", peak=peak):
        codes = judge(wide, mutants(MUTANTS, seed=20_260_101))
    assert len(codes) == MUTANTS
    assert {"OK", "IMAGE_UNDECODABLE", "IMAGE_TRUNCATED", "IMAGE_TOO_MANY_PIXELS"} <= set(codes.values())


def test_valid_files_are_answered(pod: Pod) -> None:
    """The files that mutants are made of, and every valid kind of PNG."""
    codes = judge(pod, [*valid().items(), *png.every_valid_kind()])
    # CIE L*a*b* and 1-bit fax are TIFFs that a scanner may send.
    assert {name for name, code in codes.items() if code != "OK"} == set()


def test_interlacing_changes_nothing(pod: Pod) -> None:
    """The same pixels in rows and in seven passes have one answer, and that of what Pillow makes of them."""
    for colour, depths in png.DEPTHS.items():
        for bits in depths:
            in_rows, in_passes = (png.valid(colour, bits, interlaced=interlaced) for interlaced in (False, True))
            assert outcome(pod, "http", in_rows) == outcome(pod, "grpc", in_passes), (colour, bits)


def test_the_cutout_of_a_valid_file_has_its_pixels(pod: Pod) -> None:
    """So that "answered" above means read, and not guessed: the colours of the cut-out are those of the file."""
    data = png.valid(2, 8, interlaced=True)
    _, picture = outcome(pod, "http", data, output="cutout")
    assert Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").tobytes() == Image.open(io.BytesIO(data)).tobytes()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "I;16", "I", "F", "1", "LA", "PA", "RGBX"])
def test_odd_modes(pod: Pod, mode: str) -> None:
    """Every mode that a format of the allow-list can hold."""
    picture = Image.linear_gradient("L").resize((64, 48))
    converted = picture.convert(mode) if mode in ("I;16", "1", "I", "F") else picture.convert("RGB").convert(mode)
    refused = {"F": "IMAGE_FORMAT_UNSUPPORTED"}
    assert judge(pod, [(mode, encode(converted, "TIFF"))]) == {mode: refused.get(mode, "OK")}


@pytest.mark.parametrize("folder", ["imgproxy", "libpng_all", "pillow", "pillow-test-images", "pngsuite"])
def test_corpora(wide: Pod, folder: str) -> None:
    """Broken files of other projects' tests."""
    where = DATA / folder
    if not where.is_dir():
        pytest.skip(f"the corpus is not on this machine: {folder} is looked for in shared/data/hostile beside the clone")
    files = {path.name: path.read_bytes() for path in sorted(Path(where).iterdir()) if path.is_file()}
    assert files
    with watched(wide, f"{len(files)} files of {folder}", "none died", peak=wide.busy + 400 * MEBIBYTE):
        assert len(judge(wide, files.items())) == len(files)
