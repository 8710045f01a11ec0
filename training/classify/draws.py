"""Augmented draws of frozen features: with the backbone frozen, every draw of a picture is one vector to keep.

The paper augments anew in each of its 100 epochs. Here every picture is drawn a few times, once and for all, and the epochs
take the draws in turn: the backbone runs ``draws`` times over the pictures instead of 100 times.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from services.common import images, models
from training.classify import features
from training.classify.backbones import torchvision
from training.classify.config import Config
from training.common import runs

# Pixels between two files of the cache: seconds of work, which is what a kill can cost.
_CHUNK = 4_096_000
_BATCH = 50


def grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] -> the same shape, luma (ITU-R BT.601) in all three channels, as torchvision's ``Grayscale(3)``."""
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat(np.round(luma)[..., None], 3, axis=-1).astype(np.uint8)


def extract(pixels: np.ndarray, backbone: str, size: int, draw: int, seed: int, cache: Path) -> np.ndarray:
    """uint8 [n, height, width, 3] -> features float16 [n, channels].

    ``draw`` 0 is the picture as it is; any other is one draw of TrivialAugmentWide (Müller and Hutter 2021) at ``size``, seeded
    by ``seed``, the draw and the picture's place. Kept in ``cache`` by content, some pictures at a time.
    """
    config, session, parts = Config(backbone=backbone, size=size), None, []
    augment = torchvision().transforms.TrivialAugmentWide()
    step = max(1, _CHUNK // size**2)
    for start in tqdm(range(0, len(pixels), step), desc=f"features, draw {draw}", unit="chunk", disable=None):
        chunk = pixels[start : start + step]
        settings = (backbone, size, draw, seed if draw else 0, start if draw else 0)
        key = hashlib.sha256(repr(settings).encode() + chunk.tobytes()).hexdigest()[:20]
        kept = cache / "draws" / f"{key}.npy"
        if not kept.exists():
            session = session or models.open_session(features.graph(config, cache), threads=1)
            values = []
            for at in range(0, len(chunk), _BATCH):
                sized = [images.resize(picture, (size, size), images.ResizeRule.SQUASH) for picture in chunk[at : at + _BATCH]]
                if draw:
                    for index, picture in enumerate(sized):
                        torch.manual_seed((seed * 1_000 + draw) * 1_000_000 + start + at + index)
                        sized[index] = np.asarray(augment(Image.fromarray(picture)))
                values.append(session.run(["features"], {"images": np.stack(sized)})[0].astype(np.float16))
            with runs.whole(kept) as temporary:
                np.save(temporary, np.concatenate(values))
        parts.append(np.load(kept))
    return np.concatenate(parts)
