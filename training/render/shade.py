"""A scene to linear light: visible triangles, then materials, lamps and surroundings in NumPy.

Every pixel is shaded once through its centre; pixels whose four sub-samples disagree (outlines, folds) are shaded four
times. The mask is the share of sub-samples on the object.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.render.camera import Camera
from training.render.lighting import Environment, Lamp
from training.render.materials import evaluate
from training.render.meshes import Mesh, Part, unit
from training.render.raster import Rasteriser


@dataclass
class Glass:
    """A pane box seen through: `low` and `high` corners float[3]."""

    low: np.ndarray
    high: np.ndarray


@dataclass
class Scene:
    """Parts, light, and what is seen where no part is: `sky` uint8[h, w, 3] stretched over the frame, or the environment."""

    parts: list[Part]
    lamps: list[Lamp]
    environment: Environment
    sky: np.ndarray | None = None
    ambient: float = 1.0
    glass: list[Glass] = field(default_factory=list)
    info: dict[str, str] = field(default_factory=dict)


@dataclass
class Picture:
    """Linear `light` float32[h, w, 3], `coverage` of the object and `depth` (axis distance) float32[h, w]."""

    light: np.ndarray
    coverage: np.ndarray
    depth: np.ndarray


class Renderer:
    """Holds the window and the packed geometry of one scene at a time."""

    def __init__(self, raster: Rasteriser | None = None) -> None:
        self.raster = raster or Rasteriser()

    def load(self, scene: Scene, shadow_size: int = 512) -> None:
        """Pack `scene` and draw its shadow maps; then `render` any number of views."""
        self.scene = scene
        casters = [p for p in scene.parts if p.casts]
        if casters:
            self.raster.load(*_stack(casters))
        for lamp in scene.lamps if casters else []:
            lamp.prepare(self.raster, shadow_size)
        self.above = None
        if casters:
            self.above = _overhead(casters, self.raster, shadow_size // 2)
        v, f = _stack(scene.parts)
        self.raster.load(v, f)
        a = v[f[:, 0]]
        e1, e2 = v[f[:, 1]] - a, v[f[:, 2]] - a
        g = np.cross(e1, e2)
        g2 = np.maximum(np.einsum("ij,ij->i", g, g), 1e-20)[:, None]
        self.planes = np.concatenate([a, g, np.cross(e2, g) / g2, np.cross(g, e1) / g2], 1).astype(np.float32)
        n = np.concatenate([p.mesh.n for p in scene.parts])
        local = np.concatenate([p.mesh.v if p.mesh.local is None else p.mesh.local for p in scene.parts])
        self.corners = np.concatenate([n, local], 1).astype(np.float32)
        self.f = f
        counts = [len(p.mesh.f) for p in scene.parts]
        self.part_of = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
        self.face_start = np.cumsum([0, *counts])
        self.is_object = np.array([p.is_object for p in scene.parts] + [False])
        self.face_centre = a + (e1 + e2) / 3

    def render(self, camera: Camera, band: int = 1 << 21) -> Picture:
        """One view; large images are made in bands of about `band` pixels to bound memory."""
        rows = max(16, band // (4 * camera.width))
        bands = [self._band(camera, top, min(top + rows, camera.height)) for top in range(0, camera.height, rows)]
        return Picture(*(np.concatenate(x) for x in zip(*bands, strict=True)))

    def _band(self, camera: Camera, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        view = camera.rows(top, bottom)
        h, w = view.height, view.width
        fine = self.raster.triangles(view.scaled(2))
        sub = np.stack([fine[0::2, 0::2], fine[0::2, 1::2], fine[1::2, 0::2], fine[1::2, 1::2]], -1).reshape(-1, 4)
        part = np.where(sub >= 0, self.part_of[sub], len(self.is_object) - 1)
        coverage = self.is_object[part].mean(1, dtype=np.float32)
        edge = (part != part[:, :1]).any(1)
        suspects = np.flatnonzero(~edge & (coverage > 0) & (sub != sub[:, :1]).any(1))
        z = (self.face_centre[sub[suspects]] @ view.R[2].astype(np.float32)) + np.float32(view.t[2])
        edge[suspects[np.ptp(z, 1) > 0.012 * z.mean(1)]] = True

        flat, rough = np.flatnonzero(~edge), np.flatnonzero(edge)
        y, x = np.divmod(np.concatenate([flat, np.repeat(rough, 4)]), w)
        dx, dy = np.full(len(x), 0.5, np.float32), np.full(len(x), 0.5, np.float32)
        dx[len(flat) :] = np.tile(np.array([0.25, 0.75, 0.25, 0.75], np.float32), len(rough))
        dy[len(flat) :] = np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), len(rough))
        triangle = np.concatenate([sub[flat, 0], sub[rough].ravel()])
        light, depth = self._shade(view, camera, triangle, x + dx, y + dy, top)
        image, z = np.empty((h * w, 3), np.float32), np.empty(h * w, np.float32)
        image[flat], z[flat] = light[: len(flat)], depth[: len(flat)]
        # Averaging bounded light keeps a lamp's glint from eating the whole outline pixel.
        image[rough] = np.minimum(light[len(flat) :], 4).reshape(-1, 4, 3).mean(1)
        z[rough] = depth[len(flat) :].reshape(-1, 4).min(1)
        return image.reshape(h, w, 3), coverage.reshape(h, w), z.reshape(h, w)

    def _shade(self, view: Camera, whole: Camera, triangle, x, y, top: int) -> tuple[np.ndarray, np.ndarray]:
        rays = view.rays(x.astype(np.float32), y.astype(np.float32))
        out, depth = np.empty((len(x), 3), np.float32), np.full(len(x), 1e3, np.float32)
        hit = np.flatnonzero(triangle >= 0)
        miss = np.flatnonzero(triangle < 0)
        if len(miss):
            out[miss] = self._backdrop(rays[miss], x[miss] / whole.width, (y[miss] + top) / whole.height)
        if len(hit):
            out[hit], depth[hit] = self._surfaces(view, triangle[hit], rays[hit])
        for glass in self.scene.glass:
            self._pane(out, depth, glass, view.centre.astype(np.float32), rays)
        return out, depth

    def _backdrop(self, rays: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        sky = self.scene.sky
        if sky is None:
            return self.scene.environment.mirror(unit(rays), 0.0)
        h, w = sky.shape[:2]
        px, py = np.clip(u * w - 0.5, 0, w - 1.001), np.clip(v * h - 0.5, 0, h - 1.001)
        x0, y0 = px.astype(np.int32), py.astype(np.int32)
        fx, fy = (px - x0)[:, None].astype(np.float32), (py - y0)[:, None].astype(np.float32)
        t, i = sky.reshape(-1, 3), y0 * w + x0
        return (t[i] * (1 - fx) + t[i + 1] * fx) * (1 - fy) + (t[i + w] * (1 - fx) + t[i + w + 1] * fx) * fy

    def _surfaces(self, view: Camera, triangle: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scene, origin = self.scene, view.centre.astype(np.float32)
        plane = self.planes.take(triangle, 0)
        g = plane[:, 3:6]
        grazing = np.einsum("ij,ij->i", rays, g)
        grazing = np.where(np.abs(grazing) < 1e-12, -1e-12, grazing)
        depth = np.clip(np.einsum("ij,ij->i", plane[:, :3] - origin, g) / grazing, 0.01, 500)
        q = origin + rays * depth[:, None] - plane[:, :3]
        b1 = np.clip(np.einsum("ij,ij->i", q, plane[:, 6:9]), -0.5, 1.5)
        b2 = np.clip(np.einsum("ij,ij->i", q, plane[:, 9:12]), -0.5, 1.5)
        point = plane[:, :3] + q
        corner = self.f.take(triangle, 0)
        weights = (1 - b1 - b2, b1, b2)
        attribute = sum(self.corners.take(corner[:, k], 0) * weights[k][:, None] for k in range(3))
        length = np.sqrt(np.einsum("ij,ij->i", rays, rays))
        eye = rays * (-1 / length)[:, None]
        normal = unit(attribute[:, :3])
        geometric = unit(g)
        # A surface seen from behind (open scans, slabs) is lit as if it faced the camera.
        facing = np.einsum("ij,ij->i", geometric, eye)
        geometric *= np.sign(facing)[:, None] + (facing == 0)[:, None]
        normal *= np.where(np.einsum("ij,ij->i", normal, geometric) < 0, -1, 1)[:, None].astype(np.float32)
        cosine = np.maximum(np.abs(facing), 0.12)
        footprint = depth * length * view.pixel_angle / cosine

        k = len(triangle)
        albedo, rough = np.empty((k, 3), np.float32), np.empty(k, np.float32)
        metal, glow, occlusion = np.empty(k, np.float32), np.zeros(k, bool), np.ones(k, np.float32)
        part = self.part_of.take(triangle)
        order = np.argsort(part, kind="stable")
        starts = np.searchsorted(part[order], np.arange(len(scene.parts) + 1))
        for number, p in enumerate(scene.parts):
            s = order[starts[number] : starts[number + 1]]
            if not len(s):
                continue
            mesh, uv = p.mesh, None
            if mesh.uv is not None:
                first = self.f[self.face_start[number], 0] - mesh.f[0, 0]
                where = corner[s] - first
                uv = sum(mesh.uv.take(where[:, j], 0) * weights[j][s][:, None] for j in range(3))
                if mesh.occlusion_map is not None:
                    occlusion[s] = _texel(mesh.occlusion_map[..., None], uv)[:, 0]
                if mesh.normal_map is not None:
                    normal[s] = _bend(mesh, uv, where, [weights[j][s] for j in range(3)], normal[s])
            surface = evaluate(p.material, attribute[s, 3:6], point[s], normal[s], uv, occlusion[s], footprint[s])
            albedo[s], rough[s], metal[s], glow[s] = surface.albedo, surface.roughness, surface.metal, surface.glow
            if surface.bend is not None:
                normal[s] = unit(normal[s] + surface.bend)

        # Mapped normals that turn away from the eye would give black specks.
        turned = np.einsum("ij,ij->i", normal, eye)
        normal = unit(normal + eye * np.maximum(0.03 - turned, 0)[:, None])
        light = self._lit(point, normal, geometric, eye, albedo, rough, metal, occlusion)
        light[glow] = albedo[glow]
        return light, depth

    def _lit(self, point, normal, geometric, eye, albedo, rough, metal, occlusion) -> np.ndarray:
        scene = self.scene
        f0 = 0.04 + (albedo - 0.04) * metal[:, None]
        base = albedo * (1 - metal)[:, None]
        nv = np.clip(np.einsum("ij,ij->i", normal, eye), 0.02, 1)
        shelter = occlusion * scene.ambient
        if self.above is not None:
            _, seen = self.above.light(point + geometric * 0.01)
            shelter = shelter * (0.22 + 0.78 * seen)
        out = base * scene.environment.diffuse(normal) * shelter[:, None]
        # Split-sum approximation by Karis (2014), in its analytic form for mobile devices.
        mirror = normal * (2 * np.einsum("ij,ij->i", normal, eye))[:, None] - eye
        r0 = 1 - rough
        a004 = np.minimum(r0 * r0, np.exp2(-9.28 * nv)) * r0 + 0.0425 - 0.0275 * rough
        scale, bias = -1.04 * a004 + 1.04 - 0.572 * rough, 1.04 * a004 - 0.04 + 0.022 * rough
        specular = scene.environment.mirror(mirror, rough)
        out += specular * (f0 * np.clip(scale, 0, 1)[:, None] + np.clip(bias, 0, 1)[:, None]) * shelter[:, None]
        a2 = np.maximum(rough**4, 1e-3)
        for lamp in scene.lamps:
            to, strength = lamp.light(point + geometric * 0.006)
            nl = np.einsum("ij,ij->i", normal, to)
            on = np.flatnonzero((nl > 0) & (strength > 1e-3) & (np.einsum("ij,ij->i", geometric, to) > -0.1))
            if not len(on):
                continue
            half = unit(to[on] + eye[on])
            nh = np.clip(np.einsum("ij,ij->i", normal[on], half), 0, 1)
            vh = np.clip(np.einsum("ij,ij->i", eye[on], half), 0, 1)
            a, v, cosine = a2[on], nv[on], nl[on]
            spread = a / (np.pi * (nh * nh * (a - 1) + 1) ** 2)
            kk = (rough[on] + 1) ** 2 / 8
            shape = spread / (4 * (v * (1 - kk) + kk) * (cosine * (1 - kk) + kk))
            fresnel = f0[on] + (1 - f0[on]) * ((1 - vh) ** 5)[:, None]
            energy = (cosine * strength[on])[:, None] * lamp.colour.astype(np.float32)
            out[on] += (base[on] / np.pi * (1 - fresnel) + fresnel * np.minimum(shape, 12)[:, None]) * energy
        return out

    def _pane(self, out, depth, glass: Glass, origin, rays) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            t1, t2 = (glass.low - origin) / rays, (glass.high - origin) / rays
        near, far = np.minimum(t1, t2), np.maximum(t1, t2)
        axis = near.argmax(1)
        enter = near.max(1)
        seen = np.flatnonzero((enter > 0.05) & (enter < far.min(1)) & (enter < depth))
        if not len(seen):
            return
        d, a = unit(rays[seen]), axis[seen]
        cosine = np.abs(d[np.arange(len(d)), a])
        d[np.arange(len(d)), a] *= -1
        fresnel = 0.06 + 0.94 * (1 - cosine) ** 5
        out[seen] = out[seen] * (0.94 - fresnel)[:, None] + self.scene.environment.mirror(d, 0.0) * fresnel[:, None]


def _stack(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0] + [len(p.mesh.v) for p in parts[:-1]])
    faces = np.concatenate([p.mesh.f + o for p, o in zip(parts, offsets, strict=True)])
    return np.concatenate([p.mesh.v for p in parts]).astype(np.float32), faces.astype(np.int32)


def _overhead(casters: list[Part], raster: Rasteriser, size: int) -> Lamp:
    """A wide blurred lamp straight above stands in for ambient occlusion: dark contact on floors, under chins."""
    near = [p for p in casters if p.is_object] or casters
    low, high = np.min([p.mesh.v.min(0) for p in near], 0), np.max([p.mesh.v.max(0) for p in near], 0)
    centre = (low + high) / 2
    reach = float(max(high[0] - low[0], high[2] - low[2], 0.3))
    position = centre + np.array([0.02, high[1] - centre[1] + 8 * reach, 0.01])
    lamp = Lamp(position, centre, np.ones(3), np.arctan(1 / 8) * 1.9, 0.02, 0.045, far=True)
    lamp.prepare(raster, size)
    lamp.cone = 1.5  # outside its map the clamped edge counts as open
    return lamp


def _texel(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear texels in 0..1, float32[k, c]; v runs up."""
    h, w = image.shape[:2]
    x, y = uv[:, 0] * w - 0.5, (1 - uv[:, 1]) * h - 0.5
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    x0, y0 = np.clip(x0, 0, w - 1).astype(np.int32), np.clip(y0, 0, h - 1).astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    t = image.reshape(-1, image.shape[2])
    top = t.take(y0 * w + x0, 0) * (1 - fx) + t.take(y0 * w + x1, 0) * fx
    low = t.take(y1 * w + x0, 0) * (1 - fx) + t.take(y1 * w + x1, 0) * fx
    return (top * (1 - fy) + low * fy) * np.float32(1 / 255)


def _bend(mesh: Mesh, uv, corner, weights, normal) -> np.ndarray:
    """Tangent-space normal map (OpenGL convention: green up) applied to `normal` float32[k, 3]."""
    t = sum(mesh.tangent.take(corner[:, j], 0) * weights[j][:, None] for j in range(3))
    t = unit(t - normal * np.einsum("ij,ij->i", t, normal)[:, None])
    b = np.cross(normal, t)
    m = _texel(mesh.normal_map, uv) * 2 - 1
    return unit(t * m[:, :1] + b * m[:, 1:2] + normal * np.maximum(m[:, 2:], 0.05))
