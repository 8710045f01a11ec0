"""Write the bundle of a finished run: ONNX graph, SavedModel, index of the works, manifest, golden answer, card.

    python -m training.cluster_assign.export --run RUN --data data/paintings_masters --golden samples/PICTURE.jpg

Needs the TensorFlow backend, whatever backend the run was trained on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import onnx
import typer

from services.common import models
from training.cluster_assign import card, commands, continuity, data, fit, measures, model
from training.cluster_assign.config import TrainingError
from training.cluster_assign.evaluate import METRICS, result_of
from training.cluster_assign.train import prepare
from training.common import bundle, runs

TOLERANCE = 1e-4
OPSET = 18
INDEX = "index.npz"
app = typer.Typer(add_completion=False)


def rebuild(run: Path, collection: data.Collection, order: np.ndarray | None = None) -> keras.Model:
    """The trained graph of a run: float32 images in 0..255 -> {"embedding", "assignment"}.

    ``order`` puts its clusters in another order, int [k].
    """
    config, _ = commands.settings_of(run)
    result = result_of(run)
    if list(result["ids"]) != list(collection.ids):
        raise TrainingError(f"{run} was trained on other works than --data holds now; train again, or give that folder")
    front_end, features = prepare(config, collection, run)
    encoder, _ = model.autoencoder(config, features.shape[1:])
    k = result["q"].shape[1]
    with np.load(run / f"dcec_{k}" / fit.CHECKPOINT) as stored:
        encoder.set_weights([stored[f"weight_{i}"] for i in range(len(encoder.get_weights()))])
    return model.serving(front_end.model(), encoder, result["centroids"] if order is None else result["centroids"][order])


def fingerprint(whole: keras.Model) -> str:
    """Eight hex digits of the weights' sha256: unlike the ONNX file's, the same at every export of a run."""
    digest = hashlib.sha256()
    for value in whole.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:8]


def to_onnx(whole: keras.Model, path: Path) -> None:
    """One file: ``images`` uint8 [batch, h, w, 3] -> ``embedding`` float32 [batch, d], ``assignment`` float32 [batch, k]."""
    import tensorflow as tf
    import tf2onnx

    size = whole.input.shape[1:3]
    signature = [tf.TensorSpec((None, *size, 3), tf.uint8, name="images")]

    @tf.function(input_signature=signature)
    def answer(images):  # type: ignore[no-untyped-def]
        outputs = whole(tf.cast(images, tf.float32), training=False)
        return {name: tf.identity(outputs[name], name=name) for name in ("embedding", "assignment")}

    graph, _ = tf2onnx.convert.from_function(answer, input_signature=signature, opset=OPSET)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(graph, path)


def to_saved_model(whole: keras.Model, folder: Path) -> None:
    """The same signature as the ONNX file, as a TensorFlow SavedModel."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *whole.input.shape[1:3], 3), tf.uint8, name="images")]
    # Not keras.export.ExportArchive: it stored every weight twice (Keras 3.15), 19 MB instead of 9.
    module = tf.Module()
    module.weights = [variable.value for variable in whole.variables]
    module.serve = tf.function(lambda images: whole(tf.cast(images, tf.float32), training=False), input_signature=signature)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def export(
    run: Path,
    collection: data.Collection,
    golden: bytes,
    destination: Path,
    training_data: list[bundle.Dataset],
    earlier: Path | None = None,
) -> dict[str, float]:
    """Write the bundle to ``destination``; return what was measured on its graph.

    With ``earlier``, a bundle of the same collection, clusters that correspond keep its numbers.

    Raises :class:`bundle.ParityError`, :class:`TrainingError`.
    """
    import tensorflow as tf

    _, stored = commands.settings_of(run)
    result = result_of(run)
    clusters, centroids = result["q"].argmax(axis=1), result["centroids"]
    order, details = None, {}
    if earlier is not None:
        space, ids, old = continuity.previous(earlier)
        found = continuity.match(ids, old, collection.ids, clusters, len(centroids))
        order, details = found.order, {"continuity": {"previous_space": space, **found.report}}
        clusters, centroids = np.argsort(order)[clusters], centroids[order]
    whole = rebuild(run, collection, order)
    metrics: dict[str, Any] = json.loads((run / METRICS).read_text()) if (run / METRICS).exists() else {}
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".export-") as folder:
        graph, saved, index = Path(folder, "model.onnx"), Path(folder, "saved_model"), Path(folder, INDEX)
        to_onnx(whole, graph)
        to_saved_model(whole, saved)
        session = models.open_session(graph, threads=1)
        loaded = tf.saved_model.load(str(saved))

        def onnx_answer(batch: np.ndarray) -> dict[str, np.ndarray]:
            return dict(
                zip(("embedding", "assignment"), session.run(["embedding", "assignment"], {"images": batch}), strict=True)
            )

        def keras_answer(batch: np.ndarray) -> dict[str, np.ndarray]:
            answer = whole(batch.astype("float32"), training=False)
            return {name: keras.ops.convert_to_numpy(answer[name]) for name in answer}

        def saved_answer(batch: np.ndarray) -> dict[str, np.ndarray]:
            return {name: value.numpy() for name, value in loaded.serve(batch).items()}

        batches = [collection.pixels[at : at + 16] for at in range(0, len(collection.pixels), 16)]
        parity = bundle.parity(onnx_answer, keras_answer, batches[:8], TOLERANCE)
        saved_parity = bundle.parity(saved_answer, keras_answer, batches[:8], TOLERANCE)
        # What the served graph says of every work: the index must lie in the space that queries are answered in.
        answers = [onnx_answer(batch) for batch in batches]
        embedding = np.concatenate([answer["embedding"] for answer in answers]).astype("float32")
        served = np.concatenate([answer["assignment"] for answer in answers]).argmax(axis=1)
        agreement = float(np.mean(served == clusters))
        if agreement < 0.999:
            raise bundle.ParityError(
                f"the graph assigns only {agreement:.2%} of the training works as training did, wanted 99.9 %"
            )
        np.savez_compressed(index, ids=collection.ids, embeddings=embedding, clusters=served.astype("int32"))
        numbers = {
            **measures.internal(embedding, served),
            "served_equals_training": agreement,
            "parity_onnx": parity["assignment"],
            "parity_saved_model": saved_parity["assignment"],
            **{name: float(metrics[name]) for name in ("acc", "nmi", "ari") if name in metrics},
        }
        space = f"{destination.parent.name}/{destination.name}/{fingerprint(whole)}"
        described = measures.describe(collection.ids, embedding, served, centroids)
        bundle.write(
            destination,
            graph=graph,
            golden_picture=golden,
            card=card.text(stored, numbers, metrics, described, training_data),
            metrics={**metrics, "exported": numbers, "clusters": described},
            headline=numbers,
            extra_files={INDEX: index},
            saved_model=saved,
            architecture=f"DCEC-Paint, configuration {stored['config']}: {' + '.join(stored['settings']['blocks'])}",
            licence="Apache-2.0",
            input=bundle.Input(height=collection.pixels.shape[1], width=collection.pixels.shape[2], resize=data.RESIZE),
            embedding_space=space,
            training_data=tuple(training_data),
            intended_use=card.INTENDED,
            not_for=card.NOT_FOR,
            seed=stored["seed"],
            command=card.command(stored),
            details={"clusters": described, "works": len(served), **details},
        )
    return numbers


@app.command()
@commands.one_sentence_errors
def main(
    run: commands.Run,
    folders: commands.Data,
    golden: Annotated[Path, typer.Option(help="A picture that may be distributed; its answer is checked at every start.")],
    out: Annotated[Path, typer.Option(help="Where bundles live.")] = Path("exported_models"),
    version: Annotated[str, typer.Option(help="The bundle's version.")] = "0.1.0",
    licence: Annotated[str, typer.Option(help="Licence of the training pictures, for the manifest.")] = "unknown",
    previous: Annotated[Path | None, typer.Option(help="An earlier bundle of this collection, whose numbers are kept.")] = None,
    threads: commands.Threads = 0,
) -> None:
    """Export a finished run as a bundle that services.cluster_assign can serve."""
    if keras.backend.backend() != "tensorflow":
        raise TrainingError("export needs the TensorFlow backend; run it with KERAS_BACKEND=tensorflow")
    if not golden.is_file():
        raise TrainingError(f"{golden}: there is no such picture")
    commands.limit_threads(threads)
    config, stored = commands.settings_of(run)
    collection = data.load(folders, config.size, cache=run.parent / "cache")
    described = [bundle.Dataset(name="+".join(stored["data"]), items=len(collection.ids), licence=licence)]
    numbers = export(run, collection, golden.read_bytes(), out / "cluster_assign" / version, described, previous)
    runs.write_json(run / "export.json", numbers)
    typer.echo(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    app()
