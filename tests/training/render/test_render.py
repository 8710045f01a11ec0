"""The renderer on a ball: same seed same bytes, exact masks, cameras that project where they say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from training.render import scenes
from training.render.camera import look_at
from training.render.cli import app
from training.render.cutting import cut
from training.render.forms import TYPES
from training.render.furniture import plain
from training.render.lighting import Lamp, studio
from training.render.meshes import Part, load_scan, primitive
from training.render.shade import Renderer, Scene


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made scans: a ball and a tall ball."""
    folder = tmp_path_factory.mktemp("scans")
    for name, tall in (("Ball", 1.0), ("Egg", 2.0)):
        mesh = trimesh.creation.icosphere(subdivisions=4)
        mesh.apply_scale([1, tall, 1])
        (folder / f"{name}.glb").write_bytes(mesh.export(file_type="glb"))
    return folder


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def invoke(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def ball_scene(renderer: Renderer) -> Scene:
    rng = np.random.default_rng(0)
    ball = Part(primitive("sphere", 0.5, (0, 0.5, 0)), plain(rng, 0.5), is_object=True)
    floor = Part(primitive("cylinder", (4, 0.1, 4), (0, -0.05, 0)), plain(rng, 0.5), casts=False)
    lamp = Lamp(np.array([1.0, 4, 1]), np.array([0, 0.5, 0]), np.ones(3) * 4, 0.6, 0.2)
    scene = Scene([ball, floor], [lamp], studio(rng, [0.2] * 3, [0.2] * 3, [0.1] * 3, 1, 2))
    renderer.load(scene)
    return scene


def test_a_seed_gives_the_same_bytes_and_a_run_resumes(scans: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    common = ("--scans", scans, "--size", 64, "--seed", 7, "--empty", 0.3)
    invoke("photos", *common, "--out", one, "--count", 4)
    invoke("photos", *common, "--out", two, "--count", 3)
    kept = (two / "images/007_000001.jpg").stat().st_mtime_ns
    (two / "masks/007_000002.png").unlink()  # as if killed between the two files
    with (two / "index.csv").open("a") as f:
        f.write("images/007_0000")  # and in the middle of a row
    invoke("photos", *common, "--out", two, "--count", 4)
    assert (two / "images/007_000001.jpg").stat().st_mtime_ns == kept
    assert files(one) == files(two)


def test_the_index_describes_each_photograph(scans: Path, tmp_path: Path) -> None:
    invoke("photos", "--scans", scans, "--size", 96, "--seed", 3, "--count", 6, "--empty", 0.4, "--out", tmp_path)
    seen = rows(tmp_path)
    assert len(seen) == 6
    for row in seen:
        mask = np.asarray(Image.open(tmp_path / row["mask"]))
        image = np.asarray(Image.open(tmp_path / row["file"]))
        assert mask.shape == (96, 96) and image.shape == (96, 96, 3)
        assert set(np.unique(mask)) <= {0, 255}
        assert float(row["coverage"]) == pytest.approx((mask > 0).mean(), abs=1e-4)
        assert (row["objects"] == "0") == (row["scan"] == "")
        if row["objects"] == "0":
            assert not mask.any()
    assert {row["objects"] for row in seen} > {"0"}


def test_only_the_named_scans_are_used(scans: Path, tmp_path: Path) -> None:
    invoke("photos", "--scans", scans, "--size", 64, "--count", 4, "--empty", 0, "--scan", "Egg", "--out", tmp_path)
    assert {row["scan"] for row in rows(tmp_path)} == {"Egg"}
    assert not any("Ball" in row["behind"] for row in rows(tmp_path))
    result = CliRunner().invoke(
        app, ["photos", "--scans", str(scans), "--scan", "None", "--count", "1", "--out", str(tmp_path)]
    )
    assert isinstance(result.exception, FileNotFoundError) and "None" in str(result.exception)


def test_people_are_the_object_where_they_are_the_subject(tmp_path: Path) -> None:
    invoke("people", "--out", tmp_path, "--count", 3, "--size", 64, "--seed", 4)
    found = rows(tmp_path)
    assert [row["scan"] for row in found] == ["person"] * 3
    for row in found:
        mask = np.asarray(Image.open(tmp_path / row["mask"]))
        assert float(row["coverage"]) == pytest.approx((mask > 0).mean(), abs=1e-4)
        assert mask.any()


def test_a_ball_covers_the_pixels_geometry_says(renderer: Renderer) -> None:
    ball_scene(renderer)
    camera = look_at(np.array([0.3, 1.2, 3.0]), np.array([0, 0.6, 0]), 240, 200, 260, roll=0.1, stretch=1.1)
    picture = renderer.render(camera)
    y, x = np.mgrid[0:200, 0:240]
    ray = camera.rays((x.ravel() + 0.5).astype(np.float32), (y.ravel() + 0.5).astype(np.float32)).astype(float)
    ray /= np.linalg.norm(ray, axis=1)[:, None]
    to = np.array([0, 0.5, 0]) - camera.centre
    along = ray @ to
    miss = np.sqrt(np.maximum(to @ to - along**2, 0)).reshape(200, 240)
    mask = picture.coverage >= 0.5
    # The ball is a polyhedron of 1,280 faces: it may lack 1 % of the radius at its outline, and nothing lies beyond it.
    assert mask[miss < 0.5 * 0.985].all()
    assert not mask[miss > 0.5 * 1.005].any()
    assert picture.depth[100, 120] == pytest.approx(np.linalg.norm(to) - 0.5, abs=0.05)


def test_shadows_fall_on_the_floor_and_are_background(renderer: Renderer) -> None:
    ball_scene(renderer)
    camera = look_at(np.array([0, 3.0, 3.0]), np.array([0, 0.2, 0]), 160, 160, 150)
    picture = renderer.render(camera)
    pixel, _ = camera.project(np.array([[-0.45, 0.0, -0.5], [1.2, 0.0, 0.0]]))
    (sx, sy), (lx, ly) = pixel.astype(int)
    shadow, lit = picture.light[sy, sx].mean(), picture.light[ly, lx].mean()
    assert picture.coverage[ly, lx] == 0
    assert shadow < 0.6 * lit or picture.coverage[sy, sx] > 0
    floor = picture.coverage == 0
    assert np.quantile(picture.light[floor].mean(1), 0.03) < 0.6 * lit


def test_a_large_picture_in_bands_equals_one_in_a_piece(renderer: Renderer) -> None:
    ball_scene(renderer)
    camera = look_at(np.array([0.3, 1.2, 3.0]), np.array([0, 0.6, 0]), 160, 120, 180)
    whole, banded = renderer.render(camera), renderer.render(camera, band=160 * 4 * 25)
    assert np.array_equal(whole.coverage, banded.coverage)
    # Rays rounded differently may tip a look-up to its neighbour here and there.
    difference = np.abs(whole.light - banded.light)
    assert np.quantile(difference, 0.999) < 1e-3 and difference.max() < 0.05


def test_cutting_closes_what_it_opens(scans: Path) -> None:
    ball = load_scan(scans / "Ball.glb")
    surface, cap = cut(ball, [((0, 0.5, 0), (0, 1, 0))])
    assert surface.v[:, 1].min() == pytest.approx(0.5, abs=1e-5)
    corners = cap.v[cap.f]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(np.pi * 0.25, rel=0.02)
    assert cut(ball, [((0, 2, 0), (0, 1, 0))]) == []


def test_types_makes_all_eight_by_work(scans: Path, tmp_path: Path) -> None:
    invoke("types", "--scans", scans, "--per-class", 2, "--size", 80, "--seed", 1, "--masks", "--out", tmp_path / "types")
    seen = rows(tmp_path / "types")
    for kind in TYPES:
        mine = [row for row in seen if row["type"] == kind]
        assert len(mine) == 2 and all((tmp_path / "types" / row["file"]).exists() for row in mine)
        assert all(row["work"] for row in mine)
    # Two views of one work.
    assert {row["work"] for row in seen if row["type"] == "organic_form"} == {"organic_form_1_0000"}
    masks = [np.asarray(Image.open(p)) for p in (tmp_path / "types_masks").rglob("*.png")]
    assert len(masks) == 16 and sum(m.any() for m in masks) >= 14


def test_turntable_cameras_project_the_mesh_onto_its_masks(scans: Path, tmp_path: Path) -> None:
    arguments = (
        "turntable",
        "--scan",
        scans / "Egg.glb",
        "--views",
        3,
        "--size",
        160,
        "--texture-size",
        128,
        "--out",
        tmp_path,
    )
    invoke(*arguments)
    record = json.loads((tmp_path / "cameras.json").read_text())
    mesh = trimesh.load_mesh(tmp_path / "object.ply")
    vertices = np.asarray(mesh.vertices)
    assert len(record["views"]) == 3
    for view in record["views"]:
        mask = np.asarray(Image.open(tmp_path / view["mask"])) > 0
        assert mask.shape == (view["height"], view["width"]) == (120, 160)
        K, R, t = (np.array(view[k]) for k in "KRt")
        p = (vertices @ R.T + t) @ K.T
        x, y = (p[:, :2] / p[:, 2:]).T
        inside = (x > 1) & (x < 159) & (y > 1) & (y < 119)
        grown = np.zeros_like(mask)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                grown |= np.roll(mask, (dy, dx), (0, 1))
        assert mask.any() and grown[y[inside].astype(int), x[inside].astype(int)].all()
        # And the other way: the mask reaches as far as the mesh does.
        ys, xs = np.nonzero(mask)
        if inside.all():
            assert abs(xs.min() - x.min()) < 1.5 and abs(ys.max() - y.max()) < 1.5
    before = files(tmp_path)
    (tmp_path / record["views"][2]["file"]).unlink()
    invoke(*arguments)
    assert files(tmp_path) == before


def test_a_photograph_depends_on_seed_and_number_only(scans: Path, renderer: Renderer) -> None:
    paths = {p.stem: p for p in scans.glob("*.glb")}
    second = scenes.photo(renderer, 5, 2, paths, [], 64, 0.0)
    scenes.photo(renderer, 5, 3, paths, [], 64, 0.0)
    again = scenes.photo(renderer, 5, 2, paths, [], 64, 0.0)
    assert np.array_equal(second.image, again.image) and second.row == again.row


def test_the_samples_are_small_and_masks_fit() -> None:
    folder = Path(__file__).parents[3] / "samples"
    pictures = sorted(folder.glob("*.jpg"))
    assert len(pictures) >= 6
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 600_000
    with Image.open(folder / "statue.jpg") as image, Image.open(folder / "statue_mask.png") as mask:
        assert image.size == mask.size and mask.mode == "L"
