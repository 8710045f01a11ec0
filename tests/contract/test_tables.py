"""The tables people read are those the code holds."""

from __future__ import annotations

from pathlib import Path

from services.common import errors
from services.common.settings import PREFIX, Settings

TEXT = (Path(__file__).parents[2] / "services" / "README.md").read_text()


def test_every_setting_is_in_the_table_with_its_description() -> None:
    for name, field in Settings.model_fields.items():
        row = next((line for line in TEXT.splitlines() if line.startswith(f"| `{PREFIX}{name.upper()}` |")), "")
        assert row.endswith(f"| {field.description} |"), name


def test_every_error_is_in_the_table_with_its_statuses() -> None:
    for code, row in errors.TABLE.items():
        assert f"| `{code}` | {row.http} | {row.grpc.name} |" in TEXT


def test_every_error_class_has_a_row_and_every_row_a_class() -> None:
    assert {error.code for error in errors.MaquetteError.__subclasses__()} == set(errors.TABLE)
