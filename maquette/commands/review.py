"""``maquette review``: a local page to go through masks, or types, and put them right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import IN_FLIGHT, PATIENCE
from maquette.client.errors import make
from maquette.commands import drawing
from maquette.commands.mask import FrameName
from maquette.commands.options import Ca, InFlight, Key, Paths, Patience, Server, Timeout, connected, found_in
from maquette.masks.naming import Tool
from maquette.masks.plan import Order, Settings


def review(
    paths: Paths,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            show_default=False,
            help="Folder of the masks. With --types the table, by default labels.csv in the folder of the photographs.",
        ),
    ] = None,
    types: Annotated[bool, typer.Option("--types", help="Review types of sculpture, and write them as labels.csv.")] = False,
    tool: Annotated[
        Tool | None, typer.Option("--for", help="Masks are named as this program wants them.", show_default="IMG.jpg.png")
    ] = None,
    frame: Annotated[FrameName, typer.Option(help="Pixel rows of the masks as stored, or upright by EXIF.")] = FrameName.SENSOR,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Probability from which a pixel is object.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port at 127.0.0.1.", show_default="a free one")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Go through the masks of a set in the browser, worst first: correct, accept, reject, teach the rest. Ctrl-C ends it."""
    with connected(server, key, ca, timeout, patience) as client:
        try:
            from maquette.review.page import serve
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] in ("maquette", "protos"):
                raise
            detail = f"maquette review needs {error.name}: pip install 'maquette-serving[cli,review]'."
            raise make("PARAMETER_INVALID", detail) from error
        if threshold in (0, 1):
            raise make("PARAMETER_INVALID", "--threshold takes a number above 0 and below 1.")
        if not types and output is None:
            raise make("PARAMETER_INVALID", "-o names the folder of the masks; --types reviews types of sculpture instead.")
        if output is not None and output.exists() and output.is_dir() is types:
            wanted = "a table for the types" if types else "the folder of the masks"
            raise make("PARAMETER_INVALID", f"{output} is there already and is not {wanted}; choose another -o.")
        if types and (tool or threshold or frame is not FrameName.SENSOR):
            raise make("PARAMETER_INVALID", "--for, --frame and --threshold are about masks; leave them out with --types.")
        found, title = found_in(paths), drawing.title_of(paths)
        bound = serve.listen(port)
        if types:
            folder = paths[0] if paths[0].is_dir() else paths[0].parent
            said = serve.types(client, title, found, output or folder / "labels.csv", bound, browser, _say, in_flight)
        else:
            assert output is not None
            settings = Settings("mask", frame.value, threshold)
            said = serve.masks(client, title, found, Order(output, settings, tool), bound, browser, _say, in_flight)
        typer.echo(said, err=True)


def _say(address: str) -> None:
    typer.echo(f"Open {address}\nCtrl-C ends it; all that you do is on disk at once.", err=True)
