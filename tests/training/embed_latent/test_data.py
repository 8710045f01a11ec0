"""Photographs, their objects, their masks, and what is wrong with a table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common import images, models
from services.embed_latent.predictor import Masker, on_white
from tests import tiny
from tests.training.embed_latent.conftest import write_table
from training.embed_latent import augment, background, data


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PS1_TL.2009.20.136_3QtrRt_DD_T10.jpg", "PS1_TL.2009.20.136_Fnt_DD_T10(1).jpg"),
        ("Small_Figure_LACMA_M.86.296.147c_(1_of_8).jpg", "Small_Figure_LACMA_M.86.296.147i.jpg"),
        ("figureonstool-Met.jpeg", "figureonstool2-Met.jpeg"),
        ("Female_Figure_MET_1979.206.357_a.jpg", "Female_Figure_MET_1979.206.357_b.jpg"),
        ("1990.138_web(1).jpg", "1990.138_web.jpg"),
    ],
)
def test_views_of_one_object_share_its_name(one: str, other: str) -> None:
    assert data.object_name(one) == data.object_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("figurilla-museo-20200106-032549.jpg", "figurilla-museo-20200106-032719.jpg"),
        ("54-3880_o6.jpg", "54-3887_o6.jpg"),
        ("PS1_2009.20.60.1_Fnt_DD_T10.jpg", "PS1_2009.20.60.2_Fnt_DD_T10.jpg"),
        ("ma-47606.jpg", "ma-47607.jpg"),
    ],
)
def test_different_objects_keep_different_names(one: str, other: str) -> None:
    assert data.object_name(one) != data.object_name(other)


def test_an_object_never_lies_on_both_sides_of_a_split(works: data.Works) -> None:
    for fold in range(3):
        train, held = data.split(works, folds=3, fold=fold, seed=0)
        assert not set(works.objects[train]) & set(works.objects[held])
        assert sorted([*train, *held]) == list(range(len(works)))
        assert set(works.groups[held]) == set(works.names)


def test_the_same_picture_under_two_names_is_one_object(collection: Path, tmp_path: Path) -> None:
    shutil.copytree(collection, tmp_path, dirs_exist_ok=True)
    Image.open(tmp_path / "Cerro_0.jpg").resize((150, 200)).save(tmp_path / "again.png")
    table = (tmp_path / "labels.csv").read_text() + "again.png,Cerro,Museum Three,another catalogue.png\n"
    (tmp_path / "labels.csv").write_text(table)
    loaded = data.load(tmp_path)
    objects = dict(zip(loaded.files, loaded.objects, strict=True))
    assert objects["again.png"] == objects["Cerro_0.jpg"]
    assert objects["again.png"] != objects["Cerro_1.jpg"]


def test_an_object_under_two_labels_is_left_out_and_said_so(collection: Path, tmp_path: Path) -> None:
    shutil.copytree(collection, tmp_path, dirs_exist_ok=True)
    table = (tmp_path / "labels.csv").read_text() + "Cerro_0.jpg,Barranca,,inv Cerro 10_web.jpg\n"
    (tmp_path / "labels.csv").write_text(table)
    with pytest.warns(UserWarning, match=r"two labels: Cerro_0\.jpg"):
        assert "Cerro_0.jpg" not in data.load(tmp_path).files


def _one(name: str, label: str) -> dict[str, str]:
    return {"file": name, "label": label, "source": "", "original_name": name}


def test_bad_tables_are_named(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match="no such table"):
        data.load(tmp_path)
    (tmp_path / "labels.csv").write_text("picture,culture\na.jpg,b\n")
    with pytest.raises(data.DataError, match="columns file and label"):
        data.load(tmp_path)
    with pytest.raises(data.DataError, match=r"not in .*, the first is gone\.jpg"):
        data.load(write_table(tmp_path, [_one("gone.jpg", "Arroyo")]))
    for name in ("Arroyo_0.jpg", "Arroyo_2.jpg", "Cerro_0.jpg"):
        shutil.copy(collection / name, tmp_path)
    with pytest.raises(data.DataError, match="'Cerro' holds one object"):
        data.load(write_table(tmp_path, [_one(n, n.split("_")[0]) for n in ("Arroyo_0.jpg", "Arroyo_2.jpg", "Cerro_0.jpg")]))
    with pytest.raises(data.DataError, match="at least two are needed"):
        data.load(write_table(tmp_path, [_one(n, "Arroyo") for n in ("Arroyo_0.jpg", "Arroyo_2.jpg")]))
    with pytest.raises(data.DataError, match="line 3: the file or its label is empty"):
        data.load(write_table(tmp_path, [_one("Arroyo_0.jpg", "Arroyo"), _one("Cerro_0.jpg", " ")]))


def test_a_flat_picture_and_a_broken_one_are_named(collection: Path, tmp_path: Path) -> None:
    Image.new("RGB", (120, 200), (90, 90, 90)).save(tmp_path / "flat.png")
    shutil.copy(collection / "Cerro_0.jpg", tmp_path)
    with pytest.raises(data.DataError, match=r"flat\.png: is one flat colour"):
        data.load(write_table(tmp_path, [_one("Cerro_0.jpg", "Cerro"), _one("flat.png", "Arroyo")]))
    (tmp_path / "broken.jpg").write_bytes((collection / "Cerro_1.jpg").read_bytes()[:800])
    with pytest.raises(data.DataError, match=r"broken\.jpg"):
        data.load(write_table(tmp_path, [_one("Cerro_0.jpg", "Cerro"), _one("broken.jpg", "Arroyo")]))


def test_the_mask_finds_a_figure_before_a_faded_wall() -> None:
    y, x = np.mgrid[:160, :120]
    wall = np.repeat((60 + 0.8 * y)[..., None], 3, axis=2)
    figure = ((x - 60) / 30) ** 2 + ((y - 80) / 55) ** 2 < 1
    picture = np.where(figure[..., None], (180, 90, 60), wall).astype(np.uint8)
    found = background.figure_mask(picture)
    assert (found & figure).sum() / (found | figure).sum() > 0.93


def test_the_mask_of_an_empty_wall_hides_nothing() -> None:
    assert background.figure_mask(np.full((80, 80, 3), 200, np.uint8)).all()


def test_a_flat_backdrop_leaves_the_figure_and_replaces_the_rest(works: data.Works) -> None:
    picture, mask = works.pixels[0], works.masks[0]
    black = augment.plain(picture, mask, len(picture), "black")
    far = ~background.ndimage.binary_dilation(mask, iterations=4)
    deep = background.ndimage.binary_erosion(mask, iterations=4)
    assert black[far].max() <= 2
    assert np.abs(black[deep].astype(int) - picture[deep]).max() <= 2


def test_views_are_the_seeds(works: data.Works) -> None:
    pair = works.pixels[3], works.masks[3]
    one, again, other = (augment.view(*pair, 96, np.random.default_rng(seed), 0.5) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_masks_by_the_mask_service_s_model_are_those_of_serving(collection: Path, works: data.Works, tmp_path: Path) -> None:
    """The tiny model takes dark pixels for the object; the split is the one that the fitted masks gave."""
    bundle = tiny.remove_background(tmp_path)
    ours = data.load(collection, cache=tmp_path / "cache", mask_model=bundle)
    again = data.load(collection, cache=tmp_path / "cache", mask_model=bundle)
    np.testing.assert_array_equal(ours.masks, again.masks)
    assert not np.array_equal(ours.masks, works.masks)
    np.testing.assert_array_equal(ours.objects, works.objects)
    masker = Masker(models.load(bundle))

    def prepare(pixels: np.ndarray) -> np.ndarray:
        return images.resize(pixels, (224, 224), images.ResizeRule.LETTERBOX)

    for index in (0, 7, 13):
        photograph = images.decode((collection / ours.files[index]).read_bytes(), images.Limits(), images.Frame.DISPLAY)
        figure = masker.mask(photograph.pixels, prepare)
        assert figure is not None
        served = on_white(prepare(photograph.pixels), figure).astype(int)
        trained = augment.plain(ours.pixels[index], ours.masks[index], 224, "white").astype(int)
        assert np.abs(served - trained).max() <= 16  # Pillow and SciPy blur a little differently
        assert np.abs(served - trained).mean() < 0.3
        assert (trained < 250).any()
