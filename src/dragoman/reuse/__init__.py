"""Answers that are given again: by an Idempotency-Key, to a client that lost its stream, from a cache."""
