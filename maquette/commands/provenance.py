"""Where a result comes from: the model, the day, and the command that can be run again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from maquette.records.records import Record
from maquette.stores.table import shown

# What is nobody's business who gets the page.
_SECRET = ("key",)


def command_line(context: typer.Context) -> str:
    """The command as it was given, without the key, and without the password of a store."""
    words = ["maquette", str(context.info_name)]
    options: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _SECRET:
            continue
        value: Any = context.params[name]
        if parameter.param_type_name == "argument":
            words += map(str, value)
        elif getattr(parameter, "is_flag", False):
            options.append(parameter.opts[0])
        else:
            options += [parameter.opts[0], shown(value) if name == "to" else str(value)]
    return shlex.join([*words, *options])


def pairs(context: typer.Context, model: Any, records: Sequence[Record], columns: Path | None) -> list[tuple[str, str]]:
    """Of answers of ``model``, the contract's ``Model`` message."""
    versions = sorted({record["model_version"] for record in records})
    data = "; ".join(f"{one.name} ({one.items:,} items, {one.licence})" for one in model.training_data)
    return [
        ("Made on", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Command", command_line(context)),
        ("Model", f"{model.name} {', '.join(versions)}: {model.architecture}"),
        ("Model file (sha256)", model.sha256),
        ("Embedding space", model.embedding_space),
        ("Trained on", data),
        ("Meant for", model.intended_use),
        ("Not for", model.not_for),
        ("Columns from", str(columns) if columns else ""),
    ]
