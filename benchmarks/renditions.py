"""What a IIIF image server's renditions do to the answers of ``classify``: ``python -m benchmarks.renditions``.

Debian's iipimage-server, at its own JPEG quality, serves the samples. The shipped model is asked with the photograph, and by
``image_url`` for the rendition of the size that it needs, and for one of the photograph's own size.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.serving import ROOT, Served
from tests.sources import iip


def main() -> None:
    home = Path(tempfile.mkdtemp())
    photographs = {path.stem: Image.open(path).convert("RGB") for path in sorted((ROOT / "samples").glob("*.jpg"))}
    for name, photograph in photographs.items():
        iip.pyramid(home / f"{name}.tif", photograph)
    print("| sample | abstained | sent: type | needed size: type, largest change | own size: type, largest change |")
    print("|---|---|---|---|---|")
    with iip.serving(home, home) as images:
        served = Served("classify", home, {"MAQUETTE_SOURCES": f"http://127.0.0.1:{images.port}"}).until_ready()
        for name, photograph in photographs.items():
            whole = served.call("http", iip.encoded(photograph), top_k=8)
            cells = [name, "yes" if whole["abstained"] else "", whole["predictions"][0]["label"]]
            for path in ("info.json", f"full/{photograph.width},/0/default.jpg"):
                by_address = served.call("http", b"", image_url=images.at(f"{name}.tif/{path}"), top_k=8)
                cells.append(f"{by_address['predictions'][0]['label']}, {_change(whole, by_address):.3f}")
            print(f"| {' | '.join(cells)} |")
        served.stop()


def _change(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of a type's probability."""
    first, second = ({each["label"]: each["probability"] for each in answer["predictions"]} for answer in (one, other))
    return max(abs(first[label] - second[label]) for label in first)


if __name__ == "__main__":
    main()
