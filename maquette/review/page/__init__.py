"""``maquette review``: the local page, and what it does with files and the service."""
