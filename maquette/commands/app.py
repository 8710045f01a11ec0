"""The ``maquette`` command line. Exit codes: 0 all good, 1 something failed, 2 wrong usage or no server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import typer

from maquette.client.client import PATIENCE
from maquette.client.errors import MaquetteError
from maquette.client.services import Service
from maquette.commands import classify, cluster, embed, label_studio, mask, review, runner
from maquette.commands.options import (
    Ca,
    Chosen,
    Key,
    Output,
    Patience,
    Server,
    Timeout,
    connected,
)
from maquette.records import records
from maquette.records.records import Record

# gRPC's own log would stand between the sentences for people; it reads this when the first channel opens.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

app = typer.Typer(
    help="Ask Maquette's services about photographs of museum objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it takes "[default: 3]" for a style
)


app.command()(classify.classify)
app.command()(cluster.cluster)
app.command()(embed.embed)
app.command()(mask.mask)
app.command()(review.review)
app.add_typer(label_studio.app, name="label-studio")


@app.command()
def models(
    server: Server = "localhost",
    key: Key = "",
    ca: Ca = None,
    timeout: Timeout = 120.0,
    patience: Patience = PATIENCE,
    format_: Chosen = None,
    output: Output = None,
) -> None:
    """Which models answer, and what they are."""
    with connected(server, key, ca, timeout, patience) as client:
        one_port = client.address(Service.CLASSIFY).target == client.address(Service.EMBED_LATENT).target

        def ask(service: Service) -> Record:
            start = {"service": service.value, "address": client.address(service).target}
            try:
                return start | records.as_dict(client.model(service))
            except MaquetteError as error:
                return start | {"error": {"code": error.code, "detail": error.detail}}

        with ThreadPoolExecutor(len(Service)) as pool:
            answers = list(pool.map(ask, Service))
        if one_port:  # one address is one service, or a gateway to several
            answers = [a for a in answers if a.get("error", {}).get("code") != "UNSUPPORTED"] or answers
        outcome = runner.write(answers, len(answers), records.MODELS, format_, output, doing="models")
        raise typer.Exit(2 if len(outcome.failed) == len(answers) else outcome.exit_code)
