"""Photographs of scanned and made sculptures with exact masks, rendered off-screen (see README.md)."""
