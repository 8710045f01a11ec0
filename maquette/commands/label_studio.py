"""``maquette label-studio``: serve a backend to Label Studio, and take masks out of its export."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import PATIENCE
from maquette.client.errors import make
from maquette.commands import runner
from maquette.commands.options import Ca, Key, Paths, Patience, ReplaceMine, Server, Timeout, connected, found_in, reported

app = typer.Typer(
    no_args_is_help=True, help="Masks and types in Label Studio, and what is corrected there as masks to learn from."
)
_INSTALL = "maquette label-studio needs {}: pip install 'maquette-serving[label-studio]'."


@app.command()
def serve(
    url: Annotated[
        str, typer.Option(envvar="MAQUETTE_LABEL_STUDIO_URL", help="Where Label Studio is; pictures come from there.")
    ],
    token: Annotated[
        str, typer.Option(envvar="MAQUETTE_LABEL_STUDIO_TOKEN", show_default=False, help="Access token of Label Studio.")
    ] = "",
    local_files: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Label Studio's root of local files, on this machine.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 9090,
    password: Annotated[
        str, typer.Option(envvar="MAQUETTE_BACKEND_PASSWORD", show_default=False, help="What Label Studio has to give.")
    ] = "",
    adapter: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Use what maquette mask --learn learnt: adapter-….json.")
    ] = None,
    largest: Annotated[int, typer.Option(min=1, help="Largest picture, in MiB.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time for one picture to come from Label Studio.")] = 30.0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Tasks under way at a time.")] = 4,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 60.0,
    patience: Patience = PATIENCE,
) -> None:
    """Answer Label Studio as an ML backend until Ctrl-C: masks for BrushLabels, also from clicks, and types for Choices."""
    with connected(server, key, ca, timeout, patience) as client:
        try:
            import uvicorn

            from maquette.labelstudio.app import application
            from maquette.labelstudio.backend import Backend
            from maquette.labelstudio.images import TaskImages
        except ImportError as error:
            raise make("PARAMETER_INVALID", _INSTALL.format(str(error.name).partition(".")[0])) from error
        if not url.startswith(("http://", "https://")):
            raise make("PARAMETER_INVALID", "--url takes the address of Label Studio: http://HOST:PORT or https://HOST.")
        images = TaskImages(url, token, local_files, largest * 2**20, seconds)
        try:
            made = application(Backend(client, images, adapter), password, workers)
            typer.echo(f"A backend for {url} at http://{host}:{port}; Ctrl-C ends it.", err=True)
            uvicorn.run(made, host=host, port=port, limit_concurrency=64, log_level="warning", timeout_graceful_shutdown=10)
        except KeyboardInterrupt:  # which uvicorn hands on when its last request is answered
            typer.echo("Ended.", err=True)
        finally:
            images.close()


@app.command()
def masks(
    export: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="EXPORT.json", help="Label Studio's export, JSON.")
    ],
    paths: Paths,
    output: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the masks.")],
    label: Annotated[str | None, typer.Option(help="Take the regions of this label alone.")] = None,
    replace_mine: ReplaceMine = False,
) -> None:
    """Write what was drawn on the photographs as masks, for maquette mask --learn-from."""
    with reported():
        try:
            from maquette.labelstudio import export as exported
        except ImportError as error:
            raise make("PARAMETER_INVALID", _INSTALL.format(str(error.name).partition(".")[0])) from error
        counts, failed, kept = Counter[str](), 0, 0
        for one in exported.masks(export, found_in(paths), output, label, replace=replace_mine):
            known = one.state in ("written", "same", "kept")
            counts[one.state if known else "failed"] += 1
            if not known:
                runner.errors().print(f"task {one.task}: {one.state}")
            elif one.state == "kept":
                runner.errors().print(f"{one.target} is there and another; it is kept until --replace-mine.")
        failed, kept = counts["failed"], counts["kept"]
        next_ = f"maquette mask {' '.join(map(str, paths))} -o MASKS --learn-from {output}"
        done = f"{counts['written']:,} written, {counts['same']:,} the same, {kept:,} kept, {failed:,} failed"
        runner.errors().print(f"{done}; masks in {output}. Next: {next_}.")
        raise typer.Exit(int(bool(failed or kept)))
