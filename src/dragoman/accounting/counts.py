"""What a provider says was consumed, as the journal keeps it."""

from __future__ import annotations

from dragoman.accounting.records import Tokens
from dragoman.core.usage import LARGEST, Usage, count

_NO_TOKENS = Tokens()
_WHOLE = frozenset({int})


def tokens_of(usage: Usage | None) -> Tokens:
    """The counts, each of them cleaned once more: a reader may have summed up hostile ones."""
    if usage is None:
        return _NO_TOKENS
    counts = (
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
    # A look at all of them together is a fifth of one at each; nearly always they are clean.
    said = [*filter(None, counts)]
    if said and not (
        _WHOLE.issuperset(map(type, said)) and min(said) > 0 and max(said) <= LARGEST
    ):
        counts = tuple([each if each is None else count(each) for each in counts])
    return Tokens(*counts)
