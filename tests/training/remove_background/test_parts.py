"""Losses and measures against values worked out by hand, weights against another implementation, folders gone wrong."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from tests.training.remove_background.conftest import SIDE, disc, write_pairs
from training.remove_background import augment, data, losses, measures, model, sources, teacher, transfer
from training.remove_background.config import CONFIGURATIONS, Config


def picture(values: list[list[float]]) -> np.ndarray:
    return np.array(values, "float32")[None, ..., None]


def test_dice_loss_is_equation_one() -> None:
    truth, answer = picture([[1, 1], [0, 0]]), picture([[1, 0.5], [0.5, 0]])
    # Overlap 1.5, sums 2 and 2: 1 - (2 * 1.5 + 1) / (2 + 2 + 1).
    assert float(losses.dice(truth, answer)[0]) == pytest.approx(1 - 4 / 5)


def test_dice_loss_of_an_empty_scene() -> None:
    nothing = picture([[0, 0], [0, 0]])
    assert float(losses.dice(nothing, nothing)[0]) == pytest.approx(0)
    assert float(losses.dice(nothing, picture([[1, 1], [1, 0]]))[0]) == pytest.approx(1 - 1 / 4)


def test_emptiness_counts_in_hundredths_of_the_picture() -> None:
    truth, answer = np.zeros((2, 20, 20, 1), "float32"), np.zeros((2, 20, 20, 1), "float32")
    truth[1, 0, 0], answer[:, 5, 5:9] = 1, 1
    # 4 pixels are 1 % of 400; the second picture is not empty.
    np.testing.assert_allclose(losses.emptiness(truth, answer), [0.5, 0.0], atol=1e-6)


def test_cross_entropy_is_heavier_at_the_edge() -> None:
    truth = np.zeros((1, 20, 20, 1), "float32")
    truth[:, :, :10] = 1
    edge = np.asarray(losses.edge(truth))[0, 0, :, 0]
    assert edge.tolist() == [0.0] * 7 + [1.0] * 6 + [0.0] * 7
    even = np.full_like(truth, 0.5)
    assert float(losses.edge_cross_entropy(truth, even)[0]) == pytest.approx(math.log(2), rel=1e-5)
    wrong_inside, wrong_at_edge = truth.copy(), truth.copy()
    wrong_inside[:, :, 2], wrong_at_edge[:, :, 9] = 0, 0
    ratio = float(losses.edge_cross_entropy(truth, wrong_at_edge)[0]) / float(losses.edge_cross_entropy(truth, wrong_inside)[0])
    assert ratio == pytest.approx(1 + losses.EDGE_WEIGHT, rel=1e-3)


def test_measures() -> None:
    one, other = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    one[10:20, 10:20] = True
    other[10:20, 15:25] = True
    assert measures.dice(one, other) == pytest.approx(0.5)
    assert measures.dice(one & ~one, other & ~other) == 1
    assert measures.boundary_f(one, one) == 1
    assert measures.boundary_f(one, np.roll(one, 2, axis=1)) == 1
    assert measures.boundary_f(one, np.roll(one, 12, axis=1)) == 0
    assert measures.boundary_f(one, one & ~one) == 0
    # An object that fills the frame has no silhouette.
    assert measures.boundary_f(np.ones((9, 9), bool), np.ones((9, 9), bool)) == 1


def test_a_pixel_and_its_mask_move_together() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        _, mask = disc(rng)
        pixels, moved = augment.frame(np.repeat(mask[..., None], 3, -1), mask, 48, rng)
        assert pixels.shape == (48, 48, 3)
        np.testing.assert_array_equal(pixels[..., 0], moved)


def test_composing_covers_what_the_mask_says() -> None:
    rng = np.random.default_rng(1)
    red = np.zeros((30, 20, 4), np.uint8)
    red[..., 0], red[..., 3] = 255, 255
    for _ in range(10):
        pixels, mask = augment.compose(np.full((64, 64, 3), 100, np.uint8), [red], rng)
        assert mask.max() == 255
        assert (pixels[mask < 5, 0].astype(int) <= 150).all()


def test_paper_configuration_has_the_papers_shape() -> None:
    network = model.build(CONFIGURATIONS["paper"], 64)
    kinds = [type(layer).__name__ for layer in network.layers]
    # Table 1 of the paper, which counts the encoder's ReLUs only.
    counts = {
        "Conv2D": 36,
        "DepthwiseConv2D": 13,
        "BatchNormalization": 48,
        "UpSampling2D": 4,
        "Concatenate": 4,
        "ReLU": 27 + 8,
    }
    assert {kind: kinds.count(kind) for kind in counts} == counts
    assert network.output_shape == (None, 64, 64, 1)
    with pytest.raises(ValueError, match="multiple of 32"):
        model.build(Config(), 100)


def test_keras_weights_are_the_same_function_when_folded() -> None:
    application = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))
    rng = np.random.default_rng(0)
    for layer in application.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, *_ = layer.get_weights()
            layer.set_weights(
                [rng.uniform(low, high, gamma.shape) for low, high in ((0.8, 1.2), (-0.2, 0.2), (-0.1, 0.1), (0.5, 1.5))]
            )
    pixels = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    wanted = np.asarray(keras.Model(application.input, application.get_layer("block_16_project_BN").output)(pixels / 127.5 - 1))
    folded = transfer.from_keras(application)
    assert len(folded) == transfer.CONVOLUTIONS
    for config in (Config(), Config(encoder_norm=True)):
        network = model.build(config, 64)
        # The norms take the statistics of these very pictures and must not change what is computed, in training either.
        transfer.apply(network, folded, pixels)
        last = "block16_project_norm" if config.encoder_norm else "block16_project"
        encoder = keras.Model(network.input, network.get_layer(last).output)
        np.testing.assert_allclose(np.asarray(encoder(pixels)), wanted, atol=2e-4 * np.abs(wanted).max())
        np.testing.assert_allclose(np.asarray(encoder(pixels, training=True)), wanted, atol=5e-3 * np.abs(wanted).max())


def test_torch_weights_are_the_same_function(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    x = reference = torch.rand((1, 3, 64, 64), generator=generator) * 2 - 1

    def convolve(x: torch.Tensor, name: str, out: int, kernel: int, stride: int, groups: int = 1) -> torch.Tensor:
        weight = torch.randn((out, x.shape[1] // groups, kernel, kernel), generator=generator)
        state[f"{name}.weight"] = weight * (2 / weight[0].numel()) ** 0.5
        state[f"{name}.bias"] = torch.randn(out, generator=generator) / 10
        # TensorFlow's SAME padding puts the odd pixel after.
        after, before = (kernel - 1) - (kernel - stride) // 2, (kernel - stride) // 2
        padded = torch.nn.functional.pad(x, (before, after - (stride - 1), before, after - (stride - 1)))
        return torch.nn.functional.conv2d(padded, state[f"{name}.weight"], state[f"{name}.bias"], stride, groups=groups)

    x = convolve(x, "stem", 32, 3, 2).clamp(0, 6)
    for index, (expansion, channels, stride) in enumerate(model.BLOCKS):
        inside = x
        if expansion != 1:
            inside = convolve(inside, f"{index}.a", inside.shape[1] * expansion, 1, 1).clamp(0, 6)
        inside = convolve(inside, f"{index}.b", inside.shape[1], 3, stride, groups=inside.shape[1]).clamp(0, 6)
        inside = convolve(inside, f"{index}.c", channels, 1, 1)
        x = x + inside if stride == 1 and x.shape[1] == channels else inside
    torch.save(state, tmp_path / "folded.pt")
    network = model.build(Config(), 64)
    transfer.apply(network, transfer.from_torch(tmp_path / "folded.pt"))
    encoder = keras.Model(network.input, network.get_layer("block16_project").output)
    pixels = ((reference + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    wanted = x.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(np.asarray(encoder(pixels)), wanted, atol=1e-4 * np.abs(wanted).max())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3, 3, 1, 1), "a.bias": torch.zeros(3)}, tmp_path / "small.pt")
    with pytest.raises(sources.DataError, match="holds 1 convolutions"):
        transfer.from_torch(tmp_path / "small.pt")
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(sources.DataError, match=r"text\.pt: not a PyTorch state dict"):
        transfer.from_torch(tmp_path / "text.pt")


def test_scans_are_held_out_whole(world: Path) -> None:
    seen = data.load(data.Folders(renders=world / "renders", pairs=(world / "pairs",)), Config())
    assert set(seen.train["renders"].groups) == {"Nymph"}
    assert set(seen.held["renders"].groups) == {"LionStatue"}
    assert len(seen.train["pairs"]) + len(seen.held["pairs"]) == 12
    assert not set(seen.train["pairs"].names) & set(seen.held["pairs"].names)


def test_batches_depend_on_seed_and_epoch_alone(world: Path) -> None:
    config = replace(Config(), size=32, batch=3, steps=2)
    seen = data.load(
        data.Folders(renders=world / "renders", backgrounds=(world / "backgrounds",), cutouts=world / "cutouts"), config
    )
    first, again, other = ([pixels for pixels, _ in data.batches(seen, config, 0, epoch)] for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (np.array(first) != np.array(other)).any()


def test_folders_a_user_can_get_wrong(tmp_path: Path) -> None:
    with pytest.raises(sources.DataError, match="holds no photographs with masks"):
        sources.pairs(tmp_path)
    folder = write_pairs(tmp_path / "lonely", 3)
    (folder / "masks" / "disc01.png").unlink()
    with pytest.raises(sources.DataError, match=r"disc01\.png: has no mask"):
        sources.pairs(folder)
    folder = write_pairs(tmp_path / "sizes", 2)
    Image.new("L", (SIDE, SIDE // 2)).save(folder / "masks" / "disc01.png")
    with pytest.raises(sources.DataError, match=r"is 80 x 40 pixels, but its picture is 80 x 80"):
        sources.pairs(folder)
    folder = write_pairs(tmp_path / "cut", 2)
    whole = (folder / "images" / "disc00.png").read_bytes()
    (folder / "images" / "disc00.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(sources.DataError, match=r"disc00\.png: The image ends before"):
        sources.pairs(folder)
    with pytest.raises(sources.DataError, match=r"index\.csv: missing"):
        sources.renders(tmp_path)
    with pytest.raises(sources.DataError, match="no pictures with transparency"):
        sources.cutouts(folder / "masks")
    with pytest.raises(sources.DataError, match="nothing to train on"):
        data.load(data.Folders(backgrounds=(write_pairs(tmp_path / "plain", 2) / "images",)), Config())


def test_the_teacher_labels_at_another_size_than_it_was_exported_for(tmp_path: Path) -> None:
    """A graph of ISNet's kind: down by pooling, up by a Resize whose size is baked in."""
    nodes = [
        helper.make_node("MaxPool", ["input"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Constant", [], ["side"], value=helper.make_tensor("v", TensorProto.INT64, [2], [64, 64])),
        helper.make_node("Shape", ["half"], ["shape"], start=0, end=2),
        helper.make_node("Concat", ["shape", "side"], ["sizes"], axis=0),
        helper.make_node("Resize", ["half", "", "", "sizes"], ["large"], mode="nearest"),
        helper.make_node("ReduceMean", ["large"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["probability"]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 64, 64])]
        for name, channels in (("input", 3), ("probability", 1))
    ]
    graph = helper.make_model(helper.make_graph(nodes, "toy", *ends), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(graph, tmp_path / "toy.onnx")
    session = ort.InferenceSession(teacher.resized(tmp_path / "toy.onnx", 32))
    half = np.zeros((50, 70, 3), np.uint8)
    half[:, 35:] = 255
    mask = teacher.label(session, half)
    assert mask.shape == (50, 70)
    assert int(mask[:, 40:].min()) > int(mask[:, :30].max())


def test_a_package_with_another_teacher_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(sources.DataError, match="is no dist folder"):
        teacher.assemble(tmp_path, tmp_path / "isnet.onnx")
    pieces = [{"hash": "second", "offsets": [5, 9]}, {"hash": "first", "offsets": [0, 5]}]
    (tmp_path / "resources.json").write_text(json.dumps({"/models/medium": {"chunks": pieces}}))
    (tmp_path / "first").write_bytes(b"12345")
    (tmp_path / "second").write_bytes(b"6789")
    with pytest.raises(sources.DataError, match="has the sha256"):
        teacher.assemble(tmp_path, tmp_path / "isnet.onnx")
    assert not (tmp_path / "isnet.onnx").exists()
    monkeypatch.setattr(teacher, "ISNET", hashlib.sha256(b"123456789").hexdigest())
    teacher.assemble(tmp_path, tmp_path / "isnet.onnx")
    assert (tmp_path / "isnet.onnx").read_bytes() == b"123456789"
