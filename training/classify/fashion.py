"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017; MIT): 60,000 + 10,000 grey pictures of 28 x 28 pixels in ten classes.

Read from a folder of the four IDX files, gzipped or not: Debian's package ``dataset-fashion-mnist`` puts them under
``/usr/share/datasets/fashion-mnist``. A folder without them is filled by torchvision's download.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from training.classify.backbones import torchvision
from training.classify.data import DataError

NAMES = ("t_shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """``part`` train or test -> (uint8 [n, 28, 28], class int [n]). Raises :class:`DataError` where they cannot be had."""
    if _find(folder, _FILES[part][0]) is None:
        folder = _download(folder)
    pictures, labels = (_idx(folder, name) for name in _FILES[part])
    if pictures.ndim != 3 or labels.shape != pictures.shape[:1] or labels.max(initial=0) >= len(NAMES):
        raise DataError(f"{folder}: pictures {pictures.shape} and labels {labels.shape} do not belong together")
    return pictures, labels.astype(int)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _idx(folder: Path, name: str) -> np.ndarray:
    """One IDX file: two zero bytes, type 8 (unsigned bytes), the number of axes, their lengths (big-endian), the values."""
    path = _find(folder, name)
    if path is None:
        raise DataError(f"{folder}: holds no {name} or {name}.gz")
    try:
        stored = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if stored[:3] != b"\0\0\x08":
            raise ValueError("no IDX file of unsigned bytes")
        axes = stored[3]
        shape = np.frombuffer(stored, ">u4", axes, 4)
        return np.frombuffer(stored, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: {error}; fetch it again") from None


def _download(folder: Path) -> Path:
    try:
        found = torchvision().datasets.FashionMNIST(root=str(folder), download=True)
    except (OSError, RuntimeError) as error:  # torchvision ends with RuntimeError when every mirror refused
        raise DataError(
            f"{folder}: holds no Fashion-MNIST and it could not be downloaded ({error}); "
            "Debian's package dataset-fashion-mnist holds it"
        ) from None
    return Path(found.raw_folder)
