"""What a provider says was consumed, as the journal keeps it."""

from __future__ import annotations

from operator import itemgetter

from msgspec.structs import astuple, replace

from dragoman.accounting.records import Tokens
from dragoman.core.usage import Usage, are_counts, count

NO_TOKENS = Tokens()
_counts = itemgetter(*map(Usage.__struct_fields__.index, Tokens.__struct_fields__))
"""The counts that the journal keeps, in its order."""


def sound_tokens(usage: Usage) -> Tokens | None:
    """The counts as they are, if all of them are sound, and no output is billed beside them."""
    counts = _counts(astuple(usage))
    return Tokens(*counts) if not usage.apart and are_counts(counts) else None


def tokens_of(usage: Usage | None) -> Tokens:
    """The counts, each of them cleaned once more: a reader may have summed up hostile ones."""
    if usage is None:
        return NO_TOKENS
    sound = sound_tokens(usage)
    if sound is not None:
        return sound
    if usage.apart:
        usage = replace(usage, output=usage.billed_output)
    cleaned = [each if each is None else count(each) for each in _counts(astuple(usage))]
    return Tokens(*cleaned)
