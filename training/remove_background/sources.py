"""Folders -> arrays of pictures and masks, decoded once and kept on disk; whole scans and photographs set aside."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from services.common import errors, images
from training.common import photographs, runs

# Pictures are kept at this side: a training crop of 256 pixels can zoom in a little without inventing pixels.
SIDE = 320


class DataError(Exception):
    """The data cannot be used; the message names the file or folder and says why."""


@dataclass(frozen=True)
class Source:
    """Pictures uint8 [n, side, side, 3], masks uint8 [n, side, side] (255 = object), and a name and a group for each.

    Pictures of one group (a scan, say) are never on both sides of a split.
    """

    pixels: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def only(self, keep: Callable[[str, str], bool]) -> Source:
        """Those whose (name, group) ``keep`` accepts."""
        picks = [i for i, pair in enumerate(zip(self.names, self.groups, strict=True)) if keep(*pair)]
        names, groups = (tuple(values[i] for i in picks) for values in (self.names, self.groups))
        return Source(self.pixels[picks], self.masks[picks], names, groups)


def pairs(folder: Path, masks: Path | None = None, side: int = SIDE, cache: Path | None = None) -> Source:
    """``folder/images/NAME.*`` with ``folder/masks/NAME.png``, or photographs in ``folder`` with their masks in ``masks``.

    From 128 up a mask's pixel is object; 8-bit doubt is kept. A mask may be called ``NAME.png`` or ``NAME.jpg.png``.
    Raises :class:`DataError` for a folder without masks, a picture without its mask, and a mask of another size.
    """
    pictures, masks = (folder, masks) if masks else (folder / "images", folder / "masks")
    found = photographs.find(pictures)
    by_name = {name: path for path in photographs.find(masks) for name in (path.stem, Path(path.stem).stem)}
    if not found or not by_name:
        raise DataError(f"{folder}: holds no photographs with masks of the same names ({pictures.name}/ and {masks.name}/)")
    lonely = [path for path in found if path.stem not in by_name]
    if lonely:
        raise DataError(f"{lonely[0]}: has no mask {masks / lonely[0].stem}.png ({len(lonely)} such)")
    return _load([(path, by_name[path.stem], path.stem, path.stem) for path in found], side, cache)


def renders(folder: Path, side: int = SIDE, cache: Path | None = None) -> Source:
    """What ``python -m training.render photos`` wrote.

    The group is its ``scan``: several joined with ``+``, "" for an empty scene.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: missing; make pictures with `python -m training.render photos`")
    with index.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    # A render that is still going on lists a picture only when it is whole.
    return _load(
        [(folder / row["file"], folder / row["mask"], Path(row["file"]).stem, row["scan"]) for row in rows], side, cache
    )


def empty(folder: Path, side: int = SIDE, cache: Path | None = None) -> Source:
    """Scenes that show no object: every photograph below ``folder``, with a mask of nothing."""
    found = photographs.find(folder)
    if not found:
        raise DataError(f"{folder}: holds no photographs")
    return _load([(path, None, path.stem, path.stem) for path in found], side, cache)


def cutouts(folder: Path) -> list[np.ndarray]:
    """Every picture with transparency below ``folder`` as uint8 RGBA [h, w, 4], as it is."""
    found = []
    for path in photographs.find(folder):
        with Image.open(path) as image:
            if image.mode == "RGBA":
                found.append(np.asarray(image))
    if not found:
        raise DataError(f"{folder}: holds no pictures with transparency")
    return found


def painted_out(every: Source, most: float, cache: Path | None = None) -> Source:
    """The pictures whose object fills no more than the share ``most``, with it painted over (Telea 2004) and masks of nothing:
    what is left is the very surroundings in which the network must not see an object."""
    chosen = {name for name, mask in zip(every.names, every.masks, strict=True) if 0 < (mask > 127).mean() <= most}
    small = every.only(lambda name, _: name in chosen)
    key = hashlib.sha256(repr((small.names, small.pixels.shape, most)).encode()).hexdigest()[:16]
    kept = cache / f"painted-{key}.npy" if cache else None
    if kept is not None and kept.exists():
        pixels = np.load(kept, mmap_mode="r")
    else:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
        pixels = np.array(
            [
                cv2.inpaint(np.ascontiguousarray(picture), cv2.dilate((mask > 12).astype(np.uint8), disc), 4, cv2.INPAINT_TELEA)
                for picture, mask in zip(small.pixels, small.masks, strict=True)
            ],
            np.uint8,
        ).reshape(small.pixels.shape)
        if kept is not None:
            with runs.whole(kept) as temporary:
                np.save(temporary, pixels)
    return Source(pixels, np.zeros_like(small.masks), small.names, small.groups)


def join(parts: Sequence[Source]) -> Source:
    """All of them, in their order."""
    return Source(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.masks for part in parts]),
        tuple(name for part in parts for name in part.names),
        tuple(group for part in parts for group in part.groups),
    )


def _load(rows: Sequence[tuple[Path, Path | None, str, str]], side: int, cache: Path | None) -> Source:
    names, groups = tuple(row[2] for row in rows), tuple(row[3] for row in rows)
    key = hashlib.sha256(repr((side, [(str(a), str(b), a.stat().st_size) for a, b, _, _ in rows])).encode()).hexdigest()[:16]
    kept = cache / f"{key}.npy" if cache else None
    if kept is not None and kept.exists():
        both = np.load(kept, mmap_mode="r")
        return Source(both[..., :3], both[..., 3], names, groups)
    both = np.zeros((len(rows), side, side, 4), np.uint8)
    for i, (picture, mask, _, _) in enumerate(tqdm(rows, desc="reading", unit="picture", disable=None)):
        both[i, ..., :3], both[i, ..., 3] = _read(picture, mask, side)
    if kept is not None:
        with runs.whole(kept) as temporary:
            np.save(temporary, both)
    return Source(both[..., :3], both[..., 3], names, groups)


def _read(picture: Path, mask: Path | None, side: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        decoded = images.decode(picture.read_bytes(), images.Limits(), images.Frame.DISPLAY, shrink_to=2 * side)
    except errors.MaquetteError as error:
        raise DataError(f"{picture}: {error.detail}") from error
    pixels = images.resize(decoded.pixels, (side, side), images.ResizeRule.SQUASH)
    if mask is None:
        return pixels, np.zeros((side, side), np.uint8)
    with Image.open(mask) as image:
        if image.size != (decoded.width, decoded.height):
            raise DataError(
                f"{mask}: is {image.width} x {image.height} pixels, but its picture is {decoded.width} x {decoded.height}"
            )
        return pixels, np.asarray(image.convert("L").resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0))
