"""A small collection drawn by the code: three groups that differ in clay and pose, six objects each, one with two views."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from training.embed_latent import data, sample

GROUPS = {"Arroyo": ("terracotta", False), "Barranca": ("buff", True), "Cerro": ("dark", False)}


def write_table(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["file", "label", "source", "original_name"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rows = tmp_path_factory.mktemp("figurines"), []
    for group, (clay, seated) in GROUPS.items():
        for number in range(6):
            rng = np.random.default_rng((len(group), number))
            name = f"{group}_{number}.jpg"
            sample.figurine((180, 240), rng, clay, seated).save(folder / name, quality=92)
            source = "Museum One" if number % 2 else "Museum Two"
            rows.append({"file": name, "label": group, "source": source, "original_name": f"inv {group} {number + 10}_web.jpg"})
    rows[1]["original_name"] = "inv Arroyo 10 (2).jpg"  # a second view of the first object
    return write_table(folder, rows)


@pytest.fixture(scope="session")
def works(collection: Path) -> data.Works:
    return data.load(collection)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
