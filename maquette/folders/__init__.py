"""Photographs in folders, and files that appear whole."""
