"""Make a bundle of a run: python -m training.remove_background.export --run RUN --out .../remove_background/0.1.0 ...

ONNX by tf2onnx and a SavedModel by Keras, both from one TensorFlow function with the pixels' normalisation inside; both held to
the Keras model on real pictures; then the exported file is scored by ``evaluate`` and only then written to its place.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

# Export is TensorFlow's work, whatever backend trained the weights.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
import typer

from services.common import images, models
from training.common import bundle, photographs, runs
from training.remove_background import evaluate, hypercolumns, lineage, model, split
from training.remove_background.config import Config, from_json
from training.remove_background.measures import STRONG, THRESHOLD
from training.remove_background.sources import DataError
from training.remove_background.train import BEST, fail, read_weights

OPSET = 18
# Both exports compute in float32 what the framework does, in another order.
TOLERANCE = 2e-3


def configuration(run: Path) -> tuple[Config, dict[str, Any]]:
    """The settings that ``train`` wrote, and all it wrote. Raises :class:`DataError` for a folder that is no run."""
    try:
        facts = json.loads((run / runs.CONFIG).read_text())
        if not (run / BEST).is_file():
            raise DataError(f"{run / BEST}: missing; the run has not finished its first epoch")
        return from_json(facts), facts
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{run}: is no run of training.remove_background.train ({error})") from error


def convert(network: keras.Model, side: int, folder: Path) -> tuple[Path, Path]:
    """Write ``folder/model.onnx`` and ``folder/saved_model``: images uint8 [batch, side, side, 3] -> probability float32
    [batch, side, side]."""
    import tensorflow as tf
    import tf2onnx

    network = with_resize(network)

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, name="images")])
    def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": network(tf.cast(images, tf.float32), training=False)[..., 0]}

    # Keras' ExportArchive would store every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    module.serve = answer
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": answer})
    graph, _ = tf2onnx.convert.from_function(answer, input_signature=answer.input_signature, opset=OPSET)
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for dim in graph.graph.output[0].type.tensor_type.shape.dim[1:]:
        dim.dim_value = side
    if graph.graph.output[0].name != "probability":
        _rename(graph, graph.graph.output[0].name, "probability")
    for node in graph.graph.node:
        for attribute in node.attribute if node.op_type == "Resize" else ():
            # tf2onnx names TensorFlow's own rule, which ONNX has dropped; for twice the size it is the same as these.
            named = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
            if attribute.name in named:
                attribute.s = named[attribute.name]
    del graph.graph.value_info[:]
    onnx.save(graph, folder / models.GRAPH)
    return folder / models.GRAPH, folder / "saved_model"


def with_resize(network: keras.Model) -> keras.Model:
    """The same function with every up-sampling one operation: Keras repeats rows and columns, which ONNX writes as some twenty
    nodes a level where one ``Resize`` will do."""
    import tensorflow as tf

    class Nearest(keras.layers.Layer):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            size = [2 * length for length in inputs.shape[1:3]]
            return tf.image.resize(inputs, size, tf.image.ResizeMethod.NEAREST_NEIGHBOR)

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.UpSampling2D):
            return Nearest(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    other = keras.models.clone_model(network, clone_function=replaced)
    other.set_weights(network.get_weights())
    return other


def check(network: keras.Model, graph: Path, saved_model: Path, pictures: Sequence[np.ndarray]) -> dict[str, float]:
    """Largest difference of either export from Keras over real pictures; raises :class:`bundle.ParityError`."""
    import tensorflow as tf

    session = models.open_session(graph, threads=1)
    # The loaded object is kept: its variables die with it.
    loaded = tf.saved_model.load(str(saved_model))
    batches = [np.stack(pictures[i : i + 4]) for i in range(0, len(pictures), 4)]

    def theirs(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"probability": np.asarray(network.predict_on_batch(batch.astype(np.float32)))[..., 0]}

    def onnx_answer(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"probability": session.run(["probability"], {"images": batch})[0]}

    def saved_answer(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"probability": loaded.serve(tf.constant(batch))["probability"].numpy()}

    return {
        "onnx": bundle.parity(onnx_answer, theirs, batches, TOLERANCE)["probability"],
        "saved_model": bundle.parity(saved_answer, theirs, batches, TOLERANCE)["probability"],
    }


def main(
    run: Annotated[Path, typer.Option(exists=True, file_okay=False, help="of training.remove_background.train")],
    out: Annotated[Path, typer.Option(help=".../remove_background/<version>")],
    golden: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="a picture that may be given away")],
    real: Annotated[Path, typer.Option(exists=True, file_okay=False, help="photographs for the parity check")],
    size: Annotated[int | None, typer.Option(min=64, help="input side, if not the one trained at")] = None,
    strong: Annotated[float, typer.Option(min=0, max=0.9999, help="a region must reach it somewhere to be object")] = STRONG,
    mix: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="a bundle to average the weights with")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="of the bundle's weights in the average")] = 0.13,
    licences: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON list of name, items, licence")
    ] = None,
    notes: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Markdown that ends the card")] = None,
    side: Annotated[split.Side, typer.Option(help="whose pictures are scored")] = split.Side.DEVELOPMENT,
    renders: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    pairs: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    made: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    sequences: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
    backgrounds: Annotated[list[Path] | None, typer.Option(exists=True, file_okay=False)] = None,
) -> None:
    """Export, check, score, write; see the module's docstring."""
    try:
        config, facts = configuration(run)
        before = lineage.of(run / BEST)
        lineage.check(before, str(run))
        length = size or config.size
        network = model.build(config, length)
        network.load_weights(run / BEST)
        if mix:
            # What a network learnt before and forgot since comes back in the mean of both (Wortsman et al. 2022).
            lineage.check(lineage.of(mix), str(mix))
            both = zip(read_weights(mix, config), network.get_weights(), strict=True)
            network.set_weights([share * other + (1 - share) * own for other, own in both])
        best = max(runs.read_history(run), key=lambda row: row["score"])
        found = photographs.find(real)[:16]
        pictures = [photographs.read(path, (length, length), images.ResizeRule.SQUASH) for path in found]
        with tempfile.TemporaryDirectory() as scratch:
            graph, saved_model = convert(network, length, Path(scratch))
            parity = check(network, graph, saved_model, pictures)
            folders = evaluate.Folders(renders, pairs or (), made or (), sequences or (), backgrounds or ())
            scores = evaluate.evaluate(models.open_session(graph, threads=1), evaluate.pictures(side, folders))
            headline = {f"{key}_{name}": row[key] for name, row in scores.items() for key in row if key != "n"}
            trained = json.loads((run / "data.json").read_text())["train"]
            listed = json.loads(licences.read_text()) if licences else []
            if not listed:
                listed = [{"name": name, "items": len(names), "licence": "not stated"} for name, names in trained.items()]
            bundle.write(
                out,
                graph=graph,
                saved_model=saved_model,
                extra_files={lineage.FILE: run / lineage.FILE},
                golden_picture=golden.read_bytes(),
                card=card(config, length, scores, side, parity, listed) + (notes.read_text(encoding="utf-8") if notes else ""),
                metrics={
                    "side": side,
                    "sets": scores,
                    "parity": parity,
                    "parameters": network.count_params(),
                    "configuration": asdict(config),
                    "draws": int(best["steps"]) * config.batch,
                    "mixed_with": {mix.name: share} if mix else {},
                },
                headline=headline,
                architecture="U-Net on MobileNetV2",
                licence="Apache-2.0",
                input=bundle.Input(height=length, width=length, resize=images.ResizeRule.SQUASH),
                training_data=tuple(bundle.Dataset(**entry) for entry in listed),
                intended_use=USE,
                not_for=NOT_FOR,
                seed=facts["seed"],
                details={"threshold": THRESHOLD, "strong": strong},
            )
            hypercolumns.add(out)
    except (DataError, bundle.ParityError, runs.RunError) as error:
        fail(str(error))
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    typer.echo(f"{out}: {total / 2**20:.1f} MiB; parity {parity}")
    typer.echo(evaluate.table(scores))


USE = "Separating a sculpture or another museum object from its background: photogrammetry masks, catalogue pictures."
NOT_FOR = (
    "Cutting out people, medical or satellite images, hair-fine edges or glass; judging what an object is. "
    "Several objects side by side are one mask."
)


def card(
    config: Config,
    length: int,
    scores: evaluate.Scores,
    side: split.Side,
    parity: dict[str, float],
    data: list[dict[str, Any]],
) -> str:
    """MODEL_CARD.md, but for what was measured as served."""
    rows = "\n".join("- {name}: {items} ({licence}). {note}".format(**{"note": "", **entry}).rstrip() for entry in data)
    return f"""# remove_background

Which pixels of a photograph are the object? A U-Net on a MobileNetV2 encoder (Bici et al. 2023) at {length} x {length};
photographs are squashed to that size, whatever their shape. The output is a probability per pixel; from {THRESHOLD:g} up it is
object.

**For:** {USE}

**Not for:** {NOT_FOR}

A plinth that is a separate block is background, and so are table, floor and shadow; what is carved in one with the figure is
object.

## Measured on the exported file

{evaluate.table(scores)}

Pictures of the {side} side (`training/remove_background/split.py`), the network's own mask. Dice and boundary F (2 pixels of
512) are means over pictures. Largest difference from Keras: ONNX {parity["onnx"]:.2g}, SavedModel {parity["saved_model"]:.2g}.

## Trained on

{rows}

All that these weights and those they began from have seen is in `lineage.json`; `metrics.json` has the settings.
"""


def _rename(graph: onnx.ModelProto, before: str, after: str) -> None:
    for node in graph.graph.node:
        node.output[:] = [after if name == before else name for name in node.output]
        node.input[:] = [after if name == before else name for name in node.input]
    graph.graph.output[0].name = after


if __name__ == "__main__":
    typer.run(main)
