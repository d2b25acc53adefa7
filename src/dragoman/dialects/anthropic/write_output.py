"""The form of the answer: a schema that is enforced, or the nearest that the model has."""

from __future__ import annotations

from typing import assert_never

from msgspec import Raw, Struct

from dragoman.core.errors import invalid, unsupported
from dragoman.dialects.anthropic import schema as schemas
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.draft import Block, Draft
from dragoman.dialects.anthropic.wire import WireError
from dragoman.dialects.anthropic.write_tools import Toolbox

_PATH = "response_format"
_SCHEMA_PATH = "response_format.json_schema.schema"
_JSON = "Respond with one valid JSON object and nothing else: no prose, no code fence."


class Form(Struct, frozen=True):
    """What enforces the form: a format, a tool in whose input the answer comes, or an instruction."""

    toolbox: Toolbox
    format: dict[str, object] | None = None
    instruction: str | None = None
    json_tool: str | None = None


def write_form(draft: Draft, toolbox: Toolbox, *, thinks: bool) -> Form:
    """The wanted form by the means of this model (P61, P64)."""
    output = draft.request.output
    if unheard := [kind for kind in output.modalities if kind != "text"]:
        raise unsupported(
            f"The answer cannot be {unheard[0]}: Anthropic's models answer in text.", "modalities"
        )
    if output.audio is not None:
        draft.lose("audio", "not_in_dialect")
    if output.verbosity is not None:
        draft.lose("verbosity", "not_in_dialect")
    match output.format:
        case "text":
            return Form(toolbox)
        case "json":
            draft.lose(_PATH, "json_by_instruction", "emulated")
            return Form(toolbox, instruction=_JSON)
        case "json_schema":
            if output.schema is None or wire.is_null(output.schema):
                raise invalid("A json_schema format needs a schema.", _SCHEMA_PATH)
            try:
                return _schema_form(draft, output.schema, toolbox, thinks=thinks)
            except WireError as error:
                raise invalid(
                    f"The schema at {error.path} is not usable: {error.why}.", error.path
                ) from None
        case _:
            assert_never(output.format)


def _schema_form(draft: Draft, schema: Raw, toolbox: Toolbox, *, thinks: bool) -> Form:
    capability = draft.target.capability
    output = draft.request.output
    if capability.structured_output == "native":
        cleaned, stripped = schemas.strict(
            schema,
            _SCHEMA_PATH,
            title=output.schema_name,
            description=output.schema_description,
        )
        if stripped:
            draft.lose(_SCHEMA_PATH, "keywords_moved_to_description", "changed")
        return Form(toolbox, format={"type": "json_schema", "schema": cleaned})
    by_tool = (
        capability.structured_output == "tool"
        and capability.forced_tools
        and not thinks
        and schemas.is_object(schema, _SCHEMA_PATH)
    )
    if by_tool:
        draft.lose(_PATH, "schema_by_forced_tool", "emulated")
        tool = _json_tool(draft, schema, toolbox.tools)
        return Form(_forced(toolbox, tool), json_tool=str(tool["name"]))
    draft.lose(_PATH, "schema_by_instruction", "emulated")
    told = f"{_JSON} It has to match this JSON Schema:\n{wire.compact(schema)}"
    return Form(toolbox, instruction=told)


def _json_tool(draft: Draft, schema: Raw, tools: list[Block]) -> dict[str, object]:
    taken = {str(tool["name"]) for tool in tools if isinstance(tool, dict)}
    name = "json_response"
    while name in taken:
        name += "_"
    said = draft.request.output.schema_description
    parameters, _ = schemas.parameters(schema, _SCHEMA_PATH)
    return {
        "name": name,
        "description": said or "Gives the answer to the user. Call it once, with the answer.",
        "input_schema": parameters,
    }


def _forced(toolbox: Toolbox, tool: dict[str, object]) -> Toolbox:
    """The tool is the only way to answer, unless the caller's own tools may be called first."""
    name = str(tool["name"])
    usable = bool(toolbox.tools) and (toolbox.choice or {}).get("type") != "none"
    choice: dict[str, object] = {"type": "any"} if usable else {"type": "tool", "name": name}
    return Toolbox([*toolbox.tools, tool], choice | {"disable_parallel_tool_use": True})
