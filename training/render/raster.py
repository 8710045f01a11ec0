"""Visibility by VTK: which triangle is seen at each sample, and depth from a lamp.

VTK only rasterises (it is quick at that without a GPU); shading is done in `shade.py` on the triangle numbers. So masks
are exact by construction, the same numbers come on every machine, and no shader has to be compiled per material.
"""

from __future__ import annotations

import os

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")  # no display on a server

import numpy as np
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  registers the OpenGL backend
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkFloatArray, vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkRenderWindow

from training.render.camera import Camera


class Rasteriser:
    """One off-screen window, kept for all pictures, with the geometry of the last `load`."""

    def __init__(self) -> None:
        self.window = vtkRenderWindow()
        if "X" in self.window.GetClassName():
            raise RuntimeError(
                f"VTK opened {self.window.GetClassName()}; off-screen rendering needs EGL: "
                "apt-get install libegl1 libgl1 (or libosmesa6 and VTK_DEFAULT_OPENGL_WINDOW=vtkOSOpenGLRenderWindow)"
            )
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.renderer = vtkRenderer()
        self.renderer.SetBackground(0, 0, 0)
        self.renderer.SetAutomaticLightCreation(False)
        self.window.AddRenderer(self.renderer)
        self.mapper = vtkPolyDataMapper()
        self.mapper.SetScalarModeToUseCellData()
        self.mapper.SetColorModeToDefault()
        actor = vtkActor()
        actor.SetMapper(self.mapper)
        actor.GetProperty().SetLighting(False)
        actor.GetProperty().SetInterpolationToFlat()
        self.renderer.AddActor(actor)
        self._keep: tuple[np.ndarray, ...] = ()

    def load(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Take `vertices` float32[n, 3] and `faces` int[m, 3] (m < 2**24)."""
        m = len(faces)
        ids = np.arange(1, m + 1, dtype=np.uint32)
        rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], 1).astype(np.uint8)
        points = np.ascontiguousarray(vertices, np.float32)
        connectivity = np.ascontiguousarray(faces, np.int64).ravel()
        offsets = np.arange(0, 3 * m + 1, 3, dtype=np.int64)
        self._keep = (points, connectivity, offsets, rgb)  # VTK reads these arrays in place
        cells = vtkCellArray()
        cells.SetData(numpy_to_vtk(offsets), numpy_to_vtk(connectivity))
        data = vtkPolyData()
        pts = vtkPoints()
        pts.SetData(numpy_to_vtk(points))
        data.SetPoints(pts)
        data.SetPolys(cells)
        data.GetCellData().SetScalars(numpy_to_vtk(rgb))
        self.mapper.SetInputData(data)

    def _render(self, camera: Camera, near: float, far: float) -> None:
        if self.window.GetSize() != (camera.width, camera.height):
            self.window.SetSize(camera.width, camera.height)
        cam = self.renderer.GetActiveCamera()
        matrix = vtkMatrix4x4()
        matrix.DeepCopy(camera.clip_matrix(near, far).ravel())
        cam.SetExplicitProjectionTransformMatrix(matrix)
        cam.UseExplicitProjectionTransformMatrixOn()
        position = camera.centre
        cam.SetPosition(*position)
        cam.SetFocalPoint(*(position + camera.R[2]))
        cam.SetViewUp(*(-camera.R[1]))
        cam.SetClippingRange(near, far)
        self.window.Render()

    def triangles(self, camera: Camera, near: float = 0.02, far: float = 200.0) -> np.ndarray:
        """Index of the triangle seen at each pixel, int32[height, width]; -1 where nothing is."""
        self._render(camera, near, far)
        out = vtkUnsignedCharArray()
        self.window.GetPixelData(0, 0, camera.width - 1, camera.height - 1, 0, out, 0)
        rgb = vtk_to_numpy(out).reshape(camera.height, camera.width, 3)[::-1].astype(np.int32)
        return rgb[..., 0] + (rgb[..., 1] << 8) + (rgb[..., 2] << 16) - 1

    def depth(self, camera: Camera, near: float, far: float) -> np.ndarray:
        """Depth along the axis at each pixel (world units), float32[height, width]; `far` where nothing is."""
        self._render(camera, near, far)
        out = vtkFloatArray()
        self.window.GetZbufferData(0, 0, camera.width - 1, camera.height - 1, out)
        z = vtk_to_numpy(out).reshape(camera.height, camera.width)[::-1]
        return (near * far / (far - z * (far - near))).astype(np.float32)
