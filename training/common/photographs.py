"""Folders of photographs for training, decoded by the very functions that serving uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from services.common import errors, images
from training.common import runs

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}


def find(folder: Path) -> list[Path]:
    """Every photograph below ``folder``, sorted by path, so that a seed means the same split everywhere."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def read(path: Path, size: tuple[int, int], rule: images.ResizeRule) -> images.RGB:
    """One file -> uint8 RGB [height, width, 3], through decode and resize exactly as served (display frame).

    Raises the domain errors of :mod:`services.common.errors` for a file that serving would refuse.
    """
    decoded = images.decode(path.read_bytes(), images.Limits(), images.Frame.DISPLAY, shrink_to=2 * max(size))
    return images.resize(decoded.pixels, size, rule)


def load(
    paths: Sequence[Path], size: tuple[int, int], rule: images.ResizeRule, *, cache: Path | None = None
) -> tuple[np.ndarray, list[tuple[Path, str]]]:
    """Read them all -> (uint8 [n, height, width, 3] of the readable ones in order, [(unreadable path, why)]).

    With ``cache`` (a folder), the array is kept there and reused while the list of files, their sizes and times are the same.
    """
    key = hashlib.sha256(repr((size, rule.value, [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths])).encode())
    kept = cache / f"{key.hexdigest()[:16]}.npz" if cache else None
    if kept and kept.exists():
        with np.load(kept) as stored:
            return stored["pixels"], [(paths[i], str(why)) for i, why in zip(stored["bad"], stored["why"], strict=True)]
    pictures, bad = [], []
    for index, path in enumerate(tqdm(paths, desc="reading", unit="photo", disable=None)):
        try:
            pictures.append(read(path, size, rule))
        except errors.MaquetteError as error:
            bad.append((index, error.detail))
    pixels = np.stack(pictures) if pictures else np.empty((0, *size, 3), np.uint8)
    if kept:
        with runs.whole(kept) as temporary:
            np.savez(temporary, pixels=pixels, bad=np.array([i for i, _ in bad], int), why=np.array([w for _, w in bad], str))
    return pixels, [(paths[index], why) for index, why in bad]


def duplicates(paths: Iterable[Path]) -> dict[Path, Path]:
    """Files with the very bytes of an earlier one -> that earlier one."""
    first: dict[bytes, Path] = {}
    return {
        path: kept for path in paths if (kept := first.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)) != path
    }
