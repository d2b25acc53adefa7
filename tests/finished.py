"""Calls that are over, for whatever is told of them."""

from dragoman.core.call import Call, Outcome

ROUTE = "/v1/chat/completions"
END = f'endpoint="{ROUTE}",error_type=""'
"""The labels of one that went well."""
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def _nothing() -> bytes:
    return b""


def finished_call(outcome: Outcome, **members) -> Call:
    said = {
        "id": "0198c7a5-0000-7000-8000-0000000000aa",
        "request_id": "req_1",
        "trace_id": TRACE,
        "dialect": "chat",
        "operation": "chat",
        "route": ROUTE,
        "proof": None,
        "headers": {},
        "read_body": _nothing,
        "received": 0.0,
        "wall": 1_700_000_000.0,
        "outcome": outcome,
    }
    return Call(**{**said, **members})
