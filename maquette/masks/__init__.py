"""Masks on disk: their names, their files, and the run that makes them."""
