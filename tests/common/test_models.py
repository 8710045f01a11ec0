"""A bundle that is not whole, not the one that was written, or answers differently is refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.common import images, models
from services.common.models import BundleError
from tests import tiny


@pytest.fixture
def folder(bundles: Path, tmp_path: Path) -> Path:
    """A copy of the embedding bundle, which has a file beside the graph, to be damaged."""
    return Path(shutil.copytree(bundles / "embed_latent" / "0.0.1", tmp_path / "0.0.1"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rehash(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(folder / "manifest.json", files={name: models.sha256(folder / name) for name in manifest["files"]})


def test_a_whole_bundle_loads_and_answers(folder: Path) -> None:
    bundle = models.load(folder)
    assert bundle.manifest.service == "embed_latent"
    assert bundle.outputs == ("latent", "features")
    batch = np.stack([np.full((tiny.SIZE, tiny.SIZE, 3), level, np.uint8) for level in (0, 255)])
    outputs = bundle.run(batch)
    assert outputs["latent"].tolist() == [[0, 0], [5, 5]]
    assert outputs["features"].shape == (2, 3)


def test_prepare_follows_the_manifest(folder: Path) -> None:
    prepared = models.load(folder).prepare(np.zeros((200, 300, 3), np.uint8))
    assert prepared.shape == (tiny.SIZE, tiny.SIZE, 3)
    assert prepared.dtype == np.uint8


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.json", "reference.npz"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        models.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "reference.npz"])
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(BundleError, match=rf"{name}: sha256 is"):
        models.load(folder)


def test_a_graph_the_manifest_does_not_list_is_refused(folder: Path) -> None:
    edit(folder / "manifest.json", files={})
    with pytest.raises(BundleError, match="the manifest says nothing"):
        models.load(folder)


def test_a_listed_file_outside_the_folder_is_refused(folder: Path) -> None:
    (folder.parent / "outside").write_bytes(b"x")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder / "manifest.json", files=files | {"../outside": models.sha256(folder.parent / "outside")})
    with pytest.raises(BundleError, match="outside: missing"):
        models.load(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"version": "../up"}, "version"),
        ({"schema_version": 2}, "schema_version"),
        ({"opset": 9}, "opset"),
        ({"input": {"height": 0, "width": 32, "resize": "squash"}}, "input.height"),
        ({"input": {"height": 32, "width": 32, "resize": "stretch"}}, "input.resize"),
    ],
)
def test_a_wrong_manifest_names_the_field(folder: Path, changes: dict[str, Any], field: str) -> None:
    edit(folder / "manifest.json", **changes)
    with pytest.raises(BundleError, match=field):
        models.load(folder)


def test_a_differing_golden_answer_is_refused(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["outputs"]["latent"]["values"][1] += 0.01
    edit(folder / "golden.json", **golden)
    with pytest.raises(BundleError, match=r"'latent' differs from the golden answer by 0\.01"):
        models.load(folder)


def test_a_golden_answer_of_another_shape_is_refused(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["outputs"]["latent"] = {"shape": [1, 3], "values": [0, 0, 0]}
    edit(folder / "golden.json", **golden)
    with pytest.raises(BundleError, match="shape"):
        models.load(folder)


def test_a_golden_answer_for_an_unknown_output_is_refused(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["outputs"]["extra"] = golden["outputs"]["latent"]
    edit(folder / "golden.json", **golden)
    with pytest.raises(BundleError, match="no output 'extra'"):
        models.load(folder)


def test_a_golden_answer_that_is_not_a_number_is_refused(folder: Path, tmp_path: Path) -> None:
    """NaN compares as neither larger nor smaller; it must not pass for equal."""
    text = (folder / "golden.json").read_text()
    golden = json.loads(text)
    first = golden["outputs"]["latent"]["values"][0]
    (folder / "golden.json").write_text(text.replace(f"{first!r}", "NaN", 1))
    with pytest.raises(BundleError):
        models.load(folder)


def test_a_golden_picture_that_is_damaged_is_refused(folder: Path) -> None:
    edit(folder / "golden.json", image="AAAA")
    with pytest.raises(BundleError, match=r"golden\.json"):
        models.load(folder)


def test_a_file_that_is_no_graph_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    rehash(folder)
    with pytest.raises(BundleError, match="cannot open"):
        models.load(folder)


class TestArrays:
    def test_reads_the_named_ones(self, folder: Path) -> None:
        arrays = models.load(folder).arrays("reference.npz", "ids", "latents")
        assert arrays["latents"].shape == (9, 2)
        assert list(arrays) == ["ids", "latents"]

    def test_never_unpickles(self, folder: Path) -> None:
        np.savez(folder / "reference.npz", ids=np.array([{"a": 1}], dtype=object), allow_pickle=True)
        rehash(folder)
        with pytest.raises(BundleError, match=r"reference\.npz"):
            models.load(folder).arrays("reference.npz", "ids")

    @pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 half an archive"])
    def test_a_file_that_is_no_archive(self, folder: Path, content: bytes) -> None:
        (folder / "reference.npz").write_bytes(content)
        rehash(folder)
        with pytest.raises(BundleError, match=r"reference\.npz"):
            models.load(folder).arrays("reference.npz", "ids")

    def test_a_missing_array_is_named(self, folder: Path) -> None:
        with pytest.raises(BundleError, match="surnames"):
            models.load(folder).arrays("reference.npz", "surnames")

    def test_a_file_off_the_manifest_is_not_read(self, folder: Path) -> None:
        np.savez(folder / "other.npz", a=np.zeros(1))
        with pytest.raises(BundleError, match=r"does not list other\.npz"):
            models.load(folder).arrays("other.npz", "a")


class TestLatest:
    @pytest.mark.parametrize(
        ("versions", "expected"),
        [
            (["0.9.0", "0.10.0", "0.2.0"], "0.10.0"),
            (["1.0.0", "1.0.0-rc.1"], "1.0.0"),
            (["1.0.0-rc.2", "1.0.0-rc.10"], "1.0.0-rc.10"),
            (["2", "10", "9"], "10"),
        ],
    )
    def test_versions_sort_naturally(self, tmp_path: Path, versions: list[str], expected: str) -> None:
        for version in versions:
            (tmp_path / "classify" / version).mkdir(parents=True)
            (tmp_path / "classify" / version / "manifest.json").touch()
        assert models.latest(tmp_path, "classify").name == expected

    def test_folders_without_a_manifest_do_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "classify" / "9.9.9").mkdir(parents=True)
        with pytest.raises(BundleError, match="holds no bundle"):
            models.latest(tmp_path, "classify")

    def test_no_folder_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="classify: holds no bundle"):
            models.latest(tmp_path, "classify")


def test_sample_spreads_over_a_large_output() -> None:
    output = np.arange(1000, dtype=np.float32).reshape(1, 10, 100)
    sample = models.Sample.of(output)
    assert sample.shape == (1, 10, 100)
    assert len(sample.values) == 256
    assert (sample.values[0], sample.values[-1]) == (0, 999)


def test_the_golden_picture_goes_the_way_of_every_photograph(folder: Path) -> None:
    bundle = models.load(folder)
    picture = images.decode(tiny.picture(7), images.Limits(), images.Frame.DISPLAY)
    golden = models.Golden.of(tiny.picture(7), bundle.run(bundle.prepare(picture.pixels)[None]))
    assert json.loads((folder / "golden.json").read_text())["outputs"] == golden.model_dump(mode="json")["outputs"]
