"""Model bundles: read and verify one, open its ONNX graph, hold it to its golden answer.

A bundle is a folder ``exported_models/<service>/<version>/``; its facts live in ``manifest.json`` (see :class:`Manifest`).
Training writes the same :class:`Manifest` and :class:`Golden`, so that the two sides cannot drift apart.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from packaging import version
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common import errors, images

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
MANIFEST, GRAPH, GOLDEN = "manifest.json", "model.onnx", "golden.json"

Precision = Literal["float32", "int8"]

_M = TypeVar("_M", bound=BaseModel)
Tensors = dict[str, npt.NDArray[Any]]


class BundleError(Exception):
    """The bundle on disk cannot be served. The message says which file and why; it is for the operator, not the caller."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(_Frozen):
    """The graph's ``images: uint8[batch, height, width, 3]`` and how a photograph is brought to that size."""

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    resize: images.ResizeRule


class Label(_Frozen):
    """One class. ``uri`` is its authority record (a Getty AAT URI where certain); ``broader`` the nearest certain one."""

    id: str
    name: str
    uri: str | None = None
    broader: str | None = None


class Dataset(_Frozen):
    """A source of training data, with what its licence lets one do."""

    name: str
    items: int
    licence: str
    note: str = ""


class Manifest(_Frozen):
    """Everything about the weights that is not the weights.

    ``files`` maps each file that serving reads (``model.onnx``, an index, ...) to its lower-case hex sha256.
    ``metrics`` are measured on the *exported* file. ``details`` is the service's own part, validated by its predictor.
    ``embedding_space`` names the space that vectors of this model live in; vectors of two spaces are never compared.
    """

    schema_version: Literal[1] = 1
    service: str
    version: str = Field(pattern=r"^[0-9a-z][0-9a-z.\-]{0,63}$")
    architecture: str
    licence: str
    input: Input
    labels: tuple[Label, ...] = ()
    embedding_space: str | None = None
    metrics: dict[str, float]
    training_data: tuple[Dataset, ...]
    intended_use: str
    not_for: str
    seed: int
    command: str
    created: str = Field(description="UTC time, ISO 8601")
    opset: int = Field(ge=18)
    files: dict[str, str]
    details: dict[str, Any] = Field(default_factory=dict)


class Sample(_Frozen):
    """Up to 256 evenly spaced values of one output, flattened in C order, for the golden image as a batch of one."""

    shape: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, output: npt.NDArray[Any]) -> Sample:
        flat = output.reshape(-1)
        picks = np.linspace(0, flat.size - 1, min(flat.size, 256)).astype(int)
        return cls(shape=output.shape, values=tuple(float(value) for value in flat[picks]))


class Golden(_Frozen):
    """A small photograph and the graph's answer to it. ``tolerance`` is absolute, per value."""

    image: str = Field(description="the encoded picture, base64")
    outputs: dict[str, Sample]
    tolerance: float = 1e-3

    @classmethod
    def of(cls, picture: bytes, outputs: Mapping[str, npt.NDArray[Any]], tolerance: float = 1e-3) -> Golden:
        samples = {name: Sample.of(value) for name, value in outputs.items()}
        return cls(image=base64.b64encode(picture).decode(), outputs=samples, tolerance=tolerance)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle with its open session.

    ``milliseconds``: what one picture took each graph, where the faster one was looked for.
    """

    path: Path
    manifest: Manifest
    session: ort.InferenceSession
    outputs: tuple[str, ...]
    precision: Precision = "float32"
    milliseconds: Mapping[Precision, float] = field(default_factory=dict)

    def prepare(self, pixels: images.RGB) -> images.RGB:
        """uint8 RGB [h, w, 3] of any size -> uint8 [height, width, 3] by the manifest's resize rule."""
        wanted = self.manifest.input
        return images.resize(pixels, (wanted.height, wanted.width), wanted.resize)

    def run(self, batch: npt.NDArray[np.uint8]) -> Tensors:
        """uint8 [batch, height, width, 3] -> one array per graph output, each with the batch axis first."""
        return dict(zip(self.outputs, self.session.run(self.outputs, {"images": batch}), strict=True))

    def shrink(self) -> None:
        """Return to the system what large batches have left in ONNX Runtime's arena: it does so only at the end of a run."""
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        wanted = self.manifest.input
        self.session.run(self.outputs[:1], {"images": np.zeros((1, wanted.height, wanted.width, 3), np.uint8)}, options)

    def arrays(self, name: str, *keys: str) -> Tensors:
        """The named arrays of an ``.npz`` of the bundle, never unpickled. Raises :class:`BundleError` when one is missing."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.path / MANIFEST}: does not list {name}")
        try:
            with (self.path / name).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return {key: stored[key] for key in keys}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(f"{self.path / name}: {error}") from error

    def check_golden(self) -> None:
        """Run the golden picture through decode, resize and graph; raise :class:`BundleError` when the answer differs."""
        golden = self.golden()
        self.check(golden.outputs, dict.fromkeys(golden.outputs, golden.tolerance), GRAPH)

    def golden(self) -> Golden:
        """Raises :class:`BundleError` when the file is not as it should be."""
        return _parse(Golden, self.path / GOLDEN)

    def golden_picture(self) -> images.RGB:
        """The golden photograph, prepared for the graph. Raises :class:`BundleError`."""
        try:
            decoded = images.decode(base64.b64decode(self.golden().image), images.Limits(), images.Frame.DISPLAY)
        except (errors.MaquetteError, ValueError) as error:
            raise BundleError(f"{self.path / GOLDEN}: {error}") from error
        return self.prepare(decoded.pixels)

    def check(self, outputs: Mapping[str, Sample], tolerances: Mapping[str, float], graph: str) -> None:
        """Raises :class:`BundleError` when the answer to the golden picture is not this one. ``graph``: the file to name."""
        picture = self.golden_picture()
        # Two at once: a graph without a batch axis would pass alone and fail its first callers.
        try:
            answers = self.run(np.stack([picture, picture]))
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise BundleError(f"{self.path / graph}: cannot answer two pictures at once: {error}") from error
        for name, expected in outputs.items():
            if name not in answers:
                raise BundleError(f"{self.path / GOLDEN}: the graph has no output {name!r}")
            if answers[name].shape[:1] != (2,):
                raise BundleError(f"{self.path / graph}: output {name!r} has no batch axis, its shape is {answers[name].shape}")
            sample = Sample.of(answers[name][1:])
            if sample.shape != expected.shape:
                raise BundleError(f"{self.path}: output {name!r} has shape {sample.shape}, golden {expected.shape}")
            worst = float(np.abs(np.subtract(sample.values, expected.values)).max())
            allowed = tolerances.get(name, 0.0)
            if not worst <= allowed:
                raise BundleError(
                    f"{self.path / graph}: output {name!r} differs from the golden answer by {worst:.3g}, "
                    f"allowed {allowed:.3g}; the graph or its runtime is not the one that was exported"
                )


def load(path: Path, *, threads: int = 1) -> Bundle:
    """Open the bundle in ``path`` on ``threads`` intra-op threads and check its golden answer.

    Raises :class:`BundleError` for a missing or malformed file, a wrong sha256, or an answer that is not the golden one.
    :mod:`services.common.twins` opens the int8 twin of its graph.
    """
    manifest = _parse(Manifest, path / MANIFEST)
    for name, expected in {GRAPH: "", **manifest.files}.items():
        if Path(name).name != name or not (path / name).is_file():
            raise BundleError(f"{path / name}: missing")
        require_digest(path / name, expected)
    session = open_session(path / GRAPH, threads=threads)
    bundle = Bundle(path, manifest, session, tuple(output.name for output in session.get_outputs()))
    bundle.check_golden()
    return bundle


def require_digest(path: Path, expected: str) -> None:
    """Raises :class:`BundleError` when the file's sha256 is another."""
    actual = sha256(path)
    if actual != expected:
        raise BundleError(f"{path}: sha256 is {actual}, the manifest says {expected or 'nothing'}")


def open_session(path: Path, *, threads: int) -> ort.InferenceSession:
    """Open any ONNX file of a bundle the one way serving does. Raises :class:`BundleError`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread burns the core that the next request's decoding needs: 29 CPU-ms an image with it, 14 without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The GPU build has both; where no GPU can be used onnxruntime itself falls back to the next.
    providers = [name for name in _PROVIDERS if name in ort.get_available_providers()]
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises its own unexported classes
        raise BundleError(f"{path}: onnxruntime cannot open it: {error}") from error


def details(bundle: Bundle, kind: type[_M]) -> _M:
    """The service's own part of the manifest. Raises :class:`BundleError` when it is not as ``kind`` says."""
    try:
        return kind.model_validate(bundle.manifest.details)
    except ValidationError as error:
        raise BundleError(f"{bundle.path / MANIFEST}: details: {error}") from error


def latest(root: Path, service: str) -> Path:
    """The bundle of the highest version (PEP 440) under ``root/<service>``: 1.10 after 1.9, 1.0.0-rc.1 before 1.0.0."""
    folders = [entry for entry in (root / service).glob("*") if (entry / MANIFEST).is_file()]
    if not folders:
        raise BundleError(f"{root / service}: holds no bundle (a folder with a {MANIFEST})")
    return max(folders, key=lambda entry: _version(entry.name))


def sha256(path: Path) -> str:
    """Lower-case hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _version(name: str) -> tuple[bool, version.Version | str]:
    try:
        return True, version.Version(name)
    except version.InvalidVersion:  # a name like `trial` comes before every version
        return False, name


def _parse(kind: type[_M], path: Path) -> _M:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise BundleError(f"{path}: {error}") from error
