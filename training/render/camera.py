"""Pinhole cameras in the OpenCV convention: x right, y down, z forward; pixel centres at half integers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Camera:
    """`K` float64[3, 3] in pixels, `R` float64[3, 3] and `t` float64[3] world to camera, image `width` and `height`."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    width: int
    height: int

    @property
    def centre(self) -> np.ndarray:
        """Camera centre in world coordinates, float64[3]."""
        return -self.R.T @ self.t

    @property
    def pixel_angle(self) -> float:
        """Size of a pixel at distance 1 (radians, on the axis)."""
        return float(1.0 / self.K[0, 0])

    def rows(self, top: int, bottom: int) -> Camera:
        """The camera of the image band `top <= row < bottom`: the same rays, a shifted principal point."""
        K = self.K.copy()
        K[1, 2] -= top
        return replace(self, K=K, height=bottom - top)

    def scaled(self, factor: int) -> Camera:
        """The same view with `factor` times the pixels along each side."""
        K = self.K.copy()
        K[:2] *= factor
        return replace(self, K=K, width=self.width * factor, height=self.height * factor)

    def rays(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """World directions (depth 1 along the axis) through pixel coordinates `x`, `y`; float32[n, 3]."""
        K = self.K
        yc = (y - K[1, 2]) / K[1, 1]
        xc = (x - K[0, 2] - K[0, 1] * yc) / K[0, 0]
        d = np.stack([xc, yc, np.ones_like(xc)], 1).astype(np.float32)
        return d @ self.R.astype(np.float32)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates float64[n, 2] and depths float64[n] of world `points` float[n, 3]."""
        p = points @ self.R.T + self.t
        q = p @ self.K.T
        return q[:, :2] / q[:, 2:], p[:, 2]

    def clip_matrix(self, near: float, far: float) -> np.ndarray:
        """OpenGL projection float64[4, 4] (eye looks along -z, y up) equal to `K` on this image."""
        K, w, h = self.K, self.width, self.height
        m = np.zeros((4, 4))
        m[0] = [2 * K[0, 0] / w, -2 * K[0, 1] / w, 1 - 2 * K[0, 2] / w, 0]
        m[1] = [0, 2 * K[1, 1] / h, 2 * K[1, 2] / h - 1, 0]
        m[2] = [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)]
        m[3] = [0, 0, -1, 0]
        return m

    def as_dict(self) -> dict[str, object]:
        """JSON form: K, R, t, width, height."""
        return {
            "width": self.width,
            "height": self.height,
            "K": self.K.tolist(),
            "R": self.R.tolist(),
            "t": self.t.tolist(),
        }


def look_at(
    position: np.ndarray,
    target: np.ndarray,
    width: int,
    height: int,
    focal: float,
    roll: float = 0.0,
    stretch: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Camera:
    """Camera at `position` looking at `target`, +Y up.

    `focal` in pixels along x, `roll` in radians, `stretch` the ratio fy/fx (pictures are often squeezed into a square
    before a model sees them), `shift` moves the principal point by fractions of the image.
    """
    z = np.asarray(target, float) - position
    z /= np.linalg.norm(z)
    x = np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    c, s = np.cos(roll), np.sin(roll)
    R = np.stack([c * x + s * y, -s * x + c * y, z])
    K = np.array([[focal, 0, width * (0.5 + shift[0])], [0, focal * stretch, height * (0.5 + shift[1])], [0, 0, 1.0]])
    return Camera(K, R, -R @ np.asarray(position, float), width, height)
