"""Answers as records, and the formats that records are written in."""
