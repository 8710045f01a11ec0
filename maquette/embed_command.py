"""``maquette embed``: records of some photographs, and the latent plane as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maquette import bulk, journal, maps, plane_page, provenance, records
from maquette.client import IN_FLIGHT, PATIENCE
from maquette.contract import Service
from maquette.errors import make
from maquette.gather import Gathered
from maquette.journal import Journal
from maquette.options import (
    Ca,
    Chosen,
    ColumnsFile,
    InFlight,
    Key,
    Output,
    Overwrite,
    Paths,
    Patience,
    Server,
    Timeout,
    connected,
    finish,
    found_in,
)  # fmt: skip


def embed(
    context: typer.Context,
    paths: Paths,
    output: Output = None,
    page: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE.html", help="Also draw the latent plane, in one file.")
    ] = None,
    columns: ColumnsFile = None,
    features: Annotated[bool, typer.Option("--features", help="Also the encoder's wider feature vector.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Embed the figure on white; the service needs a mask model.")] = False,
    overwrite: Overwrite = False,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Chosen = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Where does each figurine lie in the latent plane?"""
    with connected(server, key, ca, timeout, patience) as client:
        if columns and not page:
            raise make("PARAMETER_INVALID", "--columns colours the page; give it with --page FILE.html.")
        if page and output and page.absolute() == output.absolute():
            raise make("PARAMETER_INVALID", "--output and --page are two files.")
        model, space = client.model(Service.EMBED_LATENT), client.space()
        found = found_in(paths)
        user = maps.user_columns(columns, found)
        shape = records.embed_shape(space.dimensions, space.feature_dimensions if features else 0)
        gathered = Gathered("latent")
        settings = {"features": features, "mask": mask}
        kept = journal.beside(output or page)
        with Journal(kept, space.embedding_space, settings, overwrite=overwrite) as answers:
            made = maps.asked(
                found,
                answers,
                lambda todo: client.embed_many(todo, features, mask=mask or None, in_flight=in_flight),
                space.model_version,
            )
            made = gathered.through(found, made) if page else made
            failed = bulk.run(made, len(found), shape, format_, output, doing="embed")
        answers.say(len(found))
        drawn = (
            not page
            or not gathered.works
            or maps.draw(
                page,
                lambda: plane_page.page(
                    maps.title_of(paths),
                    gathered,
                    space,
                    user,
                    provenance.pairs(context, model, gathered.records, columns),
                ),
            )
        )
        if not drawn:
            raise typer.Exit(1)
        answers.end(failed)
        finish(failed)
