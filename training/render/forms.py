"""Subjects of the eight types of sculpture, from scans and from nothing.

A work is named by its scan, or by type and number where the form is made here; all pictures of one work carry that name,
so that splits can be disjoint by work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.render.cutting import cut
from training.render.furniture import people
from training.render.made import installation, organic, solids
from training.render.materials import Material
from training.render.meshes import SCAN_TYPES, Mesh, box, join, lathe, load_scan

TYPES = ("bust", "head", "figure", "fragment", "relief", "geometric_form", "organic_form", "installation")
# Height in metres of works of each type, smallest and largest.
HEIGHTS = {
    "bust": (0.3, 0.95), "head": (0.15, 0.6), "figure": (0.25, 2.2), "fragment": (0.25, 1.6), "relief": (0.3, 1.8),
    "geometric_form": (0.3, 3.5), "organic_form": (0.25, 2.5), "installation": (1.2, 3.0),
}  # fmt: skip
X, Y, Z = np.eye(3)
# Where the neck is: planes (point, normal) that leave the head, read off front and side views of each scan (height 1).
NECKS = {
    "Athena": [((0, 0.82, 0), Y)],
    "DancingGirl": [((0, 0.86, 0), Y)],
    "DeChalon": [((0, 0.745, 0), Y), ((0.03, 0, 0), -X)],
    "Demosthenes": [((0, 0.46, -0.05), Y - 0.25 * Z)],
    "EpicMetro": [((0, 0.46, 0), Y)],
    "Gutenberg": [((0, 0.6, 0), Y)],
    "Maria": [((0, 0.845, 0), Y)],
    "Nefertiti": [((0, 0.27, 0), Y)],
    "Nymph": [((0, 0.83, 0), Y)],
    "ShepherdBoy": [((0, 0.84, 0), Y)],
}
# Where figures are cut to make busts.
CHESTS = {
    "Athena": [((0, 0.7, 0), Y)],
    "BootlegEve": [((0, 0.7, 0), Y)],
    "DancingGirl": [((0, 0.74, 0), Y)],
    "DeChalon": [((0, 0.6, 0), Y), ((0.06, 0, 0), -X)],
    "Maria": [((0, 0.74, 0), Y)],
    "Nymph": [((0, 0.74, 0), Y)],
    "ShepherdBoy": [((0, 0.68, 0), Y)],
}
# Between these heights lies a figure's torso (hips or knees, neck).
TORSOS = {
    "Athena": (0.4, 0.83), "BootlegEve": (0.36, 0.8), "DancingGirl": (0.4, 0.87), "DeChalon": (0.38, 0.73),
    "MarblePlayer": (0.3, 0.68), "Maria": (0.4, 0.86), "Nymph": (0.3, 0.85), "ShepherdBoy": (0.35, 0.8),
    "Ugolino": (0.35, 0.88),
}  # fmt: skip


@dataclass
class Subject:
    """One sculpture: meshes with their common base at y = 0 and overall height 1, the work's name and its type; `loud`
    forms take paint and steel rather than stone; `paints`, one a mesh, are what a person wears."""

    meshes: list[Mesh]
    name: str
    type: str
    loud: bool = False
    several: bool = False
    paints: list[Material] | None = None


def settle(meshes: list[Mesh]) -> list[Mesh]:
    """Move and scale `meshes` together: base at y = 0, centred, height 1 (at most 3 wide)."""
    v = np.concatenate([m.v for m in meshes])
    low, high = v.min(0), v.max(0)
    size = max(high[1] - low[1], (high[0] - low[0]) / 3, (high[2] - low[2]) / 3)
    middle = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    return [m.placed(1 / size, 0, -middle / size) for m in meshes]


def scan_subject(path: Path) -> Subject:
    """The scan at `path` as it is."""
    return Subject([load_scan(path)], path.stem, SCAN_TYPES.get(path.stem, "figure"))


def person(rng: np.random.Generator) -> Subject:
    """One of the visitors that otherwise stand in rooms, as the subject."""
    parts = people(rng, np.zeros(3))
    return Subject(settle([part.mesh for part in parts]), "person", "figure", paints=[part.material for part in parts])


def works(kind: str, scans: dict[str, Path]) -> list[str]:
    """Scans that can be made into `kind`; empty for forms that need none."""
    if kind in ("geometric_form", "organic_form", "installation"):
        return []
    figures = [n for n in scans if SCAN_TYPES.get(n, "figure") == "figure"]
    busts = [n for n in scans if SCAN_TYPES.get(n) == "bust"]
    known = {
        "bust": busts + [n for n in scans if n in CHESTS],
        "head": [n for n in scans if n in NECKS],
        "figure": figures,
        "fragment": [n for n in scans if n in TORSOS or SCAN_TYPES.get(n) == "fragment"],
        "relief": figures + busts,
    }[kind]
    return known or sorted(scans)  # a scan nobody has measured is still cut, by rule of thumb


def subject(kind: str, rng: np.random.Generator, scans: dict[str, Path], work: str) -> Subject:
    """A subject of type `kind` made from the scan `work`, or from `rng` alone where `work` is no scan."""
    if kind == "geometric_form":
        return Subject(settle([join(solids(rng))]), work, kind, loud=True)
    if kind == "organic_form":
        return Subject(settle([organic(rng)]), work, kind, loud=rng.random() < 0.3)
    if kind == "installation":
        return Subject(settle(installation(rng, scans)), work, kind, loud=True, several=True)
    path = scans[work]
    if kind == "figure":
        return Subject([load_scan(path)], work, kind)
    if kind == "relief":
        return Subject(
            _relief(rng, [load_scan(p) for n, p in scans.items() if SCAN_TYPES.get(n, "") != "fragment"], load_scan(path)),
            work,
            kind,
        )
    if kind == "head":
        return Subject(_head(path), work, kind)
    if kind == "bust":
        return Subject(_bust(rng, path), work, kind)
    return Subject(_fragment(rng, path), work, kind)


@lru_cache(maxsize=64)
def _head(path: Path) -> list[Mesh]:
    return settle(cut(load_scan(path), NECKS.get(path.stem, [((0, 0.83, 0), Y)])))


@lru_cache(maxsize=64)
def _chest(path: Path) -> list[Mesh]:
    return settle(cut(load_scan(path), CHESTS.get(path.stem, [((0, 0.7, 0), Y)])))


def _bust(rng: np.random.Generator, path: Path) -> list[Mesh]:
    whole = SCAN_TYPES.get(path.stem) == "bust"
    meshes = [load_scan(path)] if whole else _chest(path)
    if whole and rng.random() < 0.6:
        return meshes
    # A socle carried by the bust is part of it, unlike a plinth.
    w, h = rng.uniform(0.1, 0.2), rng.uniform(0.12, 0.25)
    if rng.random() < 0.6:
        profile = np.array(
            [[w * 1.3, 0], [w * 1.3, 0.03], [w, 0.06], [w * 0.6, h * 0.5], [w * 0.75, h * 0.85], [w, h], [0.01, h + 0.01]]
        )
        socle = lathe(profile)
    else:
        socle = join([box((2.2 * w, h * 0.3, 2.2 * w)), box((1.6 * w, h, 1.6 * w))])
    return settle([socle, *[m.placed(1, 0, (0, h - 0.03, 0)) for m in meshes]])


def _fragment(rng: np.random.Generator, path: Path) -> list[Mesh]:
    mesh, name = load_scan(path), path.stem
    for _ in range(8):
        if SCAN_TYPES.get(name) == "fragment":
            planes = [] if rng.random() < 0.4 else [((0, rng.uniform(0.3, 0.8), 0), _tilt(rng, rng.choice([-1, 1]) * Y, 0.5))]
        else:
            low, high = TORSOS.get(name, (0.35, 0.83))
            choice = rng.choice(["torso", "legs", "half", "shard"], p=[0.5, 0.2, 0.15, 0.15])
            if choice == "torso":
                planes = [
                    ((0, low + rng.uniform(-0.1, 0.05), 0), _tilt(rng, Y, 0.25)),
                    ((0, high - rng.uniform(0, 0.03), 0), _tilt(rng, -Y, 0.15)),
                ]
                if rng.random() < 0.7:  # arms broken off
                    x = 0.6 * np.percentile(np.abs(mesh.v[:, 0]), 97)
                    planes += [((s * x, 0.6, 0), _tilt(rng, -s * X, 0.3)) for s in (-1, 1) if rng.random() < 0.7]
            elif choice == "legs":
                planes = [((0, rng.uniform(0.35, 0.55), 0), _tilt(rng, -Y, 0.3))]
            elif choice == "half":
                planes = [((0, rng.uniform(0.35, 0.6), 0), _tilt(rng, Y, 0.6))]
            else:
                p = mesh.v[rng.integers(len(mesh.v))]
                planes = [(p * 0.6 + [0, 0.2, 0] + rng.normal(0, 0.05, 3), rng.standard_normal(3)) for _ in range(2)]
        if not planes:
            return [mesh]
        meshes = cut(mesh, planes)
        if meshes and len(meshes[0].f) > 1500:
            return settle(meshes)
    return settle(cut(mesh, [((0, 0.5, 0), Y)]))


def _tilt(rng: np.random.Generator, axis: np.ndarray, amount: float) -> np.ndarray:
    n = axis + rng.normal(0, amount, 3)
    return n / np.linalg.norm(n)


def _relief(rng: np.random.Generator, scans: list[Mesh], first: Mesh) -> list[Mesh]:
    """Figures pressed flat (depth x 0.12 to 0.35) and sunk to about their middle in a slab, with or without a rim."""
    flat = rng.uniform(0.12, 0.35)
    count = int(rng.choice([1, 1, 2, 3]))
    chosen = [first] + [scans[rng.integers(len(scans))] for _ in range(count - 1)]
    meshes, x, depth = [], 0.0, 0.0
    for mesh in chosen:
        turned = mesh.placed(rng.uniform(0.85, 1.05), rng.uniform(0, 2 * np.pi))
        width = float(np.ptp(turned.v[:, 0]))
        middle = float(np.quantile(turned.v[:, 2], rng.uniform(0.3, 0.5)))
        pressed = turned.placed(
            (1, 1, flat), 0, (x + width / 2 - (turned.v[:, 0].max() + turned.v[:, 0].min()) / 2, 0.06, -middle * flat)
        )
        meshes.append(pressed)
        depth = max(depth, -float(pressed.v[:, 2].min()))
        x += width * rng.uniform(0.8, 1.15)
    low = min(float(m.v[:, 0].min()) for m in meshes) - rng.uniform(0.03, 0.3)
    high = max(float(m.v[:, 0].max()) for m in meshes) + rng.uniform(0.03, 0.3)
    top = max(float(m.v[:, 1].max()) for m in meshes) + rng.uniform(0.02, 0.2)
    slab = box((high - low, top, depth + 0.04), ((low + high) / 2, 0, -(depth + 0.04) / 2))
    if rng.random() < 0.5:
        b, out = rng.uniform(0.03, 0.08), rng.uniform(0.02, 0.08)
        middle = (low + high) / 2
        rim = [box((high - low + 2 * b, b, out * 2), (middle, y, 0)) for y in (-b, top)]
        rim += [box((b, top, out * 2), (x, 0, 0)) for x in (low - b / 2, high + b / 2)]
        slab = join([slab, *rim])
    elif rng.random() < 0.6:  # a broken slab
        pieces = cut(slab, [((high, top, 0), _tilt(rng, -X - Y * 0.7, 0.2)), ((low, top, 0), _tilt(rng, X * 0.5 - Y, 0.2))])
        slab = join(pieces) if pieces and np.ptp(pieces[0].v[:, 1]) > 0.5 * top else slab
    return settle([slab, *meshes])
