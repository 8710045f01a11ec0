"""``POST /v1/masks`` with hostile file names: bounded sentences, and archives that unpack where they should."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.hostile.callers import http1
from tests.hostile.watch.pod import MEBIBYTE, PHOTOGRAPH, Pod
from tests.hostile.watch.table import watched


def post(
    pod: Pod, path: str, field: str, names: list[str], content_type: str = http1.FORM, data: bytes = PHOTOGRAPH
) -> tuple[int, str, bytes]:
    """Status, media type and body for files whose names are sent as they are."""
    with http1.connection(pod) as one:
        body = http1.form([(name, data) for name in names], field)
        one.sendall(http1.head("POST", path, content_type=content_type, content_length=len(body)) + body)
        status, headers, content = http1.answer(one)
    return status, headers["content-type"], content


def opened(content: bytes) -> tuple[zipfile.ZipFile, list[Any]]:
    """The archive, whole, and the lines of its report."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive, [json.loads(line) for line in archive.read("masks.jsonl").splitlines()]


def masks(pod: Pod, names: list[str], data: bytes = PHOTOGRAPH) -> tuple[zipfile.ZipFile, list[Any]]:
    status, content_type, content = post(pod, "/v1/masks", "images", names, data=data)
    assert (status, content_type) == (200, "application/zip"), content[:500]
    return opened(content)


def test_equal_names(pod: Pod) -> None:
    """Row 3. What is said of a thousand equal names grows with their number, not with its square."""
    names = ["n" * 596 + ".jpg"] * 1000
    peak = pod.busy + 128 * MEBIBYTE
    with watched(pod, "/v1/masks, 1,000 equal names of 600 characters", "660 KiB in, 582 MiB out, +1,782 MiB", peak=peak):
        archive, report = masks(pod, names, b"no image")
        assert len(report) == 1000
        assert {line["error"]["code"] for line in report} == {"PARAMETER_INVALID"}
        assert sum(info.file_size for info in archive.infolist()) < 4 * len("".join(names))


def test_names_that_differ_in_case_alone(pod: Pod) -> None:
    """Pairs as well as one great group."""
    names = [f"{'n' * 590}{number // 2:04}.{('jpg', 'JPG')[number % 2]}" for number in range(1000)]
    with watched(pod, "/v1/masks, 500 pairs of equal names", "not tried", peak=pod.busy + 128 * MEBIBYTE):
        archive, _ = masks(pod, names, b"no image")
        assert sum(info.file_size for info in archive.infolist()) < 4 * len("".join(names))


@pytest.mark.parametrize(
    "names",
    [
        ["..\\0.jpg"],
        ["a\0b.jpg", "a\0c.jpg"],
        ["\0.jpg"],
        ["a.jpg", "a.jpg.png/x.jpg"],
        ["A.JPG", "a.jpg.PNG/x.jpg"],
        ["a\nb.jpg", "a\x7fb.jpg", "a\x1b[2Jb.jpg"],
        ["../x.jpg", "/x.jpg", "C:\\x.jpg", "//host/x.jpg", "a/../../x.jpg"],
        ["masks.jsonl", "masks", "masks.jsonl/x.jpg"],
        ["./x.jpg", "x.jpg"],
        ["con.jpg", "nul", "x.jpg.", "x.jpg ", " "],
        ["\u202egpj.x.jpg", "\udcff.jpg"],
        ["."],
        ["..."],
    ],
    ids=repr,
)
def test_names(pod: Pod, names: list[str], tmp_path: Path) -> None:
    """Each file has a line of the report; each mask is an entry of its own that unpacks below the folder."""
    archive, report = masks(pod, names)
    assert len(report) == len(names)
    entries = archive.namelist()
    assert len(set(entries)) == len(entries)
    named = [line["mask"] for line in report if "mask" in line]
    assert sorted([*named, "masks.jsonl"]) == sorted(entries), "an entry is not called what the report says"
    folders = {str(parent).casefold() for entry in entries for parent in PurePosixPath(entry).parents}
    for entry in entries:
        assert entry.casefold() not in folders, f"{entry} is a file and a folder"
        assert not set(entry) & {chr(code) for code in (*range(32), 127)}
        assert not {"..", "."} & set(entry.split("/"))
        assert not entry.startswith("/")
    archive.extractall(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == sorted(entries)


CHARSETS = ("utf-7", "undefined", "punycode", "utf-16", "idna", "rot13", "zlib", "nothing")


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("name", ["a.jpg", "a+AAA-b.jpg", "\0a.jpg"], ids=["plain", "utf-7", "nul"])
def test_a_charset_of_the_form(pod: Pod, charset: str, name: str) -> None:
    """A whole archive with a line for each file, or a problem; neither a failure nor half an answer."""
    names = ["first.jpg", name, "last.jpg"]
    status, content_type, content = post(pod, "/v1/masks", "images", names, f"{http1.FORM}; charset={charset}")
    if status == 200:
        assert len(opened(content)[1]) == 3
    else:
        assert (status < 500, content_type) == (True, "application/problem+json"), content


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_charset_of_a_single_form(pod: Pod, charset: str) -> None:
    status, content_type, content = post(pod, pod.kind.path, "image", ["a.jpg"], f"{http1.FORM}; charset={charset}")
    assert status < 500, content
    assert content_type == ("image/png" if status == 200 else "application/problem+json")
