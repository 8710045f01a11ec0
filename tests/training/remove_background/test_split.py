"""What is kept for the test is kept from training: by source, by likeness, and by what weights saw before."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from PIL import Image

from services.common import models
from tests.training.remove_background.conftest import disc, write_pairs
from training.remove_background import data, drawn, evaluate, lineage, recipe, sources, split, streets
from training.remove_background.config import Config
from training.remove_background.split import Side


def test_several_folders_are_all_trained_on_by_their_weights(tmp_path: Path) -> None:
    folders = tuple(write_pairs(tmp_path / name, 12, seed) for seed, name in enumerate(("first", "second", "third")))
    config = replace(Config(), mixture=(("pairs", 1.0),), weights=(("second", 3.0), ("third", 0.0)), size=32, batch=4, steps=40)
    seen = data.load(data.Folders(pairs=folders), config)
    assert seen.pairs == ("first", "second", "third")
    assert set(seen.held) == {"first", "second", "third"}
    shares = data.shares(seen, config)
    counts = [len(seen.train[name]) for name in seen.pairs]
    assert shares["second"] / shares["first"] == pytest.approx(3 * counts[1] / counts[0])
    assert shares["third"] == 0
    # And so they are drawn: the folders are made to be told apart by the colour of their pictures.
    for shade, name in enumerate(seen.pairs):
        source = seen.train[name]
        seen.train[name] = replace(source, pixels=np.full_like(source.pixels, 100 * shade))
    means = np.concatenate([pixels.mean((1, 2, 3)) for pixels, _ in data.batches(seen, config, 0, 0)])
    assert 0.5 < (means > 50).mean() < 0.95
    with pytest.raises(sources.DataError, match="two folders have one name"):
        data.load(data.Folders(pairs=(folders[0], write_pairs(tmp_path / "other" / "first", 3))), config)


def test_a_near_duplicate_of_a_held_picture_is_not_trained_on(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "mine", 12)
    held = next(path for path in sorted((folder / "images").iterdir()) if split.side("mine", path.stem) is Side.DEVELOPMENT)
    name = next(f"copy{i}" for i in range(99) if split.side("mine", f"copy{i}") is Side.TRAIN)
    with Image.open(held) as picture, Image.open(folder / "masks" / held.name) as mask:
        size = (picture.width * 3 // 4, picture.height * 3 // 4)
        picture.resize(size).save(folder / "images" / f"{name}.jpg", quality=60)
        mask.resize(size).save(folder / "masks" / f"{name}.png")
    seen = data.load(data.Folders(pairs=(folder,)), Config())
    assert held.stem in seen.held["mine"].names
    assert name not in seen.train["mine"].names
    assert len(seen.train["mine"]) > 5


def test_a_picture_is_like_its_copies_and_its_mirror_image_only() -> None:
    rng = np.random.default_rng(0)
    one, other = (cv2.GaussianBlur(rng.integers(0, 255, (90, 90, 3)).astype(np.uint8), (0, 0), 9) for _ in range(2))
    one, other = ((p.astype(float) - p.min()) / (p.max() - p.min()) * 255 for p in (one, other))
    one, other = one.astype(np.uint8), other.astype(np.uint8)
    copies = [
        cv2.resize(one, (60, 50), interpolation=cv2.INTER_AREA),
        one[:, ::-1],
        np.clip(one * 0.8 + 10, 0, 255).astype(np.uint8),
    ]
    assert split.apart(map(split.fingerprint, [*copies, other]), [split.fingerprint(one)]) == [False, False, False, True]
    assert split.apart([1, 2], []) == [True, True]


def test_groups_stay_together(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "scenes_empty", 12) / "images"
    with (tmp_path / "scenes_empty" / "labels.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "kind", "source_repo"])
        rows.writerows([f"images/disc{i:02d}.png", "street", f"site{i % 3}"] for i in range(12))
    group = split.groups(folder.parent)
    sides = {split.side("scenes_empty", group(path.stem)) for path in folder.iterdir() if group(path.stem) == "site1"}
    assert len(sides) == 1
    for side in Side:
        split.main([folder.parent], tmp_path / "linked", side)
        linked = [path.stem for path in (tmp_path / "linked").iterdir()]
        assert {split.side("scenes_empty", group(stem)) for stem in linked} <= {side}
        shutil.rmtree(tmp_path / "linked")
    named = split.RULES["scenes_empty"].named or {}
    assert all(split.side("scenes_empty", name) is Side.TRAIN for name in named)


def test_weights_that_saw_the_test_are_refused(tmp_path: Path) -> None:
    kept = next(f"ecssd_{i}" for i in range(999) if split.side("masks_ecssd", f"ecssd_{i}") is Side.TEST)
    other = next(f"ecssd_{i}" for i in range(999) if split.side("masks_ecssd", f"ecssd_{i}") is Side.TRAIN)
    (tmp_path / "best.weights.h5").touch()
    with pytest.raises(sources.DataError, match="what these weights have seen is not known"):
        lineage.of(tmp_path / "best.weights.h5")
    lineage.write(tmp_path, {"masks_ecssd": [other]}, {}, 100, {"seen": {"masks_ecssd": [kept]}, "chosen_on": {}, "draws": 5})
    found = lineage.of(tmp_path / "best.weights.h5")
    assert found["draws"] == 105
    with pytest.raises(sources.DataError, match=f"has seen what is kept for the test: masks_ecssd: {kept}"):
        lineage.check(found, "it")
    with pytest.raises(sources.DataError, match="sculpture_scans"):
        lineage.check({"seen": {"sculpture_scans": ["*"]}}, "it")
    lineage.check({"seen": {"masks_ecssd": [other], "cutouts_tuxpaint": ["*"]}}, "it")


def test_the_recipe_names_weights_by_their_digest(tmp_path: Path) -> None:
    bundle = tmp_path / "0.0.1"
    variables = bundle / "saved_model" / "variables" / "variables.data-00000-of-00001"
    variables.parent.mkdir(parents=True)
    variables.write_bytes(b"weights")
    text = 'pairs = ["mine"]\n[start]\nbundle = "{}"\nsha256 = "{}"\n[settings]\nepochs = 7\nsizes = [[0, 64], [3, 96]]\n'
    path = tmp_path / "recipe.toml"
    path.write_text(text.format(bundle, lineage.sha256(bundle)))
    read = recipe.read(path, tmp_path)
    assert read.weights() == bundle
    config = read.applied(Config())
    assert (config.epochs, config.sizes) == (7, ((0, 64), (3, 96)))
    with pytest.raises(sources.DataError, match="mine: is missing"):
        read.paths("pairs")
    variables.write_bytes(b"other weights")
    with pytest.raises(sources.DataError, match="the recipe begins from"):
        read.weights()
    shutil.rmtree(bundle)
    with pytest.raises(sources.DataError, match=r"0\.0\.1: is missing"):
        read.weights()
    path.write_text("[settings]\nepoch = 7\n")
    with pytest.raises(sources.DataError, match="epoch"):
        recipe.read(path, tmp_path).applied(Config())


def test_the_shipped_recipe_begins_from_weights_that_may_be_used() -> None:
    root = Path(__file__).parents[3]
    for path in (root / "training" / "remove_background" / "recipes").glob("*.toml"):
        read = recipe.read(path, root)
        read.applied(Config())
        assert read.file.start is not None
        lineage.check(lineage.of(root / read.file.start.bundle), str(path))


def test_an_outline_drawn_by_hand_is_filled() -> None:
    found = drawn.within((20, 30), [[5, 4], [14, 4], [14, 13], [5, 13]])
    assert found.shape == (20, 30)
    assert found.sum() == 100
    assert found[4:14, 5:15].all()


def test_a_mask_drawn_by_hand_is_the_dark_figure_above_the_ground() -> None:
    pixels = np.full((150, 100, 3), 230, np.uint8)
    pixels[20:130, 40:60] = 60
    pixels[70, 50:52] = 250
    pixels[5, 5:7] = pixels[60:65, 95:99] = 60
    # The ground falls from 100 to 104; a highlight is filled, a bird and what is beyond the columns left out.
    mask = drawn.mask(pixels, 165, [3, 90], [[0, 100], [99, 104]])
    assert mask[20:101, 40:60].all()
    assert not mask[104:].any()
    assert not mask[:, 60:].any()
    assert not mask[:20].any()


def test_scans_in_streets_are_those_of_the_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    renders = tmp_path / "renders"
    write_pairs(renders, 4)
    (renders / "index.csv").write_text(
        "file,mask,scan\n"
        + "".join(
            f"images/disc{i:02d}.png,masks/disc{i:02d}.png,{scan}\n"
            for i, scan in enumerate(["Athena", "Nymph", "Athena", "Athena+Nymph"])
        )
    )
    scenes = tmp_path / "some_scenes"
    scenes.mkdir()
    for name in [str(i) for i in range(60) if split.side("some_scenes", str(i)) is Side.DEVELOPMENT]:
        Image.fromarray(rng.integers(0, 90, (40, 60, 3)).astype(np.uint8)).save(scenes / f"{name}.png")
    out = tmp_path / "streets"
    with pytest.raises(typer.Exit):
        # Scenes of a folder that no rule names are never for the test.
        streets.main(renders, scenes, out, Side.TEST, 3, 0)
    streets.main(write_like(renders, "LionStatue"), scenes, out, Side.DEVELOPMENT, 3, 0)
    sets = evaluate.pictures(Side.DEVELOPMENT, evaluate.Folders(made=(out,)))
    assert len(sets["streets"]) == 3
    for picture, mask in sets["streets"]:
        assert isinstance(mask, Path)
        with Image.open(picture) as image, Image.open(mask) as alpha:
            assert image.size == alpha.size == (512, 341)
            assert np.asarray(alpha).max() == 255


def write_like(renders: Path, scan: str) -> Path:
    """The renders with every scan called ``scan``."""
    rows = (renders / "index.csv").read_text().splitlines()
    (renders / "index.csv").write_text(
        "\n".join([rows[0], *(",".join([*row.split(",")[:2], scan]) for row in rows[1:])]) + "\n"
    )
    return renders


def test_painted_out_objects_are_gone() -> None:
    rng = np.random.default_rng(2)
    pixels, mask = disc(rng)
    small = sources.Source(np.stack([pixels, pixels]), np.stack([mask, np.full_like(mask, 255)]), ("a", "b"), ("a", "b"))
    gone = sources.painted_out(small, 0.4)
    assert gone.names == ("a",)
    assert not gone.masks.any()
    assert pixels[mask > 0].min() >= 100
    assert gone.pixels[0][mask > 0].max() < 100


def test_a_batch_holds_no_picture_twice(world: Path) -> None:
    config = replace(Config(), size=32, batch=6, steps=3)
    seen = data.load(data.Folders(pairs=(world / "pairs",), backgrounds=(world / "backgrounds",)), config)
    rng, used = np.random.default_rng(0), set[str]()
    for _ in range(8):
        before = len(used)
        data.example(seen, "pairs", 32, rng, used)
        assert len(used) == before + 1


def test_the_side_of_a_folder_decides_what_is_scored(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "masks_ecssd", 40)
    test, development = (evaluate.pictures(side, evaluate.Folders(pairs=(folder,))) for side in (Side.TEST, Side.DEVELOPMENT))
    assert test["masks_ecssd"] and development["masks_ecssd"]
    assert not {path for path, _ in test["masks_ecssd"]} & {path for path, _ in development["masks_ecssd"]}
    with pytest.raises(sources.DataError, match="none of the folders given"):
        evaluate.pictures(Side.TEST, evaluate.Folders(pairs=(write_pairs(tmp_path / "masks_msrc_cows", 2),)))


def test_a_run_may_begin_from_the_shipped_bundle() -> None:
    shipped = models.latest(Path(__file__).parents[3] / "exported_models", "remove_background")
    for path in lineage.EARLIER.glob("*.json"):
        lineage.check(json.loads(path.read_text()), path.stem)
    found = lineage.of(shipped)
    lineage.check(found, shipped.name)
    assert found["seen"]
