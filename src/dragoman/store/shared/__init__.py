"""Limits that several processes share, on one host or through Redis."""
