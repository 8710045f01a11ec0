"""What people drew in Label Studio as a folder of masks: named for `maquette mask --learn-from`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from PIL import Image

from maquette.client.errors import FileFailed, MaquetteError, make
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.labelstudio import regions
from maquette.labelstudio.regions import Mask
from maquette.masks.naming import name_for

# How to turn an upright picture back to how the camera stored it (EXIF 2.3, section 4.6.4 A, orientation).
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Made:
    """What became of one task. ``state``: written, same (as the file there), kept (another file is there), or why not."""

    task: object
    target: Path | None
    state: str


def masks(export: Path, found: Sequence[Photograph], folder: Path, label: str | None, *, replace: bool) -> Iterator[Made]:
    """A mask for each task of an export (JSON) whose newest submitted annotation has brush regions.

    With a ``label`` those of that alone. ``found`` are the photographs the tasks were made of, which are known by their names.
    Raises :class:`ParameterInvalid`, :class:`FileFailed`.
    """
    try:
        tasks = json.loads(export.read_bytes())
    except OSError as error:
        raise FileFailed("FILE_UNREADABLE", f"{export} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise make("PARAMETER_INVALID", f"{export} is no export of Label Studio in its format JSON.") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise make("PARAMETER_INVALID", f"{export} is no export of Label Studio in its format JSON.")
    for task in tasks:
        try:
            if (mask := _drawn(task, label)) is not None:
                photograph = _photograph(task["data"], found)
                target = folder / name_for(photograph.name)
                yield Made(task.get("id"), target, _write(target, _stored(mask, photograph.path), replace))
        except MaquetteError as error:
            yield Made(task.get("id"), None, error.detail)


def _drawn(task: Mapping[str, Any], label: str | None) -> Mask | None:
    annotations = [one for one in task.get("annotations") or () if not one.get("was_cancelled") and one.get("result")]
    if not annotations:
        return None
    newest = max(annotations, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    return regions.mask_of(newest["result"], label)


def _photograph(data: Mapping[str, Any], found: Sequence[Photograph]) -> Photograph:
    """The photograph of the task's picture: by the longest end of its path that is the path of one photograph.

    Label Studio puts eight digits before the name of what is uploaded, and makes other characters of some in it.
    """
    for value in data.values():
        if not isinstance(value, str):
            continue
        parts = urlsplit(value)
        path = PurePosixPath(parse_qs(parts.query).get("d", [""])[0] or unquote(parts.path))
        plain = re.sub(r"^[0-9a-f]{8}-", "", path.name)
        within = [
            one
            for one in found
            if path.as_posix().endswith(f"/{one.name.as_posix()}") or path.as_posix() == one.name.as_posix()
        ]
        named = [one for one in found if _plain(one.name.name) == _plain(plain)]
        for candidates in (within, named):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                names = " and ".join(str(one.path) for one in candidates)
                raise make("PARAMETER_INVALID", f"The picture {path.name} may be {names}; give the folder of one.")
    raise make("PARAMETER_INVALID", "None of the photographs has the name of the task's picture.")


def _plain(name: str) -> str:
    """What Django makes of a file's name (``get_valid_filename``)."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _stored(mask: Mask, photograph: Path) -> Image.Image:
    """The mask as the photograph's file has its rows. Raises :class:`ParameterInvalid` where it is not of its size."""
    try:
        with Image.open(photograph) as opened:
            size, orientation = opened.size, opened.getexif().get(0x0112, 1)
    except OSError as error:
        raise FileFailed("FILE_UNREADABLE", f"{photograph} cannot be read.") from error
    picture = Image.fromarray(mask)
    picture = picture.transpose(_STORED[orientation]) if orientation in _STORED else picture
    if picture.size != size:
        raise make("PARAMETER_INVALID", f"What was drawn is of {picture.size} pixels, and {photograph} of {size}.")
    return picture


def _write(target: Path, mask: Image.Image, replace: bool) -> str:
    if target.exists() and not replace:
        try:
            with Image.open(target) as there:
                same = there.size == mask.size and np.array_equal(np.asarray(there.convert("L")), np.asarray(mask))
        except OSError:
            same = False
        return "same" if same else "kept"
    stream = io.BytesIO()
    mask.save(stream, "PNG")
    atomic.write(target, [stream.getvalue()])
    return "written"
