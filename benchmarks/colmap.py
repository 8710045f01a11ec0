"""One step of a reconstruction with COLMAP, in a process of its own so that its time and its memory are its alone.

    python -m benchmarks.colmap features --scene SCENE --out COLUMN [--masks MASKS]

then ``matching``, ``mapping`` and ``cloud`` with the same arguments. SCENE is of ``training.render turntable``; MASKS holds one
``NAME.jpg.png`` a photograph, as COLMAP wants them. COLMAP runs on the CPU with its defaults, one camera for all photographs
and exhaustive matching. A step writes COLUMN/<step>.json last, whole; one that was killed is done again from the step before.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pycolmap
import trimesh
import typer
from PIL import Image
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import mutable, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData, vtkStaticCellLocator

from benchmarks.memory import mebibytes
from training.common import runs

# A camera farther than this from where it truly was, metres, has no say in how the reconstruction is laid over the truth.
CAMERA_REACH = 0.05


class Step(StrEnum):
    """In the order of a reconstruction."""

    FEATURES = "features"
    MATCHING = "matching"
    MAPPING = "mapping"
    CLOUD = "cloud"


def main(
    step: Step,
    scene: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(file_okay=False)],
    masks: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    threads: int = -1,
    seed: int = 0,
) -> None:
    """Do one step; see the module's docstring."""
    out.mkdir(parents=True, exist_ok=True)
    pycolmap.set_random_seed(seed)
    done: dict[Step, Callable[[], dict[str, Any]]] = {
        Step.FEATURES: lambda: features(scene / "images", out, masks, threads),
        Step.MATCHING: lambda: matching(out, threads),
        Step.MAPPING: lambda: mapping(scene / "images", out, threads, seed),
        Step.CLOUD: lambda: cloud(scene, out),
    }
    began, used = time.perf_counter(), time.process_time()
    found = done[step]()
    times = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used, "peak_mib": mebibytes("VmHWM")}
    runs.write_json(out / f"{step}.json", times | found)


def features(images: Path, out: Path, masks: Path | None, threads: int) -> dict[str, Any]:
    """Write ``features.db``: SIFT; with ``masks``, COLMAP drops those on black."""
    reader, extraction = pycolmap.ImageReaderOptions(), pycolmap.FeatureExtractionOptions()
    if masks:
        reader.mask_path = masks
    extraction.num_threads, extraction.use_gpu = threads, False
    with runs.whole(out / "features.db") as database:
        pycolmap.extract_features(
            database,
            images,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
        with pycolmap.Database.open(database) as opened:
            return {"images": opened.num_images(), "features": opened.num_keypoints()}


def matching(out: Path, threads: int) -> dict[str, Any]:
    """Write ``matches.db``: every pair, verified geometrically."""
    options, verification = pycolmap.FeatureMatchingOptions(), pycolmap.TwoViewGeometryOptions()
    options.num_threads, options.use_gpu = threads, False
    with runs.whole(out / "matches.db") as database:
        shutil.copyfile(out / "features.db", database)
        pycolmap.match_exhaustive(
            database, matching_options=options, verification_options=verification, device=pycolmap.Device.cpu
        )
        with pycolmap.Database.open(database) as opened:
            return {"pairs": opened.num_verified_image_pairs(), "inlier_matches": opened.num_inlier_matches()}


def mapping(images: Path, out: Path, threads: int, seed: int) -> dict[str, Any]:
    """Write ``sparse/``: the model that holds the most photographs; ``models`` says whether there were others."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = threads, seed
    models = out / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    found = pycolmap.incremental_mapping(out / "matches.db", images, models, options)
    shutil.rmtree(out / "sparse", ignore_errors=True)
    best = max(found.values(), key=lambda model: model.num_reg_images(), default=None)
    if best is None:
        return {"aligned": 0, "models": 0, "points": 0}
    (out / "sparse").mkdir()
    best.write(out / "sparse")
    return {
        "aligned": best.num_reg_images(),
        "models": len(found),
        "points": best.num_points3D(),
        "reprojection_px": best.compute_mean_reprojection_error(),
        "track_length": best.compute_mean_track_length(),
    }


def cloud(scene: Path, out: Path) -> dict[str, Any]:
    """Lay the reconstruction over the truth by its cameras and measure its points; ``cloud.npz`` keeps them for pictures.

    ``xyz`` float64 [n, 3] metres, ``rgb`` uint8 [n, 3], ``on`` bool [n], ``distance`` float64 [n] metres to the mesh.
    """
    if not (out / "sparse").exists():
        return {"on": 0, "off": 0}
    model = pycolmap.Reconstruction(out / "sparse")
    views = json.loads((scene / "cameras.json").read_text())["views"]
    truth = {Path(view["file"]).name: -np.array(view["R"]).T @ np.array(view["t"]) for view in views}
    ransac = pycolmap.RANSACOptions()
    ransac.max_error = CAMERA_REACH
    placed = pycolmap.align_reconstruction_to_locations(model, list(truth), np.array(list(truth.values())), 3, ransac)
    if placed is None:
        return {"on": 0, "off": model.num_points3D()}
    model.transform(placed)
    missed = {
        key: float(np.linalg.norm(image.projection_center() - truth[image.name]))
        for key, image in model.images.items()
        if image.has_pose
    }
    masks = {Path(view["file"]).name: scene / view["mask"] for view in views}
    on = on_object(model, masks)
    points = list(model.points3D.values())
    xyz = np.array([point.xyz for point in points]).reshape(-1, 3)
    mesh = trimesh.load_mesh(scene / "object.ply")
    surface = Surface(mesh.vertices, mesh.faces)
    distance = surface.distances(xyz)
    with runs.whole(out / "cloud.npz") as path:
        np.savez(path, xyz=xyz, rgb=np.array([point.color for point in points]), on=on, distance=distance)
    of_object = 1000 * distance[on]
    # Found by cameras in place alone: how near points lie where the reconstruction as a whole did not go wrong.
    sound = [all(missed[part.image_id] < CAMERA_REACH for part in point.track.elements) for point in points]
    of_sound = 1000 * distance[on & np.array(sound, bool)]
    found: dict[str, Any] = {
        "on": int(on.sum()),
        "off": int((~on).sum()),
        "camera_error_mm": 1000 * float(np.median(list(missed.values()))),
        "cameras_in_place": sum(error < CAMERA_REACH for error in missed.values()),
    }
    if len(of_sound):
        found |= {"on_in_place": len(of_sound), "distance_in_place_median_mm": float(np.median(of_sound))}
    if len(of_object):
        found |= {
            "distance_median_mm": float(np.median(of_object)),
            "distance_mean_mm": float(of_object.mean()),
            "distance_90_mm": float(np.percentile(of_object, 90)),
            "fitted_median_mm": float(1000 * np.median(surface.distances(best_fit(xyz[on], surface)))),
        }
    return found


def on_object(model: pycolmap.Reconstruction, masks: dict[str, Path]) -> np.ndarray:
    """bool [n], in the order of ``model.points3D``: at least half of the photographs that a point was found in show it within
    the true mask. The rule looks at no distance, so that it does not choose the points that it is there to judge.
    """
    seen: dict[int, list[bool]] = {key: [] for key in model.points3D}
    for image in model.images.values():
        with Image.open(masks[image.name]) as opened:
            mask = np.asarray(opened.convert("L")) > 127
        for point in image.points2D:
            if point.has_point3D():
                # Pixel centres are at .5 here and in COLMAP.
                x, y = (min(max(int(value), 0), side - 1) for value, side in zip(point.xy, mask.shape[::-1], strict=True))
                seen[point.point3D_id].append(bool(mask[y, x]))
    return np.array([2 * sum(votes) >= len(votes) > 0 for votes in seen.values()], bool)


def best_fit(points: np.ndarray, surface: Surface, rounds: int = 20, reach: float = 0.01) -> np.ndarray:
    """``points`` moved, turned and scaled onto the surface as a whole (iterated closest points, Besl & McKay 1992), as the
    paper lays its model over the scanned one; those farther from it than ``reach``, metres, have no say.
    """
    ransac = pycolmap.RANSACOptions()
    ransac.max_error = reach
    for _ in range(rounds):
        if (found := pycolmap.estimate_sim3d_robust(points, surface.nearest(points), ransac)) is None:
            break
        points = found["tgt_from_src"] * points
    return points


class Surface:
    """A triangle mesh, asked for the nearest place on it."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        corners, cells, shape = vtkPoints(), vtkCellArray(), vtkPolyData()
        corners.SetData(numpy_to_vtk(np.ascontiguousarray(vertices, np.float64), deep=True))
        cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(faces, np.int64).ravel(), deep=True))
        shape.SetPoints(corners)
        shape.SetPolys(cells)
        self.locator = vtkStaticCellLocator()
        self.locator.SetDataSet(shape)
        self.locator.BuildLocator()

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """float [n, 3] -> float64 [n, 3]."""
        found, at, cell, part, squared = np.empty((len(points), 3)), [0.0] * 3, mutable(0), mutable(0), mutable(0.0)
        for i, point in enumerate(points):
            self.locator.FindClosestPoint(point, at, cell, part, squared)
            found[i] = at
        return found

    def distances(self, points: np.ndarray) -> np.ndarray:
        """float [n, 3] -> float64 [n]."""
        return np.linalg.norm(self.nearest(points) - points, axis=1)


if __name__ == "__main__":
    typer.run(main)
