"""COLMAP on a made scene: an open book before a wall, both of noise, seen from cameras that are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from benchmarks import colmap, photogrammetry
from benchmarks import photogrammetry_report as report

WIDTH, HEIGHT, FOCAL, VIEWS = 360, 270, 432.0, 7
# Corners in metres, y down: two pages that meet at a spine nearer to the cameras, and a wall behind.
LEFT = np.array([[-0.7, -0.5, 0.35], [0.0, -0.5, 0.0], [0.0, 0.5, 0.0], [-0.7, 0.5, 0.35]])
RIGHT = LEFT[[1, 0, 3, 2]] * [-1, 1, 1]
WALL = np.array([[-4.0, -3, 1.5], [4, -3, 1.5], [4, 3, 1.5], [-4, 3, 1.5]])


def noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Blots of several sizes, uint8 [height, width]."""
    scales = [cv2.resize(rng.standard_normal((height // s, width // s)), (width, height)) for s in (7, 16, 40)]
    mixed = sum(scales)
    return np.clip(128 + 45 * mixed, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``training.render turntable`` would have written."""
    root = tmp_path_factory.mktemp("scene")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    faces = [(WALL, noise(rng, 1600, 1200), 0), (LEFT, noise(rng, 300, 380), 255), (RIGHT, noise(rng, 300, 380), 255)]
    K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
    views = []
    for i, angle in enumerate(np.linspace(-0.4, 0.4, VIEWS)):
        eye = np.array([2.2 * np.sin(angle), 0.15 * (i % 3 - 1), 0.2 - 2.2 * np.cos(angle)])
        z = np.array([0, 0, 0.2]) - eye
        z /= np.linalg.norm(z)
        x = np.cross([0, 1.0, 0], z)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        t = -R @ eye
        image, mask = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        for corners, texture, value in faces:
            seen = (corners @ R.T + t) @ K.T
            # cv2 counts from the centre of the first pixel, cameras from its corner.
            target = (seen[:, :2] / seen[:, 2:] - 0.5).astype(np.float32)
            h, w = texture.shape
            source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
            warp = cv2.getPerspectiveTransform(source.astype(np.float32), target)
            here = cv2.warpPerspective(np.full_like(texture, 255), warp, (WIDTH, HEIGHT)) > 127
            image[here] = cv2.warpPerspective(texture, warp, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)[here]
            mask[here] = value
        names = {"file": f"images/v{i}.jpg", "mask": f"masks/v{i}.png"}
        cv2.imwrite(str(root / names["file"]), image)
        cv2.imwrite(str(root / names["mask"]), mask)
        views.append({**names, "K": K.tolist(), "R": R.tolist(), "t": t.tolist(), "width": WIDTH, "height": HEIGHT})
    (root / "cameras.json").write_text(json.dumps({"views": views}))
    mesh = trimesh.Trimesh(np.concatenate([LEFT, RIGHT]), [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], process=False)
    mesh.export(root / "object.ply")
    return root


def test_masks_leave_the_object_and_make_matching_cheaper(scene: Path, tmp_path: Path) -> None:
    photogrammetry.link(scene / "masks", tmp_path / "masks")
    found = {}
    for name, masks in ((report.BEFORE, None), (report.AFTER, tmp_path / "masks")):
        for step in photogrammetry.STEPS:
            photogrammetry.reconstruct(step, scene, tmp_path / name, masks, threads=2, seed=1)
        found[name] = report.column(tmp_path / name)
    found[report.LIMIT] = found[report.AFTER]
    before, after = found[report.BEFORE], found[report.AFTER]
    assert before["mapping"]["aligned"] == after["mapping"]["aligned"] == VIEWS
    assert after["features"]["features"] < 0.7 * before["features"]["features"]
    assert before["cloud"]["off"] > before["cloud"]["on"] / 4 > 20
    assert after["cloud"]["on"] > 80
    assert after["cloud"]["off"] < 0.02 * after["cloud"]["on"]
    for column in (before, after):
        assert column["cloud"]["cameras_in_place"] == VIEWS
        assert column["cloud"]["distance_median_mm"] < 5
        assert column["cloud"]["fitted_median_mm"] < 5
        assert column["matching"]["peak_mib"] > 20
        assert column["matching"]["cpu_seconds"] > 0
    answers = report.targets(found, VIEWS)
    assert answers["cameras aligned, not fewer"]["met"]
    text = report.table(found, VIEWS)
    assert f"| cameras aligned, of {VIEWS} | {VIEWS} | {VIEWS} | +0.0 % | {VIEWS} |" in text
    assert "nan" not in text
    report.picture({name: tmp_path / name for name in (report.BEFORE, report.AFTER)}, scene, tmp_path / "clouds.png")
    assert cv2.imread(str(tmp_path / "clouds.png")).shape[0] > 500
    # A step that is done is not done again.
    (tmp_path / report.AFTER / "matches.db").unlink()
    photogrammetry.reconstruct("matching", scene, tmp_path / report.AFTER, tmp_path / "masks", threads=1, seed=1)
    assert not (tmp_path / report.AFTER / "matches.db").exists()


def test_distance_is_to_the_surface_and_not_to_a_corner() -> None:
    box = trimesh.creation.box((2, 2, 2))
    points = np.array([[0, 0, 1.5], [0.3, 0.2, 0.9], [2, 2, 1], [1, 0.1, 0.7]])
    surface = colmap.Surface(box.vertices, box.faces)
    assert surface.distances(points) == pytest.approx([0.5, 0.1, np.sqrt(2), 0], abs=1e-6)


def test_a_best_fit_undoes_a_small_similarity_and_leaves_strays_out() -> None:
    rng = np.random.default_rng(0)
    box = trimesh.creation.box((0.4, 1, 0.3))
    surface = colmap.Surface(box.vertices, box.faces)
    turn = trimesh.transformations.rotation_matrix(0.004, [1, 2, 3])[:3, :3]
    moved = 1.003 * trimesh.sample.sample_surface(box, 600, seed=1)[0] @ turn.T + [0.002, -0.001, 0.002]
    strays = rng.uniform(0.5, 0.8, (60, 3))
    fitted = surface.distances(colmap.best_fit(np.concatenate([moved, strays]), surface))
    assert np.median(surface.distances(moved)) > 5e-4
    assert np.median(fitted[:600]) < 5e-5
    assert fitted[600:].min() > 0.1


def test_a_reconstruction_without_the_object_misses_its_targets() -> None:
    def column(aligned: int, matching: float, **cloud: float) -> report.Column:
        times = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mib": 100.0}
        return {
            "features": {**times, "features": 100},
            "matching": {**times, "cpu_seconds": matching},
            "mapping": {**times, "aligned": aligned},
            "cloud": {"on": 0, "off": 0, **cloud},
        }

    found = {
        report.BEFORE: column(9, 10.0, distance_median_mm=1.0),
        report.AFTER: column(2, 4.0),
        report.LIMIT: column(9, 4.0, distance_median_mm=1.0),
    }
    assert [answer["met"] for answer in report.targets(found, 9).values()] == [True, False, False]
    assert "| object's points to the mesh, median mm | 1.00 |  |  | 1.00 |" in report.table(found, 9)
