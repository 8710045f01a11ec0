"""What docs/iiif.md shows is what one gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests import console
from tests.serving import ROOT, Served
from tests.sources import iip
from tests.sources.test_manifest import NAMES, OBJECT, version_3


def test_every_console_block(serve: Callable[..., Served], running: dict[str, Served], tmp_path: Path) -> None:
    home = tmp_path / "iip"
    home.mkdir()
    for seed, name in enumerate(("bust", *NAMES)):
        iip.pyramid(home / f"{name}.tif", iip.photograph(seed, 640, 480))
    with iip.serving(home, home) as images:
        manifest = version_3(images, "")
        manifest["items"] = manifest["items"][: len(NAMES)]
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        assert manifest["id"] == OBJECT
        served = serve("classify", sources=f"http://127.0.0.1:{images.port}").until_ready()
        there = {"http://127.0.0.1:8182": f"http://127.0.0.1:{images.port}", "localhost:3001": f"127.0.0.1:{served.http_port}"}
        for command, name in (("classify", "classify"), ("mask", "remove_background"), ("embed", "embed_latent")):
            own = running[name]
            there[f"maquette {command} "] = f"maquette {command} --server {own.host}:{own.grpc_port} "
        page = ROOT / "docs" / "iiif.md"
        assert console.run(page, tmp_path, there, left_out=("MAQUETTE_SOURCES=",)) == 10
        served.stop()
