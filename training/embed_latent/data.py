"""Photographs of figurines with their group, their object and the confounder that came with them, split by object.

A table ``labels.csv`` lies in the data folder: ``file`` (relative to it) and ``label`` (the group) are required; ``source``
(who took the photograph) and ``original_name`` (from which the object is read) are used where present.
"""

from __future__ import annotations

import csv
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from services.common import images, models
from services.embed_latent.predictor import Masker
from training.common import photographs, runs
from training.embed_latent import background

SIDE = 224  # pixels; what the trunk was trained at, so what is served


class DataError(Exception):
    """The data cannot be used; the message names the file, the group or the column and says what is wrong."""


@dataclass(frozen=True)
class Works:
    """``n`` photographs: ``pixels`` uint8 [n, side, side, 3] letterboxed on white, ``masks`` bool [n, side, side] (figure), and
    one string each of ``files``, ``groups``, ``sources`` and ``objects`` (views of one object share its name).
    """

    pixels: np.ndarray
    masks: np.ndarray
    files: np.ndarray
    groups: np.ndarray
    sources: np.ndarray
    objects: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    @property
    def names(self) -> list[str]:
        """The groups' names, sorted."""
        return sorted(set(self.groups.tolist()))

    @property
    def labels(self) -> np.ndarray:
        """int64 [n], indices into :attr:`names`."""
        return np.searchsorted(self.names, self.groups)

    def take(self, index: np.ndarray) -> Works:
        """The works at ``index`` (integers or booleans)."""
        return replace(self, **{field: getattr(self, field)[index] for field in self.__dataclass_fields__})


# What a museum appends to an object's name for another view or another copy of the file.
_COPY = re.compile(
    r"[ _]*\((\d+( of |_of_)\d+|\d+|alpha)\)|_(web|o6|n\d|a|b|back|side|front|ver\d|sharp|recto)(?=[_.]|$)|-(web|md)$"
)
_VIEW = re.compile(r"_(fnt|bck|3qtr(rt|lft)?|side|prof)\w*$")
_ACCESSION = re.compile(r"(?<!\d)((?:19|20)\d\d\.\d+(?:\.\d+)*|\d{2}[.-]\d{3,5}|[a-z]{1,2}\d*\.\d+\.\d+(?:\.\d+)*|walters_\d+)")


def object_name(original: str) -> str:
    """A file's original name -> the name that all views of its object share, e.g. ``PS1_TL.2009.20.136_3QtrRt_DD_T10.jpg`` and
    ``PS1_TL.2009.20.136_Fnt_DD_T10(1).jpg`` -> ``2009.20.136``. The accession number where there is one, else the cleaned stem.
    """
    stem = Path(original).stem.lower().strip()
    if number := _ACCESSION.search(stem):
        return number.group(1).replace("-", ".")
    before = ""
    while before != stem:
        before, stem = stem, _VIEW.sub("", _COPY.sub("", stem)).strip(" _-")
    # "figureonstool2-Met" is a second view of "figureonstool-Met"; long digit runs are dates and record numbers, and stay.
    return re.sub(r"(?<=[a-z])\d(?=-met$)", "", stem)


def look_alikes(pixels: np.ndarray, masks: np.ndarray, threshold: float = 0.93) -> np.ndarray:
    """bool [n, n]: pairs whose figures correlate above ``threshold`` at 24 x 24 pixels of CIELAB-like luminance and red excess.

    Catches the same photograph from two catalogues and neighbouring views of one object that file names do not betray.
    """
    thumbs = []
    for picture, mask in zip(pixels, masks, strict=True):
        top, bottom, left, right = background.bounds(mask)
        figure = np.where(mask[..., None], picture, 255)[top:bottom, left:right].astype(np.float32)
        small = ndimage.zoom(figure, (24 / figure.shape[0], 24 / figure.shape[1], 1), order=1)
        planes = np.stack([small.mean(axis=2), small[..., 0] - small[..., 2]])
        planes -= planes.mean(axis=(1, 2), keepdims=True)
        planes /= np.linalg.norm(planes, axis=(1, 2), keepdims=True) + 1e-6
        thumbs.append(planes.reshape(-1) * np.repeat([0.8, 0.6], planes[0].size))
    likeness = np.stack(thumbs) @ np.stack(thumbs).T
    return likeness > threshold


def load(
    folder: Path,
    labels: Path | None = None,
    *,
    side: int = SIDE,
    cache: Path | None = None,
    mask_model: Path | None = None,
) -> Works:
    """Read ``labels`` (default ``folder/labels.csv``), the photographs it names, their masks and their objects.

    ``mask_model``: a bundle of the mask service, whose masks are then the works'; else they are fitted to the border. Which
    views show one object is judged by the latter in either case, so that the choice does not change the split.
    Raises :class:`DataError` for a missing table, column or file, a photograph that cannot be read or is one flat colour, fewer
    than two groups, and a group of one object.
    """
    table = labels or folder / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: no such table; it needs the columns file and label")
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise DataError(f"{table}: needs the columns file and label, and at least one row")
    for number, row in enumerate(rows, start=2):
        if not (row["file"] or "").strip() or not (row["label"] or "").strip():
            raise DataError(f"{table}, line {number}: the file or its label is empty")
    paths = [folder / row["file"] for row in rows]
    missing = [row["file"] for row, path in zip(rows, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(f"{table}: labels {len(missing)} file(s) that are not in {folder}, the first is {missing[0]}")
    pixels, bad = photographs.load(paths, (side, side), images.ResizeRule.LETTERBOX, cache=cache)
    if bad:
        raise DataError(f"{bad[0][0]}: {bad[0][1]} ({len(bad)} unreadable in all; mend or unlist them)")
    boxes = [_content(path, side) for path in paths]
    for row, picture, (top, bottom, left, right) in zip(rows, pixels, boxes, strict=True):
        if picture[top:bottom, left:right].reshape(-1, 3).std(axis=0).max() < 1:
            raise DataError(f"{row['file']}: is one flat colour; a picture without content teaches nothing, unlist it")
    fitted = _masks(pixels, boxes, cache)
    masks = _model_masks(paths, side, mask_model, cache) if mask_model else fitted
    groups = np.array([row["label"].strip() for row in rows])
    names = [object_name(row.get("original_name") or row["file"]) for row in rows]
    works = Works(
        pixels=pixels,
        masks=masks,
        files=np.array([row["file"] for row in rows]),
        groups=groups,
        sources=np.array([row.get("source") or "unknown" for row in rows]),
        objects=_merge(names, look_alikes(pixels, fitted)),
    )
    if len(works.names) < 2:
        raise DataError(f"{table}: holds the one group {works.names[0]!r}; at least two are needed")
    # The same object under two labels cannot teach either; its photographs are left out, and said so.
    torn = [name for name in sorted(set(works.objects)) if len(set(works.groups[works.objects == name])) > 1]
    if torn:
        left_out = np.isin(works.objects, torn)
        warnings.warn(f"left out, for they carry two labels: {', '.join(works.files[left_out])}", stacklevel=2)
        works = works.take(~left_out)
    for name, count in Counter(str(group) for group, _ in set(zip(works.groups, works.objects, strict=True))).items():
        if count < 2:
            raise DataError(f"{table}: group {name!r} holds one object; a group needs at least two to be trained and held out")
    return works


def split(works: Works, *, folds: int, fold: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 indices (training, held out): fold ``fold`` of ``folds``, stratified by group, no object on both sides.

    Raises :class:`DataError` when a group has no object left on one of the sides.
    """
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    train, held = list(splitter.split(works.files, works.groups, works.objects))[fold]
    for side, index in (("training", train), ("held-out", held)):
        absent = set(works.names) - set(works.groups[index].tolist())
        if absent:
            raise DataError(f"group {sorted(absent)[0]!r} has no object on the {side} side; add objects or use fewer folds")
    return train, held


def _masks(pixels: np.ndarray, boxes: list[tuple[int, int, int, int]], cache: Path | None) -> np.ndarray:
    """bool [n, side, side], True on the figure; kept in ``cache``, since runs that share pixels share these."""

    def fit() -> np.ndarray:
        masks = np.zeros(pixels.shape[:3], bool)
        for mask, picture, (top, bottom, left, right) in zip(masks, pixels, boxes, strict=True):
            mask[top:bottom, left:right] = background.figure_mask(picture[top:bottom, left:right])
        return masks

    return _kept(cache, (hashlib.sha256(pixels.tobytes()).hexdigest(), boxes), fit)


def _model_masks(paths: list[Path], side: int, bundle: Path, cache: Path | None) -> np.ndarray:
    """The same by the mask service's model, found and framed as ``mask=true`` does in serving."""
    masker = Masker(models.load(bundle))

    def prepare(pixels: np.ndarray) -> np.ndarray:
        return images.resize(pixels, (side, side), images.ResizeRule.LETTERBOX)

    def find() -> np.ndarray:
        masks = np.ones((len(paths), side, side), bool)
        for mask, path in zip(masks, tqdm(paths, desc="masks", unit="photo", disable=None), strict=True):
            seen = images.decode(path.read_bytes(), images.Limits(), images.Frame.DISPLAY, shrink_to=2 * side)
            figure = masker.mask(seen.pixels, prepare)
            mask[:] = True if figure is None else figure
        return masks

    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return _kept(cache, (side, models.sha256(bundle / models.GRAPH), facts), find)


def _kept(cache: Path | None, key: tuple[object, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``make`` answers, kept in ``cache`` for the next run that asks with the same key."""
    path = cache / f"masks-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.npy" if cache else None
    if path and path.exists():
        return np.load(path)
    masks = make()
    if path:
        with runs.whole(path) as temporary:
            np.save(temporary, masks)
    return masks


def _content(path: Path, side: int) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the photograph inside its letterboxed square, a pixel inside its blurred edge."""
    header = images.inspect(path.read_bytes(), images.Limits()).image
    width, height = header.size
    if header.getexif().get(0x0112, 1) in (5, 6, 7, 8):
        width, height = height, width
    scale = side / max(width, height)
    width, height = max(4, round(width * scale)), max(4, round(height * scale))
    left, top = (side - width) // 2, (side - height) // 2
    return top + 1, top + height - 1, left + 1, left + width - 1


def _merge(names: list[str], alike: np.ndarray) -> np.ndarray:
    """Object names where likeness joins names: connected components, each called by its first name."""
    _, by_name = np.unique(names, return_inverse=True)
    graph = alike | (by_name[:, None] == by_name[None, :])
    _, component = sparse.csgraph.connected_components(sparse.csr_array(graph), directed=False)
    _, first = np.unique(component, return_index=True)
    return np.array(names)[first][component]
