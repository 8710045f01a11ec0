"""The command line against a real server: what it prints, writes and returns."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from maquette.folders import atomic
from maquette.masks import png
from tests.maquette.conftest import ROOT, Run, photograph
from tests.maquette.server import VERSION, Server


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_classify_gives_json_lines_to_a_program(maquette: Run, server: Server, folder: Path) -> None:
    done = maquette("classify", folder, "--server", server.address, "--key", "secret")
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        ["3 done, 0 skipped, 0 failed; records on standard output. Next: -o FILE keeps the records."],
    )
    records = lines(done.stdout)
    names = ["a.jpg", "b.JPG", "sub/c.png"]
    assert [record["file"] for record in records] == [str(folder / name) for name in names]
    assert [record["predictions"][0]["label"] for record in records] == ["dark", "middling", "bright"]
    for record, name in zip(records, names, strict=True):
        assert record["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert record["model_version"] == VERSION
        assert uuid.UUID(record["request_id"])
        assert (record["abstained"], record["notes"]) == (False, [])
    assert {seen["x-api-key"] for seen in server.seen.metadata} == {"secret"}


def test_options_reach_the_service(maquette: Run, server: Server, folder: Path) -> None:
    found = lines(maquette("classify", folder, "--top-k", 1, MAQUETTE_SERVER=server.address).stdout)
    assert [len(record["predictions"]) for record in found] == [1, 1, 1]
    (record,) = lines(maquette("cluster", folder / "a.jpg", "--neighbours", 2, MAQUETTE_SERVER=server.address).stdout)
    assert [neighbour["id"] for neighbour in record["neighbours"]] == ["work0.jpg", "work1.jpg"]
    (record,) = lines(maquette("embed", folder / "a.jpg", "--features", MAQUETTE_SERVER=server.address).stdout)
    assert len(record["features"]) == 3


def test_explanations_become_files_beside_the_records(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    why = tmp_path / "why"
    (folder / "bad.png").write_text("no image")
    done = maquette("classify", folder, "--explain", why, MAQUETTE_SERVER=server.address)
    assert done.returncode == 1
    records = lines(done.stdout)
    assert "explanation" not in records[0]
    written = sorted(str(path.relative_to(why)) for path in why.rglob("*") if path.is_file())
    assert written == ["a.jpg.png", "b.JPG.png", "sub/c.png.png"]
    with Image.open(why / "a.jpg.png") as heat, Image.open(folder / "a.jpg") as picture:
        assert (heat.format, heat.size) == ("PNG", picture.size)


def test_two_explanations_are_never_one_file(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes(photograph(10))
    done = maquette("classify", folder, other, "--explain", tmp_path / "why", MAQUETTE_SERVER=server.address)
    assert done.returncode == 1
    assert done.stderr.count("would both be written to") == 2
    assert sorted(path.name for path in (tmp_path / "why").rglob("*.png")) == ["b.JPG.png", "c.png.png"]


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (["classify"], "id,type,name,uri,broader,probability,runner_up,runner_up_probability,abstained"),
        (["cluster"], "id,cluster,q,runner_up,runner_up_q,between,size,neighbours,embedding_space"),
        (["embed"], "id,latent_1,latent_2,prior_distance,unlike_training,embedding_space"),
        (
            ["embed", "--features"],
            "id,latent_1,latent_2,prior_distance,unlike_training,embedding_space,feature_1,feature_2,feature_3",
        ),
        (["mask", "-o", "out"], "id,output,width,height,coverage,touches,components,empty,uncertainty,skipped,adapter"),
    ],
)
def test_csv_of_every_command(maquette: Run, server: Server, folder: Path, command: list[str], own: str) -> None:
    (folder / "bad.jpg").write_text("no image")
    done = maquette(*command, folder, "--format", "csv", "--server", server.address)
    assert done.returncode == 1
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == f"file,sha256,{own},model_version,request_id,notes,error_code,error_detail".split(",")
    assert [Path(row["file"]).name for row in rows] == ["a.jpg", "b.JPG", "bad.jpg", "c.png"]
    first = own.removeprefix("id,").split(",")[0]
    for row in rows:
        bad = row["file"].endswith("bad.jpg")
        assert row["error_code"] == ("IMAGE_UNDECODABLE" if bad else "")
        assert bool(row[first]) is not bad
        assert row["model_version"] == VERSION
        assert row["request_id"] and len(row["sha256"]) == 64


def test_failures_are_named_at_the_end_and_the_rest_goes_on(maquette: Run, server: Server, folder: Path) -> None:
    (folder / "bad.jpg").write_text("no image")
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    done = maquette("classify", folder, "--server", server.address)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{folder / 'bad.jpg'}: The bytes are not an image. (IMAGE_UNDECODABLE)",
        f"{folder / 'gone.jpg'}: The file cannot be read: No such file or directory. (FILE_UNREADABLE)",
        "3 done, 0 skipped, 2 failed; records on standard output. "
        "Next: see to what is named above and run the same command again.",
    ]
    records = lines(done.stdout)
    assert len(records) == 5
    assert [record["error"]["code"] for record in records if "error" in record] == ["IMAGE_UNDECODABLE", "FILE_UNREADABLE"]


def test_a_file_of_records_by_its_suffix(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    done = maquette("classify", folder, "-o", "out.csv", "--server", server.address)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "3 done, 0 skipped, 0 failed; records in out.csv. Next: nothing is left to do.\n"
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    assert not (tmp_path / "out.unfinished.csv").exists()


def test_a_server_lost_half_way_fails_the_rest_by_name(maquette: Run, server: Server, folder: Path) -> None:
    server.faults.break_streams, server.faults.break_after = 99, 0
    done = maquette("classify", folder, "--server", server.address, "--patience", 2)
    assert done.returncode == 1
    assert [record["error"]["code"] for record in lines(done.stdout)] == ["NOT_READY"] * 3
    assert done.stderr.count("The service is draining. (NOT_READY)") == 3
    assert server.seen.calls["ClassifyStream"] in (2, 3)  # about 0.5 and 1 s are waited, and each a little more


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["classify"], "Name photographs or folders of them, or a IIIF manifest with --manifest"),
        (["classify", "nowhere"], "does not exist"),
        (["classify", "empty"], "No photographs in empty"),
        (["classify", "photos", "--server", "ftp://x"], "'ftp://x' is no server"),
        (["classify", "photos", "--top-k", "0"], "'--top-k'"),
        (["classify", "photos", "--top-k", "4"], "--top-k takes 1 to 3"),
        (["classify", "photos", "--ca", "notes.pem"], "does not exist"),
        (["classify", "photos", "--format", "xml"], "'--format'"),
        (["classify", "photos", "-o", "nowhere/out.csv"], "nowhere/out.csv cannot be written"),
        (["mask", "photos"], "Missing option"),
        (["mask", "photos", "-o", "out", "--threshold", "1"], "--threshold takes a number above 0 and below 1"),
        (["mask", "photos", "-o", "out", "--output-kind", "cutout", "--for", "colmap"], "--for names masks"),
        (["mask", "photos", "-o", "out", "--watch", "--dry-run"], "choose one"),
    ],
)
def test_wrong_usage_is_a_sentence_and_2(
    maquette: Run, server: Server, folder: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = maquette(*arguments, MAQUETTE_SERVER=server.address, COLUMNS="200")
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_no_server_and_a_wrong_key_are_2(maquette: Run, folder: Path) -> None:
    with Server(key="right") as server:
        done = maquette("classify", folder, "--server", server.address, "--key", "wrong")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "maquette: The API key is missing or wrong.\n"
        server.stop()
        done = maquette("classify", folder, "--server", server.address, "--patience", 0)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"maquette: No service answers at {server.address}")
        server.start()


def test_models(maquette: Run, server: Server) -> None:
    done = maquette("models", "--server", server.address)
    assert done.returncode == 0
    assert {record["service"]: record["version"] for record in lines(done.stdout)} == dict.fromkeys(
        ["classify", "cluster_assign", "embed_latent", "remove_background"], VERSION
    )
    rows = list(csv.DictReader(io.StringIO(maquette("models", "--format", "csv", "--server", server.address).stdout)))
    assert (rows[0]["service"], rows[0]["input"], rows[0]["classes"]) == ("classify", "224 x 224", "3")
    server.stop()
    done = maquette("models", "--server", server.address, MAQUETTE_PATIENCE="0")
    assert done.returncode == 2
    assert done.stderr.count("No service answers") == 4
    server.start()


def test_masks_keep_sub_folders_and_photographs(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "a.png").write_bytes(photograph(10, "PNG"))
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    done = maquette("mask", folder, "-o", "out", "--server", server.address)
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        ["4 done, 0 skipped, 0 failed, 2 to look at; masks in out. Next: open out/contact-sheet.html."],
    )
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == ["a.jpg.png", "a.png.png", "b.JPG.png", "contact-sheet.html", "sub/c.png.png"]
    written.remove("contact-sheet.html")
    assert [record["output"] for record in lines(done.stdout)] == [f"out/{name}" for name in written]
    with Image.open(tmp_path / "out" / "a.png.png") as mask:
        assert (mask.mode, mask.size, mask.getpixel((6, 6)), mask.getpixel((30, 20))) == ("L", (40, 30), 255, 0)
    assert {path: path.read_bytes() for path in before} == before


def test_a_second_run_makes_only_what_is_missing(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = ("mask", folder, "-o", out, "--server", server.address)
    first = maquette(*run)
    original = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert len(server.seen.items) == 3

    (out / "b.JPG.png").unlink()
    (out / "sub" / "c.png.png").unlink()
    atomic.partial_name(out / "a.jpg.png").write_bytes(b"as a killed run leaves it")
    second = maquette(*run)
    assert second.returncode == 0
    assert "2 done, 1 skipped, 0 failed" in second.stderr
    assert len(server.seen.items) == 5
    assert (out / "a.jpg.png").stat().st_mtime_ns == original[out / "a.jpg.png"]
    assert png.is_whole(out / "sub" / "c.png.png")
    kept, made = lines(first.stdout)[0], lines(second.stdout)[0]
    assert made == kept | {"skipped": True}
    assert [record["skipped"] for record in lines(second.stdout)] == [True, False, False]

    assert "0 done, 3 skipped, 0 failed" in maquette(*run).stderr
    assert len(server.seen.items) == 5
    assert maquette(*run, "--overwrite").returncode == 0
    assert len(server.seen.items) == 8


def test_a_mask_is_made_again_when_photograph_or_settings_changed(
    maquette: Run, server: Server, folder: Path, tmp_path: Path
) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    (folder / "a.jpg").write_bytes(photograph(200))
    assert [record["skipped"] for record in lines(maquette(*run).stdout)] == [False, True, True]
    assert [record["skipped"] for record in lines(maquette(*run, "--threshold", 0.9).stdout)] == [False] * 3
    assert [record["skipped"] for record in lines(maquette(*run, "--threshold", 0.9).stdout)] == [True] * 3


def test_a_mask_corrected_by_hand_is_kept(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    run = ("mask", folder, "-o", "out", "--server", server.address)
    maquette(*run)
    mine = photograph(7, "PNG")
    (tmp_path / "out" / "a.jpg.png").write_bytes(mine)
    record = lines(maquette(*run).stdout)[0]
    assert (record["skipped"], record["notes"]) == (True, ["kept: a person made or corrected this file"])
    assert (tmp_path / "out" / "a.jpg.png").read_bytes() == mine


def test_masks_beside_the_photographs_are_not_taken_for_photographs(maquette: Run, server: Server, folder: Path) -> None:
    run = ("mask", folder, "-o", folder, "--for", "metashape", "--server", server.address)
    assert maquette(*run).returncode == 0
    assert (folder / "a_mask.png").exists()
    second = maquette(*run)
    assert (second.returncode, len(lines(second.stdout)), len(server.seen.items)) == (0, 3, 3)


def test_a_mask_never_overwrites_a_photograph(maquette: Run, server: Server, folder: Path) -> None:
    original = (folder / "sub" / "c.png").read_bytes()
    done = maquette("mask", folder, "-o", folder, "--for", "meshroom", "--server", server.address)
    assert done.returncode == 1
    assert f"would overwrite the photograph {folder / 'sub' / 'c.png'}" in done.stderr
    assert (folder / "sub" / "c.png").read_bytes() == original
    assert len(server.seen.items) == 2


def test_cutouts(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    done = maquette("mask", folder / "a.jpg", "-o", "out", "--output-kind", "cutout", "--server", server.address)
    assert done.returncode == 0
    with Image.open(tmp_path / "out" / "a.jpg.cutout.png") as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (40, 30))


def test_a_mask_that_cannot_be_written_fails_alone(maquette: Run, server: Server, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("a file where a folder has to be")
    done = maquette("mask", folder, "-o", "out", "--server", server.address)
    assert done.returncode == 1
    assert "sub/c.png.png cannot be written" in done.stderr
    assert [record.get("error", {}).get("code") for record in lines(done.stdout)] == [None, None, "FILE_UNWRITABLE"]


def test_a_killed_run_leaves_whole_masks_only(server: Server, folder: Path, tmp_path: Path, maquette: Run) -> None:
    for number in range(200):
        (folder / f"m{number:03}.png").write_bytes(photograph(number, "PNG", (400, 300)))
    command = [sys.executable, "-m", "maquette", "mask", "photos", "-o", "out", "--server", server.address]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    masks = list((tmp_path / "out").rglob("*.png"))
    assert len(masks) >= 20
    assert all(png.is_whole(mask) and png.facts(mask) for mask in masks)
    assert maquette("mask", "photos", "-o", "out", "--server", server.address).returncode == 0
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 203 + 1  # and the sheet


def test_a_person_at_a_terminal_sees_a_table_and_a_bar(server: Server, folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "maquette", "classify", str(folder), "--server", server.address]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = bytearray()
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # Linux ends a pseudo-terminal so
        pass
    os.close(ours)
    assert process.wait() == 0
    text = seen.decode()
    assert "3/3" in text
    assert "runner up" in text
    assert "Bright" in text
