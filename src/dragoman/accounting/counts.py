"""What a provider says was consumed, as the journal keeps it."""

from __future__ import annotations

from dragoman.accounting.records import Tokens
from dragoman.core.usage import Usage, are_counts, count

_NO_TOKENS = Tokens()


def tokens_of(usage: Usage | None) -> Tokens:
    """The counts, each of them cleaned once more: a reader may have summed up hostile ones."""
    if usage is None:
        return _NO_TOKENS
    counts: tuple[int | None, ...] = (
        usage.input,
        usage.output if not usage.apart else usage.billed_output,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.reasoning,
        usage.audio_input,
        usage.audio_output,
        usage.web_searches,
        usage.image_input,
        usage.image_output,
        usage.images,
        usage.audio_seconds,
    )
    if not are_counts(counts):
        counts = tuple([each if each is None else count(each) for each in counts])
    return Tokens(*counts)
