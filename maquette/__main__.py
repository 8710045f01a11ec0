"""``python -m maquette`` is ``maquette``."""

from maquette.cli import app

app(prog_name="maquette")
