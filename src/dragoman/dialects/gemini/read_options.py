"""Tools and settings of a request → canonical ones."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.request import (
    Effort,
    FunctionTool,
    HostedTool,
    Output,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.schema import to_json_schema
from dragoman.dialects.gemini.wire import DIALECT, WireError

Members = dict[str, Raw]

CONFIG = {
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
}
"""Members of ``generationConfig`` that have a canonical name."""

_AT = "generationConfig"
_LEVELS: dict[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}


def config_of(members: Members) -> Members:
    """The members of ``generationConfig``."""
    return wire.members(members[_AT], _AT) if _AT in members else {}


def read_sampling(config: Members) -> Sampling:
    """How the next token is drawn."""

    def number(name: str) -> float | None:
        return wire.number(config[name], f"{_AT}.{name}") if name in config else None

    def whole(name: str) -> int | None:
        return wire.integer(config[name], f"{_AT}.{name}") if name in config else None

    stop = wire.items(config["stopSequences"], _AT) if "stopSequences" in config else []
    shown = config.get("responseLogprobs")
    return Sampling(
        temperature=number("temperature"),
        top_p=number("topP"),
        top_k=whole("topK"),
        seed=whole("seed"),
        frequency_penalty=number("frequencyPenalty"),
        presence_penalty=number("presencePenalty"),
        stop=tuple(wire.text(word, f"{_AT}.stopSequences") for word in stop),
        n=whole("candidateCount"),
        logprobs=None if shown is None else wire.boolean(shown, f"{_AT}.responseLogprobs"),
        top_logprobs=whole("logprobs"),
    )


def read_max_tokens(config: Members) -> int | None:
    """``maxOutputTokens``."""
    name = "maxOutputTokens"
    return wire.integer(config[name], f"{_AT}.{name}") if name in config else None


def read_output(config: Members) -> Output:
    """The form that the answer must have."""
    mime = wire.opt_text(config, "responseMimeType", _AT)
    kinds = wire.items(config["responseModalities"], _AT) if "responseModalities" in config else []
    modalities = tuple(wire.text(kind, f"{_AT}.responseModalities").lower() for kind in kinds)
    said = Output(modalities=tuple(kind for kind in modalities if kind != "modality_unspecified"))
    if "responseJsonSchema" in config:
        return replace(said, format="json_schema", schema=config["responseJsonSchema"])
    if "responseSchema" in config:
        schema = to_json_schema(config["responseSchema"], f"{_AT}.responseSchema")
        return replace(said, format="json_schema", schema=schema)
    return replace(said, format="json") if mime == "application/json" else said


def read_reasoning(config: Members) -> Reasoning:
    """``thinkingConfig``: a level or a budget, and whether thoughts are shown."""
    if "thinkingConfig" not in config:
        return Reasoning()
    path = f"{_AT}.thinkingConfig"
    found = wire.members(config["thinkingConfig"], path)
    visibility: Literal["full", "hidden"] | None = None
    if "includeThoughts" in found:
        shown = wire.boolean(found["includeThoughts"], f"{path}.includeThoughts")
        visibility = "full" if shown else "hidden"
    said = Reasoning(visibility=visibility)
    if "thinkingLevel" in found:
        effort = _LEVELS.get(wire.text(found["thinkingLevel"], path).upper())
        return replace(said, effort=effort)
    if "thinkingBudget" not in found:
        return said
    budget = wire.integer(found["thinkingBudget"], f"{path}.thinkingBudget")
    if budget < 0:
        return replace(said, mode="adaptive")
    return replace(said, mode="disabled") if budget == 0 else replace(said, budget=budget)


def read_tier(members: Members, ext: Members) -> str | None:
    """``serviceTier`` in the chat family's words (P119)."""
    if "serviceTier" not in members:
        return None
    said = wire.text(members["serviceTier"], "serviceTier")
    tier = _TIERS.get(said.lower().removeprefix("service_tier_"))
    if tier is None:
        ext["serviceTier"] = members["serviceTier"]
    return tier


def read_tools(members: Members) -> tuple[Tool, ...]:
    """Functions, and each tool that Google runs itself."""
    found: list[Tool] = []
    for number, item in enumerate(
        wire.items(members["tools"], "tools") if "tools" in members else ()
    ):
        path = f"tools[{number}]"
        for name, raw in wire.members(item, path).items():
            if name != "functionDeclarations":
                found.append(HostedTool(DIALECT, name, Raw(wire.encode({name: raw}))))
                continue
            for place, function in enumerate(wire.items(raw, f"{path}.{name}")):
                found.append(_function(function, f"{path}.{name}[{place}]"))
    return tuple(found)


def _function(raw: Raw, path: str) -> FunctionTool:
    found = wire.members(raw, path)
    name = wire.opt_text(found, "name", path)
    if not name:
        raise WireError(f"{path}.name", "it is required")
    schema: Raw | None = found.get("parametersJsonSchema")
    if schema is None and "parameters" in found:
        schema = to_json_schema(found["parameters"], f"{path}.parameters")
    known = {"name", "description", "parameters", "parametersJsonSchema"}
    ext = {member: value for member, value in found.items() if member not in known}
    return FunctionTool(
        name=name,
        description=wire.opt_text(found, "description", path),
        schema=schema,
        ext={DIALECT: ext} if ext else None,
    )


def read_choice(members: Members, ext: Members) -> ToolChoice | None:
    """``toolConfig.functionCallingConfig``; the rest of ``toolConfig`` rides along."""
    if "toolConfig" not in members:
        return None
    config = wire.members(members["toolConfig"], "toolConfig")
    calling = config.pop("functionCallingConfig", None)
    if config:
        ext["toolConfig"] = Raw(wire.encode(config))
    if calling is None:
        return None
    path = "toolConfig.functionCallingConfig"
    found = wire.members(calling, path)
    mode: Any = wire.any_value(found["mode"], f"{path}.mode") if "mode" in found else None
    if isinstance(mode, int):
        mode = (
            ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")[mode] if 0 <= mode < 5 else ""
        )
    raws = (
        wire.items(found["allowedFunctionNames"], path) if "allowedFunctionNames" in found else []
    )
    names = tuple(wire.text(name, f"{path}.allowedFunctionNames") for name in raws)
    match str(mode or "").upper():
        case "ANY" if len(names) == 1:
            return ToolChoice("named", names)
        case "ANY" if names:
            return ToolChoice("allowed", names, required=True)
        case "ANY":
            return ToolChoice("required")
        case "NONE":
            return ToolChoice("none")
        case "VALIDATED" if names:
            return ToolChoice("allowed", names)
        case "AUTO" | "VALIDATED":
            return ToolChoice("auto")
        case _:
            return None
