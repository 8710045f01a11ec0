"""Cutting scans with planes: heads, busts and torsos, closed where they were cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import (
    vtkCellArray,
    vtkNonMergingPointLocator,
    vtkPlane,
    vtkPlaneCollection,
    vtkPolyData,
)
from vtkmodules.vtkFiltersCore import vtkClipPolyData, vtkTriangleFilter
from vtkmodules.vtkFiltersGeneral import vtkClipClosedSurface

from training.render.meshes import Mesh, unit


def cut(mesh: Mesh, planes: list[tuple[np.ndarray, np.ndarray]]) -> list[Mesh]:
    """What of `mesh` lies on the normal's side of every plane (point, normal): the surface with its maps, and its caps.

    The surface keeps UVs and so its normal map; the caps come from the welded mesh, since UV seams leave it open.
    An empty list when nothing is left.
    """
    made = [_plane(*p) for p in planes]
    surface = _to_vtk(mesh)
    for plane in made:
        clip = vtkClipPolyData()
        clip.SetInputData(surface)
        clip.SetClipFunction(plane)
        clip.SetLocator(vtkNonMergingPointLocator())  # merging would join the two sides of a UV seam
        clip.Update()
        surface = clip.GetOutput()
    if not surface.GetNumberOfPolys():
        return []
    out = [_from_vtk(surface, mesh)]
    caps = _caps(mesh, made)
    return out if caps is None else [*out, caps]


def _plane(point, normal) -> vtkPlane:
    plane = vtkPlane()
    plane.SetOrigin(*map(float, point))
    plane.SetNormal(*map(float, np.asarray(normal) / np.linalg.norm(normal)))
    return plane


def _polydata(v: np.ndarray, f: np.ndarray) -> vtkPolyData:
    data, points, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(v, np.float32), deep=1))
    offsets = np.arange(0, 3 * len(f) + 1, 3, dtype=np.int64)
    cells.SetData(numpy_to_vtk(offsets, deep=1), numpy_to_vtk(np.ascontiguousarray(f, np.int64).ravel(), deep=1))
    data.SetPoints(points)
    data.SetPolys(cells)
    return data


def _attributes(mesh: Mesh) -> np.ndarray:
    parts = [mesh.n] + ([] if mesh.uv is None else [mesh.uv, mesh.tangent])
    return np.concatenate(parts, 1).astype(np.float32)


def _to_vtk(mesh: Mesh) -> vtkPolyData:
    data = _polydata(mesh.v, mesh.f)
    array = numpy_to_vtk(np.ascontiguousarray(_attributes(mesh)), deep=1)
    array.SetName("attributes")
    data.GetPointData().AddArray(array)
    return data


def _triangles(data: vtkPolyData) -> vtkPolyData:
    triangulate = vtkTriangleFilter()
    triangulate.SetInputData(data)
    triangulate.Update()
    return triangulate.GetOutput()


def _arrays(data: vtkPolyData) -> tuple[np.ndarray, np.ndarray]:
    v = vtk_to_numpy(data.GetPoints().GetData()).astype(np.float32)
    return v, vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int32)


def _from_vtk(data: vtkPolyData, source: Mesh) -> Mesh:
    data = _triangles(data)
    v, f = _arrays(data)
    a = vtk_to_numpy(data.GetPointData().GetArray("attributes")).astype(np.float32)
    if source.uv is None:
        return Mesh(v, f, unit(a[:, :3]))
    return replace(source, v=v, f=f, n=unit(a[:, :3]), uv=a[:, 3:5], tangent=unit(a[:, 5:8]), local=None)


def _caps(mesh: Mesh, planes: list[vtkPlane]) -> Mesh | None:
    welded = mesh.to_trimesh()
    clip, collection = vtkClipClosedSurface(), vtkPlaneCollection()
    for plane in planes:
        collection.AddItem(plane)
    clip.SetInputData(_polydata(welded.vertices, welded.faces))
    clip.SetClippingPlanes(collection)
    clip.SetScalarModeToLabels()
    clip.GlobalWarningDisplayOff()  # small holes of a scan leave small gaps in a cap; they do not show
    clip.Update()
    data = _triangles(clip.GetOutput())
    if not data.GetNumberOfPolys():
        return None
    v, f = _arrays(data)
    f = f[vtk_to_numpy(data.GetCellData().GetScalars()) > 0]
    if not len(f):
        return None
    corners = v[f]
    n = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * len(f), dtype=np.int32).reshape(-1, 3), np.repeat(n, 3, 0))
