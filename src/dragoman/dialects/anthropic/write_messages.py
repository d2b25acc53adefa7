"""Messages in the order and shape that Anthropic demands.

User and assistant alternate, neighbours of one role are merged (P71); all results of a turn's
calls stand first in the one user message that follows it (P47, P48, P49); nothing is
empty (P69, P155, P174).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from msgspec import Raw

from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import Message, Opaque, Part, Text, Thinking, ToolCall
from dragoman.dialects.anthropic.call_ids import CallIds
from dragoman.dialects.anthropic.draft import Block, Draft
from dragoman.dialects.anthropic.write_blocks import write_assistant, write_user


@dataclass(slots=True)
class Turn:
    """All that one side says before the other speaks; ``path`` is where its first message stood."""

    role: str
    path: str
    blocks: list[Block] = field(default_factory=list)


def block_type(block: Block) -> str:
    """The type of a block; blocks that go back as they came are called opaque."""
    return "opaque" if isinstance(block, Raw) else str(block["type"])


_NO_CALLS = CallIds()


def write_system(draft: Draft) -> list[Block]:
    """The leading instructions, one block each, in their order (P74)."""
    blocks: list[Block] = []
    for number, part in enumerate(draft.request.system):
        path = f"system[{number}]"
        if not isinstance(part, Text):
            raise CallerError(
                "unsupported_feature",
                f"{path} is no text, which is all that Anthropic takes as instructions.",
                code="unsupported_feature",
                param=path,
            )
        blocks += write_user(draft, part, path, _NO_CALLS.of_result)
    return blocks


def write_turns(draft: Draft) -> list[Turn]:
    """The conversation as turns.

    Raises:
        CallerError: a turn is empty, a call lacks its result, a result its call, or the
            conversation ends with the assistant and the model does not go on from there.
    """
    ids = CallIds()
    turns: list[Turn] = []
    for number, message in enumerate(draft.request.messages):
        path = f"messages[{number}]"
        if message.name is not None:
            draft.lose(f"{path}.name", "not_in_dialect")
        if message.ext is not None:
            draft.foreign(message.ext, path)
        match message.role:
            case "assistant":
                ids.next_turn()
                _join(turns, Turn("assistant", path, _assistant(draft, message, path, ids)))
            case "user":
                _join(turns, Turn("user", path, _user(draft, message, path, ids)))
            case "system":
                _mid_system(draft, turns, message, path, ids)
            case _:
                assert_never(message.role)
    turns = _without_empty_assistants(turns)
    if ids.original:  # without calls there are no results
        _place_results(turns)
    _end_with_assistant(draft, turns)
    for turn in turns:
        if not turn.blocks:
            raise invalid(
                f"The message at {turn.path} is empty: Anthropic wants text in every turn.",
                f"{turn.path}.content",
            )
    if ids.original:
        _check_results(turns, ids)
    return turns


def _assistant(draft: Draft, message: Message, path: str, ids: CallIds) -> list[Block]:
    blocks: list[Block] = []
    for place, part in enumerate(_calls_behind_hosted(message.parts)):
        blocks += write_assistant(draft, part, f"{path}.content[{place}]", ids.of_call)
    return blocks


def _calls_behind_hosted(parts: tuple[Part, ...]) -> list[Part]:
    """Calls of the caller's tools moved behind the last block of a hosted one (P66).

    A call behind which the assistant thinks again stays where it is: interleaved thinking
    hangs on its place (P92).
    """
    last = max((n for n, part in enumerate(parts) if isinstance(part, Opaque)), default=-1)
    thought = max((n for n, part in enumerate(parts) if isinstance(part, Thinking)), default=-1)
    moved = [
        part for n, part in enumerate(parts) if isinstance(part, ToolCall) and thought < n < last
    ]
    if not moved:
        return list(parts)
    return [part for part in parts if all(part is not one for one in moved)] + moved


def _user(draft: Draft, message: Message, path: str, ids: CallIds) -> list[Block]:
    blocks: list[Block] = []
    for place, part in enumerate(message.parts):
        blocks += write_user(draft, part, f"{path}.content[{place}]", ids.of_result)
    return blocks


def _join(turns: list[Turn], turn: Turn) -> None:
    if turns and turns[-1].role == turn.role:
        turns[-1].blocks += turn.blocks
    else:
        turns.append(turn)


def _mid_system(
    draft: Draft, turns: list[Turn], message: Message, path: str, ids: CallIds
) -> None:
    """Instructions in the middle: in their own role where the model knows it, else in the user's words (P74)."""
    blocks = _user(draft, message, path, ids)
    if not blocks:
        return
    if draft.target.capability.mid_system:
        _join(turns, Turn("system", path, blocks))
        return
    draft.lose(path, "no_system_role_here", "emulated")
    told: list[Block] = []
    for block in blocks:
        if isinstance(block, dict) and block["type"] == "text":
            told.append({**block, "text": f"<system>\n{block['text']}\n</system>"})
        else:
            told.append(block)
    _join(turns, Turn("user", path, told))


def _without_empty_assistants(turns: list[Turn]) -> list[Turn]:
    """Turns without those in which the assistant said nothing; their neighbours are merged (P174)."""
    kept: list[Turn] = []
    for turn in turns:
        if turn.blocks or turn.role != "assistant":
            _join(kept, turn)
    return kept


def _place_results(turns: list[Turn]) -> None:
    """Results first in their message (P48), and no instruction between a call and its result."""
    for number in range(len(turns) - 2):
        one, two, three = turns[number : number + 3]
        if two.role == "system" and three.role == "user" and _calls(one):
            turns[number + 1], turns[number + 2] = three, two
    for turn in turns:
        if turn.role == "user" and len(turn.blocks) > 1:
            turn.blocks.sort(key=lambda block: block_type(block) != "tool_result")


def _end_with_assistant(draft: Draft, turns: list[Turn]) -> None:
    """A prefill ends without white space (P70), and only some models go on from it (P76)."""
    if not turns or turns[-1].role != "assistant":
        return
    if not draft.target.capability.prefill:
        raise CallerError(
            "unsupported_feature",
            f"The model {draft.target.model} does not continue an assistant message: end the "
            "conversation with a user message.",
            code="unsupported_feature",
            param="messages",
        )
    last = turns[-1].blocks[-1]
    if isinstance(last, dict) and last["type"] == "text":
        last["text"] = str(last["text"]).rstrip()


def _calls(turn: Turn) -> list[str]:
    return [
        str(block["id"])
        for block in turn.blocks
        if isinstance(block, dict) and block["type"] == "tool_use"
    ]


def _check_results(turns: list[Turn], ids: CallIds) -> None:
    """Every call is answered in the very next message (P49); a result is for one call only."""
    waiting: list[str] = []
    for turn in turns:
        answered = [
            str(block["tool_use_id"])
            for block in turn.blocks
            if isinstance(block, dict) and block["type"] == "tool_result"
        ]
        if turn.role != "system":
            missing = [call for call in waiting if call not in answered]
            if missing:
                _refuse_missing(ids.original[missing[0]], turn.path)
            waiting = _calls(turn)
    if waiting:
        _refuse_missing(ids.original[waiting[0]], "messages")


def _refuse_missing(call_id: str, path: str) -> None:
    raise invalid(
        f"The tool call {call_id!r} has no result: the message after a call has to hold the "
        "result of each call in it.",
        path,
        "tool_call_id_invalid",
    )


def starts_without_thinking(turns: list[Turn]) -> bool:
    """Whether the tool loop under way lacks the reasoning that it has to begin with (P95)."""
    for turn in reversed(turns):
        if turn.role != "assistant":
            continue
        return bool(_calls(turn)) and block_type(turn.blocks[0]) not in {
            "thinking",
            "redacted_thinking",
        }
    return False


def called_names(turns: list[Turn]) -> list[str]:
    """The names of the tools that the history calls, each once (P55)."""
    names: dict[str, None] = {}
    for turn in turns:
        for block in turn.blocks:
            if isinstance(block, dict) and block["type"] == "tool_use":
                names[str(block["name"])] = None
    return list(names)
