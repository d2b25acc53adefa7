"""The canonical request → a generateContent request (`dialects.md` §3.1, §5)."""

from __future__ import annotations

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import Request
from dragoman.dialects.base import Outgoing, Target, Undo
from dragoman.dialects.foreign import weighs
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.wire import DIALECT, WireError, encode
from dragoman.dialects.gemini.write_config import write_config
from dragoman.dialects.gemini.write_messages import write_contents, write_system
from dragoman.dialects.gemini.write_tools import write_tools

_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_MEANINGFUL = frozenset(
    {"web_search_options", "plugins", "moderation", "guardrails", "safe_prompt", "mcp_servers"}
)
"""Members of other dialects whose absence would change the answer or what may be in it (§5)."""


def write_request(request: Request, target: Target) -> Outgoing:
    """The request for a provider of this dialect; its model and method stand in the path.

    Raises:
        CallerError: the request asks for what no Gemini model can do.
    """
    draft = Draft(request, target)
    try:
        body = _write(draft)
    except WireError as error:
        raise invalid(f"The member {error.path} is not usable: {error.why}.", error.path) from None
    except RecursionError:
        raise invalid("The request is nested too deeply.", code="invalid_json") from None
    return Outgoing(
        encode(body),
        losses=tuple(draft.losses),
        undo=Undo(draft.names, None, frozenset(draft.custom)),
    )


def _write(draft: Draft) -> dict[str, object]:
    request = draft.request
    _refuse(request)
    toolbox = write_tools(draft)
    config = write_config(draft, toolbox)
    system = write_system(draft)
    contents = write_contents(draft)
    body: dict[str, object] = {
        "contents": [{"role": content.role, "parts": content.parts} for content in contents]
    }
    if system:
        body["systemInstruction"] = {"parts": system}
    if toolbox.tools:
        body["tools"] = toolbox.tools
    if toolbox.config:
        body["toolConfig"] = toolbox.config
    if config:
        body["generationConfig"] = config
    kept = own(request.ext)
    body |= {n: raw for n, raw in kept.items() if n not in {"toolConfig", "generationConfig"}}
    _rest(draft, body)
    _apply_quirks(draft, body)
    return body


def _refuse(request: Request) -> None:
    """What would change the answer if it were left out."""
    for dialect, members in (request.ext or {}).items():
        if dialect == DIALECT:
            continue
        for name, raw in members.items():
            if name in _MEANINGFUL and weighs(name, raw):
                raise unsupported(
                    f"The member {name} is of the dialect {dialect}, and Gemini has nothing "
                    "that does the same.",
                    name,
                )


def _rest(draft: Draft, body: dict[str, object]) -> None:
    request = draft.request
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is not None:
            body["serviceTier"] = tier
        elif request.service_tier != "auto":
            draft.lose("service_tier", "not_in_dialect")
    unheard = (
        ("cache_control", request.cache is not None),
        ("user", request.end_user is not None),
        ("safety_identifier", request.safety_id is not None),
        ("metadata", bool(request.metadata)),
        ("store", request.store is True),
        ("prediction", request.prediction is not None),
        ("prompt_cache_key", request.cache_key is not None),
        ("prompt_cache_retention", request.cache_retention is not None),
    )
    for name, said in unheard:
        if said:
            draft.lose(name, "not_in_dialect")
    draft.foreign(request.ext, "")


def _apply_quirks(draft: Draft, body: dict[str, object]) -> None:
    """What the provider spells otherwise or refuses, by its own file."""
    for name in draft.target.quirks.drop:
        if name in body:
            del body[name]
            draft.lose(name, "refused_by_provider")
    for name, other in draft.target.quirks.rename.items():
        if name in body:
            body[other] = body.pop(name)
