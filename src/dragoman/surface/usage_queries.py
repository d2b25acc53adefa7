"""What the routes of reports take in their queries, as OpenAPI describes it (``accounting/asked.py`` reads it)."""

from __future__ import annotations

from typing import Any

from dragoman.accounting.asked import FEW_LINES, MOST_LINES, OWN, REQUEST
from dragoman.catalog.recommend import MOST

Parameter = dict[str, Any]

_WORD = {"type": "string", "maxLength": 256}
_MOMENT = {"type": "string", "maxLength": 40}


def _query(name: str, schema: dict[str, Any], description: str) -> Parameter:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_SPAN = [
    _query("since", _MOMENT, "From this moment on: ISO 8601, or Unix seconds"),
    _query("until", _MOMENT, "Before this moment"),
]
_ONLY = [
    _query("provider", _WORD, "Only calls of this provider's"),
    _query("model", _WORD, "Only calls of this model, by the provider's own id"),
    _query("caller", _WORD, "Only calls with this caller, the whole of a chain"),
    _query("root", _WORD, "Only calls whose chain of callers begins with this one"),
    _query("project", _WORD, "Only calls of this project's keys"),
    _query("user", _WORD, "Only calls for this end user"),
    _query("tag", _WORD, "Only calls with this tag"),
]
_WHOSE = [
    _query("tenant", _WORD, "Only this tenant's calls"),
    _query("key_id", _WORD, "Only this key's calls"),
]

USAGE_QUERIES: dict[str, list[Parameter]] = {
    "usage": [
        _query(
            "group",
            _WORD,
            f"{REQUEST}: a row for each call; or of {', '.join(OWN)} some with commas between them: a row "
            "for each that there is; without it, totals alone",
        ),
        _query(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": MOST_LINES, "default": FEW_LINES},
            "Rows of one page; of csv and jsonl all unless said",
        ),
        _query(
            "cursor", {"type": "string", "maxLength": 1024}, "`next_cursor` of the page before"
        ),
        _query("format", {"enum": ["json", "csv", "jsonl"]}, "jsonl is for group=request"),
        _query("sort", {"enum": ["name", "cost"]}, "cost: the dearest first"),
        *_SPAN,
        *_ONLY,
    ],
    "calls": [
        _query("format", {"enum": ["csv", "jsonl"]}, "csv unless said"),
        *_SPAN,
        _query("key_id", _WORD, "Only this key's calls"),
        *_ONLY,
    ],
    "all_calls": [
        _query("format", {"enum": ["csv", "jsonl"]}, "csv unless said"),
        *_SPAN,
        *_WHOSE,
        *_ONLY,
    ],
    "recommend": [
        {
            **_query(
                "task",
                {"type": "string", "maxLength": 500},
                "What is to be done, in a word or a few",
            ),
            "required": True,
        },
        _query(
            "limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": 5}, "How many"
        ),
    ],
}
