"""JSON that holds halves of characters: lone surrogates, which no UTF-8 text can hold (D8).

msgspec refuses them and the standard library reads them; here they become U+FFFD, for a frame
must not kill its stream.
"""

from __future__ import annotations

import json

import msgspec


def loads_leniently(data: bytes) -> object:
    """JSON that msgspec refuses for a lone surrogate, decoded by the standard library.

    Raises:
        ValueError: it is no JSON, or holds NaN or an infinity.
        RecursionError: it is too deep.
    """
    return json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse)


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def without_surrogates(node: object) -> object:
    """The same JSON value with U+FFFD for every surrogate that stands alone."""
    match node:
        case str():
            return mend(node)
        case list():
            return [without_surrogates(item) for item in node]
        case dict():
            return {mend(str(name)): without_surrogates(item) for name, item in node.items()}
        case _:
            return node


def mended(data: bytes) -> bytes:
    """The same JSON without halves of characters, for decoders that take whole ones only.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is too deep.
    """
    return msgspec.json.encode(without_surrogates(loads_leniently(data)))


def mend(words: str) -> str:
    """A string that can be encoded: surrogate pairs joined, lone ones replaced."""
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
