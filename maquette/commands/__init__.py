"""The ``maquette`` command line: one module a command."""
