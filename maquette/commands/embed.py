"""``maquette embed``: records of some photographs, and the latent plane as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maquette.client.client import IN_FLIGHT, PATIENCE
from maquette.client.errors import make
from maquette.client.services import Service
from maquette.commands import asking, drawing, manifests, provenance, runner
from maquette.commands.manifests import ManifestOption
from maquette.commands.options import (
    Ca,
    ChosenOrParquet,
    ColumnsFile,
    DeleteVanished,
    IdFromOption,
    InFlight,
    Key,
    Output,
    Overwrite,
    PathsOrManifest,
    Patience,
    Server,
    Timeout,
    To,
    check_vanished,
    connected,
    found_in,
)  # fmt: skip
from maquette.maps import latent_map
from maquette.maps.catalogue import Collection
from maquette.maps.gather import Gathered
from maquette.records import log_lines, records
from maquette.records.answer_log import AnswerLog
from maquette.stores import vectors
from maquette.stores.table import Space


def embed(
    context: typer.Context,
    paths: PathsOrManifest = None,
    manifest: ManifestOption = None,
    output: Output = None,
    page: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE.html", help="Also draw the latent plane, in one file.")
    ] = None,
    columns: ColumnsFile = None,
    id_from: IdFromOption = None,
    features: Annotated[bool, typer.Option("--features", help="Also the encoder's wider feature vector.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Embed the figure on white; the service needs a mask model.")] = False,
    overwrite: Overwrite = False,
    to: To = None,
    delete_vanished: DeleteVanished = False,
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: ChosenOrParquet = None,
    in_flight: InFlight = IN_FLIGHT,
) -> None:
    """Where does each figurine lie in the latent plane?"""
    with connected(server, key, ca, timeout, patience) as client:
        if columns and not (page or id_from):
            raise make("PARAMETER_INVALID", "--columns colours the page; give it with --page FILE.html, or with --id-from.")
        if page and output and page.absolute() == output.absolute():
            raise make("PARAMETER_INVALID", "--output and --page are two files.")
        check_vanished(paths, to, delete_vanished)
        model, space = client.model(Service.EMBED_LATENT), client.space()
        if manifest and (id_from or columns):
            raise make("PARAMETER_INVALID", "--manifest has ids of its own; leave out --id-from and --columns.")
        brought = manifests.bring(manifest, paths, output, manifests.least(model.input)) if manifest else None
        if brought:
            collection = Collection(brought.found, brought.ids)
        else:
            collection = asking.collection(found_in(manifests.some(paths)), id_from, columns)
        asking.refuse_sources([output, page], collection.found, columns)
        shape = records.embed_shape(space.dimensions, space.feature_dimensions if features else 0)
        gathered, drawn = Gathered("latent"), None
        made_in, settings = (log_lines.SPACE, space.embedding_space), {"features": features, "mask": mask}
        table, version = Space(space.embedding_space, space.feature_dimensions), space.model_version
        with (
            vectors.opened(to, table, "latent", version, settings, overwrite=overwrite) as store,
            AnswerLog(log_lines.beside(output or page), Service.EMBED_LATENT, made_in, settings, overwrite=overwrite) as log,
        ):
            made = asking.answered(
                collection,
                log,
                lambda todo: client.embed_many(todo, features, mask=mask or None, in_flight=in_flight),
                version,
                store,
            )
            made = gathered.through(collection, made) if page else made
            made, total = (brought.and_failed(made), brought.total) if brought else (made, len(collection.found))
            document = brought.document("embed", output, format_) if brought else None
            outcome = runner.write(made, total, shape, format_, output, doing="embed", document=document, store=store)
            outcome.skip(log.reused | (store.reused if store else set()))
            if delete_vanished and paths:
                drawing.delete_vanished(store, paths, collection.found, outcome)
            draws = page is not None and bool(gathered.works) and not outcome.stopped
            if page and draws:
                drawn = drawing.draw(
                    page,
                    lambda: latent_map.page(
                        drawing.title_of(paths) if paths else manifest or "",
                        gathered.by_object(),
                        space,
                        collection,
                        provenance.pairs(context, model, gathered.records, columns),
                    ),
                    outcome,
                )
            if outcome.whole and not (draws and drawn is None):
                log.remove()
        drawing.say_end(outcome, drawn, outcome.where)
        raise typer.Exit(outcome.exit_code or int(draws and drawn is None))
