"""Forms that need no scan: composed solids, smooth implicit surfaces, installations."""
# ruff: noqa: RUF005  array + list adds vectors here

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.measure import marching_cubes

from training.render.furniture import quad
from training.render.meshes import Mesh, box, join, load_scan, primitive, vertex_normals


def solids(rng: np.random.Generator) -> list[Mesh]:
    """Boxes, cylinders, cones, rings and balls stacked, leant together, repeated or run through one another."""
    kinds = ["box", "cylinder", "cone", "torus", "sphere", "beam"]
    style = rng.choice(["stack", "cluster", "repeat", "frame"])
    out: list[Mesh] = []

    def solid(kind: str, size: float, at) -> Mesh:
        if style == "stack" and rng.random() < 0.7:
            R = np.eye(3)
        else:
            R = np.linalg.qr(rng.standard_normal((3, 3)))[0]
            R *= np.sign(np.linalg.det(R))
        s = size * rng.uniform(0.5, 1.2, 3)
        if kind in ("box", "beam"):
            s = s if kind == "box" else size * np.array([0.25, 2.2, 0.25])
            return box((1, 1, 1), (0, -0.5, 0)).placed(s, R=R, at=at)
        if kind == "torus":
            return primitive("torus", size * 0.6, at, R=R)
        return primitive(kind, s * [0.5, 1 if kind != "sphere" else 0.5, 0.5], at, R=R)

    if style == "stack":
        y = 0.0
        for _ in range(rng.integers(2, 7)):
            m = solid(str(rng.choice(kinds[:5])), rng.uniform(0.3, 0.8), (rng.normal(0, 0.1), 0, rng.normal(0, 0.1)))
            lift = y - float(m.v[:, 1].min())
            out.append(m.placed(1, 0, (0, lift, 0)))
            y = float(out[-1].v[:, 1].max()) - 0.01
    elif style == "cluster":
        out = [solid(str(rng.choice(kinds)), rng.uniform(0.3, 0.9), rng.normal(0, 0.35, 3)) for _ in range(rng.integers(3, 9))]
    elif style == "repeat":
        kind, n = str(rng.choice(["box", "cylinder", "torus", "beam"])), int(rng.integers(4, 12))
        R = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        size, shrink, twist = rng.uniform(0.4, 0.9), rng.uniform(0.85, 1.0), rng.uniform(0, 0.6)
        for i in range(n):
            c, s = np.cos(i * twist), np.sin(i * twist)
            turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
            scale = size * shrink**i
            shape = (
                box((1, 0.25, 1), (0, -0.12, 0))
                if kind == "box"
                else box((0.15, 1.6, 0.15), (0, -0.8, 0))
                if kind == "beam"
                else primitive(kind, (0.5, 0.5, 0.5))
            )
            out.append(
                shape.placed(
                    scale,
                    R=turn @ (np.eye(3) if kind == "box" else R * np.sign(np.linalg.det(R))),
                    at=(0.15 * s, 0.22 * size * sum(shrink**k for k in range(i)) / 0.6, 0.15 * c),
                )
            )
    else:  # an open frame of bars, with a solid or two in it
        w, h, d = rng.uniform(0.5, 1.2, 3)
        t = rng.uniform(0.03, 0.1)
        out += [box((t, h, t), (x * w / 2, 0, z * d / 2)) for x in (-1, 1) for z in (-1, 1)]
        out += [box((w + t, t, t), (0, y, z * d / 2)) for y in (0, h) for z in (-1, 1)]
        out += [box((t, t, d), (x * w / 2, y, 0)) for y in (0, h) for x in (-1, 1)]
        out += [
            solid(str(rng.choice(kinds)), rng.uniform(0.3, 0.6), (rng.normal(0, 0.15), h / 2, rng.normal(0, 0.15)))
            for _ in range(rng.integers(1, 4))
        ]
    return out


def organic(rng: np.random.Generator, cells: int = 56) -> Mesh:
    """A smooth closed form in the manner of Arp and Moore: ellipsoids melted together, holes melted out of them.

    Smooth minimum after Quilez (polynomial); the surface is the zero of the field by marching cubes.
    """
    axis = np.linspace(-1.15, 1.15, cells, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)

    def blob(centre, radii, R) -> np.ndarray:
        q = ((grid - centre) @ R) / radii
        return (np.sqrt((q * q).sum(-1)) - 1) * np.min(radii)

    def melt(a, b, k: float) -> np.ndarray:
        h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
        return b + (a - b) * h - k * h * (1 - h)

    def turn() -> np.ndarray:
        return np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)

    field, spine = None, np.zeros(3)
    upright = np.array([0.3, rng.choice([0.25, 0.6]), 0.3])
    for i in range(int(rng.integers(2, 6))):
        spine = np.clip(spine + rng.normal(0, 1, 3) * upright, -0.5, 0.5) if i else spine
        b = blob(spine.astype(np.float32), rng.uniform(0.16, 0.5, 3).astype(np.float32), turn())
        field = b if field is None else melt(field, b, rng.uniform(0.15, 0.45))
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        d = turn()
        offset = (grid - rng.normal(0, 0.22, 3).astype(np.float32)) @ d
        tube = np.sqrt(offset[..., 0] ** 2 + (offset[..., 1] * rng.uniform(0.6, 1.2)) ** 2) - rng.uniform(0.1, 0.24)
        field = -melt(-field, tube, rng.uniform(0.06, 0.2))
    field[0], field[-1], field[:, 0], field[:, -1], field[:, :, 0], field[:, :, -1] = (1.0,) * 6
    v, f, _, _ = marching_cubes(field, 0.0)
    v = (v * (axis[1] - axis[0])).astype(np.float32)
    f = f[:, ::-1].astype(np.int32)
    return Mesh(v, f, vertex_normals(v, f))


def installation(rng: np.random.Generator, scans: dict[str, Path]) -> list[Mesh]:
    """Several like or unlike things spread through a space: a field, a heap, a hanging cloud, rods, screens, a crowd."""
    style = rng.choice(["field", "heap", "hanging", "rods", "screens", "crowd"])
    meshes: list[Mesh] = []
    if style == "field":
        n, gap = int(rng.integers(3, 7)), rng.uniform(0.35, 0.7)
        kind = str(rng.choice(["box", "sphere", "cone", "cylinder"]))
        for i in range(n):
            for j in range(n):
                h = 0.15 + 0.35 * (0.5 + 0.5 * np.sin(i * rng.uniform(0.9, 1.1) + j)) * (rng.random() < 0.9)
                at = ((i - n / 2) * gap, 0, (j - n / 2) * gap)
                meshes.append(
                    box((0.25, h, 0.25), at)
                    if kind == "box"
                    else primitive(kind, (0.13, h if kind != "sphere" else 0.13, 0.13), np.array(at) + [0, h / 2, 0])
                )
    elif style == "heap":
        for _ in range(int(rng.integers(20, 50))):
            r, a = abs(rng.normal(0, 0.6)), rng.uniform(0, 2 * np.pi)
            at = (r * np.cos(a), rng.uniform(0, 1) * max(0.1, 0.7 - 0.5 * r), r * np.sin(a))
            R = np.linalg.qr(rng.standard_normal((3, 3)))[0]
            meshes.append(
                box((1, 1, 1), (0, -0.5, 0)).placed(rng.uniform(0.05, 0.4, 3), R=R * np.sign(np.linalg.det(R)), at=at)
            )
    elif style == "hanging":
        for _ in range(int(rng.integers(12, 40))):
            x, z, y = rng.normal(0, 0.5), rng.normal(0, 0.5), rng.uniform(0.3, 1.5)
            meshes.append(primitive(str(rng.choice(["sphere", "torus"])), rng.uniform(0.05, 0.14), (x, y, z)))
            meshes.append(box((0.006, 2.0 - y, 0.006), (x, y, z)))
    elif style == "rods":
        for _ in range(int(rng.integers(8, 30))):
            R = np.linalg.qr(rng.standard_normal((3, 3)) + 2 * np.eye(3))[0]
            meshes.append(
                box((1, 1, 1), (0, -0.5, 0)).placed(
                    (0.03, rng.uniform(0.8, 1.8), 0.03),
                    R=R * np.sign(np.linalg.det(R)),
                    at=(rng.normal(0, 0.6), 0.6, rng.normal(0, 0.6)),
                )
            )
    elif style == "screens":
        for i in range(int(rng.integers(4, 10))):
            at, yaw = (rng.normal(0, 0.7), (i % 3) * 0.42, rng.normal(0, 0.3)), rng.normal(0, 0.4)
            meshes.append(box((0.5, 0.4, 0.3), at, yaw))
            meshes.append(quad(0.42, 0.3, np.array(at) + [0.16 * np.sin(yaw), 0.2, 0.16 * np.cos(yaw)], yaw))
    else:
        names = sorted(scans)
        for _ in range(int(rng.integers(4, 9))):
            mesh = load_scan(scans[names[rng.integers(len(names))]])
            meshes.append(mesh.placed(rng.uniform(0.5, 1), rng.uniform(0, 6), (rng.normal(0, 0.8), 0, rng.normal(0, 0.8))))
        return meshes
    split = int(rng.integers(1, 4))  # groups get materials of their own
    groups = [[m for i, m in enumerate(meshes) if i % split == g] for g in range(split)]
    return [join(g) for g in groups if g]
