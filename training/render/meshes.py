"""Geometry: scans, solid primitives, and the parts a scene is made of."""
# ruff: noqa: RUF005  array + list adds vectors here

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import trimesh

from training.render.materials import Material

# What a scan shows (the eight types of issue 4); a scan not named here is a figure.
SCAN_TYPES = {
    "Column03": "fragment",
    "Demosthenes": "bust",
    "EpicMetro": "bust",
    "Gutenberg": "bust",
    "Nefertiti": "bust",
}
# Scans whose publisher claims no copyright: the only ones allowed in committed samples.
FREE_SCANS = (
    "Athena", "BootlegEve", "Column03", "DeChalon", "EpicMetro", "Gutenberg", "MarblePlayer", "Nymph", "ShepherdBoy",
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """`v` float32[n, 3], `f` int32[m, 3], `n` unit normals float32[n, 3]; `uv` float32[n, 2] with v up, `tangent`
    float32[n, 3] and maps uint8[h, w, 3] / uint8[h, w] where the source has them; `local` are the coordinates that solid
    textures use, so that a texture sticks to the object wherever it is placed."""

    v: np.ndarray
    f: np.ndarray
    n: np.ndarray
    uv: np.ndarray | None = None
    tangent: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    occlusion_map: np.ndarray | None = None
    local: np.ndarray | None = None

    def placed(self, scale: float | np.ndarray = 1.0, yaw: float = 0.0, at=(0.0, 0.0, 0.0), R=None) -> Mesh:
        """Scaled (uniformly, or per axis), turned by `yaw` radians about +Y or by `R`, and moved to `at`."""
        if R is None:
            c, s = np.cos(yaw), np.sin(yaw)
            R = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        R = np.asarray(R, np.float32)
        scale = np.broadcast_to(np.asarray(scale, np.float32), (3,))
        local = self.v * scale if self.local is None else self.local * scale
        v = (self.v * scale) @ R.T + np.asarray(at, np.float32)
        n = unit((self.n / scale) @ R.T)
        tangent = None if self.tangent is None else unit((self.tangent * scale) @ R.T)
        return replace(self, v=v.astype(np.float32), n=n, tangent=tangent, local=local.astype(np.float32))

    def to_trimesh(self) -> trimesh.Trimesh:
        """Welded copy for cutting and for export."""
        mesh = trimesh.Trimesh(self.v, self.f, process=False)
        mesh.merge_vertices(merge_tex=True, merge_norm=True)
        return mesh


@dataclass
class Part:
    """A mesh with its material; `is_object` says whether its pixels are 255 in the mask."""

    mesh: Mesh
    material: Material
    is_object: bool = False
    casts: bool = True
    tags: dict[str, str] = field(default_factory=dict)


def unit(a: np.ndarray) -> np.ndarray:
    """Rows of `a` float[n, 3] at length 1."""
    return a / np.maximum(np.sqrt(np.einsum("ij,ij->i", a, a))[:, None], 1e-12).astype(a.dtype)


def from_trimesh(mesh: trimesh.Trimesh, crease: float | None = None) -> Mesh:
    """Mesh with smooth normals; with `crease` (radians) edges sharper than that stay sharp."""
    if crease is not None:
        mesh = mesh.smooth_shaded if crease == 0 else trimesh.graph.smooth_shade(mesh, angle=crease)
    v, f = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
    return Mesh(v, f, vertex_normals(v, f) if crease is None else unit(np.asarray(mesh.vertex_normals, np.float32)))


def vertex_normals(v: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals, float32[n, 3]."""
    return unit(_scatter(np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]]), f, len(v)))


def _welded_normals(v: np.ndarray, f: np.ndarray) -> np.ndarray:
    _, first, index = np.unique(np.round(v, 5), axis=0, return_index=True, return_inverse=True)
    return vertex_normals(v[first], index.ravel()[f])[index.ravel()]


def _scatter(per_face: np.ndarray, f: np.ndarray, count: int) -> np.ndarray:
    index = f.T.ravel()
    columns = [np.bincount(index, np.tile(per_face[:, k], 3), count) for k in range(3)]
    return np.stack(columns, 1).astype(np.float32)


def _tangents(v: np.ndarray, f: np.ndarray, uv: np.ndarray) -> np.ndarray:
    e1, e2 = v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]]
    d1, d2 = uv[f[:, 1]] - uv[f[:, 0]], uv[f[:, 2]] - uv[f[:, 0]]
    det = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    return unit(_scatter((e1 * d2[:, 1:] - e2 * d1[:, 1:]) * np.sign(det)[:, None], f, len(v)))


def scan_paths(folder: Path, only: list[str] | None = None) -> dict[str, Path]:
    """GLB files of `folder` by name; raises FileNotFoundError when one in `only` is missing or none is there."""
    paths = {p.stem: p for p in sorted(folder.glob("*.glb"))}
    missing = [name for name in only or [] if name not in paths]
    if missing or not paths:
        raise FileNotFoundError(f"no scan {', '.join(missing) or '*.glb'} in {folder}")
    return {k: p for k, p in paths.items() if not only or k in only}


@lru_cache(maxsize=64)
def load_scan(path: Path) -> Mesh:
    """Read a GLB; base at y = 0, centred in x and z, height scaled to 1."""
    geometry = max(trimesh.load(path).geometry.values(), key=lambda g: len(g.faces))
    v, f = np.asarray(geometry.vertices, np.float32), np.asarray(geometry.faces, np.int32)
    n = unit(np.asarray(geometry.vertex_normals, np.float32))
    low, high = v.min(0), v.max(0)
    v = (v - np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2], np.float32)) / (high[1] - low[1])
    uv = getattr(geometry.visual, "uv", None)
    material = getattr(geometry.visual, "material", None)
    if uv is None:
        return Mesh(v, f, n)
    uv = np.asarray(uv, np.float32)
    if getattr(material, "normalTexture", None) is None:
        n = _welded_normals(v, f)  # no normal map to hide the facets between UV islands
    normal, occlusion = getattr(material, "normalTexture", None), getattr(material, "occlusionTexture", None)
    return Mesh(
        v,
        f,
        n,
        uv,
        _tangents(v, f, uv),
        None if normal is None else np.asarray(normal.convert("RGB")),
        None if occlusion is None else np.asarray(occlusion.convert("RGB"))[..., 0].copy(),
    )


@lru_cache(maxsize=1)
def _unit_box() -> Mesh:
    box = trimesh.creation.box()
    v = box.vertices[box.faces].reshape(-1, 3).astype(np.float32)
    n = np.repeat(box.face_normals, 3, 0).astype(np.float32)
    return Mesh(v, np.arange(len(v), dtype=np.int32).reshape(-1, 3), n)


def box(size, at=(0, 0, 0), yaw: float = 0.0) -> Mesh:
    """Box of `size` whose base centre stands at `at`."""
    size = np.asarray(size, np.float32)
    return _unit_box().placed(size, yaw, np.asarray(at, np.float32) + [0, size[1] / 2, 0])


@lru_cache(maxsize=16)
def _primitive(kind: str) -> Mesh:
    if kind == "sphere":
        return from_trimesh(trimesh.creation.icosphere(subdivisions=3))
    to_y = trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0])
    if kind == "cone":
        mesh = trimesh.creation.cone(radius=1, height=1, sections=40, transform=to_y)
        mesh.apply_translation([0, -0.5, 0])
    elif kind == "torus":
        mesh = trimesh.creation.torus(1.0, 0.3, major_sections=48, minor_sections=20)
    else:
        mesh = trimesh.creation.cylinder(radius=1, height=1, sections=40, transform=to_y)
    return from_trimesh(mesh, crease=0.6)


def primitive(kind: str, scale=1.0, at=(0, 0, 0), yaw: float = 0.0, R=None) -> Mesh:
    """`sphere` (radius 1), `cylinder` and `cone` (radius 1, height 1, axis Y), `torus` (radii 1 and 0.3), centred."""
    return _primitive(kind).placed(scale, yaw, at, R)


def lathe(profile: np.ndarray, sections: int = 36) -> Mesh:
    """Surface of revolution about Y of `profile` float[k, 2] = (radius, height), bottom first."""
    profile = np.asarray(profile, float)
    profile = np.vstack([[1e-4, profile[0, 1]], profile])
    return from_trimesh(trimesh.creation.revolve(profile, sections=sections).apply_transform(
        np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])))  # fmt: skip


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of several, without UVs."""
    offsets = np.cumsum([0] + [len(m.v) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.v for m in meshes]),
        np.concatenate([m.f + o for m, o in zip(meshes, offsets, strict=True)]).astype(np.int32),
        np.concatenate([m.n for m in meshes]),
        local=np.concatenate([m.v if m.local is None else m.local for m in meshes]),
    )
