"""The canonical request → a request of ``/api/chat`` or ``/api/generate`` (`dialects.md` §3.1, §5).

What Ollama cannot say is emulated where that is faithful, dropped with a record where it is
harmless, and refused where it would change what the caller asked for.
"""

from __future__ import annotations

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import ToolResult
from dragoman.core.request import Request
from dragoman.dialects.base import Outgoing, Target, Undo
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama.draft import Draft, Object
from dragoman.dialects.ollama.wire import encode
from dragoman.dialects.ollama.write_messages import write_system, write_turns
from dragoman.dialects.ollama.write_options import refuse_foreign, write_rest
from dragoman.dialects.ollama.write_parts import Content, add_part
from dragoman.dialects.ollama.write_tools import write_tools


def write_chat(request: Request, target: Target) -> Outgoing:
    """The request for ``/api/chat``.

    Raises:
        CallerError: it asks for what no model of Ollama's can do.
    """
    draft = Draft(request, target)
    refuse_foreign(request)
    tools, instruction = write_tools(draft)
    messages = [*write_system(draft, instruction), *write_turns(draft)]
    if not messages:
        raise invalid("The conversation has to hold at least one message.", "messages")
    body: Object = {"model": target.model, "messages": messages}
    if tools:
        body["tools"] = tools
    return _finished(draft, body)


def write_generate(request: Request, target: Target) -> Outgoing:
    """The request for ``/api/generate``: what one side says once, and its instructions.

    Raises:
        CallerError: it is a conversation, offers tools, or asks for what no model of Ollama's can do.
    """
    draft = Draft(request, target)
    refuse_foreign(request)
    only = request.messages[0] if len(request.messages) == 1 else None
    if (
        only is None
        or only.role != "user"
        or any(isinstance(part, ToolResult) for part in only.parts)
    ):
        raise unsupported(
            f"{target.provider} answers one prompt and holds no conversation: send a single "
            "message of the user's, or use another model.",
            "messages",
        )
    if request.tools:
        raise unsupported(f"{target.provider}/{target.model} takes no tools.", "tools")
    said, told = Content(), Content()
    for number, part in enumerate(only.parts):
        add_part(part, f"messages[0].content[{number}]", said, draft)
    for number, part in enumerate(request.system):
        add_part(part, f"system[{number}]", told, draft)
    if told.images:
        raise unsupported("system holds an image, and instructions are text here.", "system")
    if only.name is not None:
        draft.lose("messages[0].name", "this provider takes no names")
    if only.ext is not None:
        draft.foreign(only.ext, "messages[0]")
    body: Object = {"model": target.model, "prompt": mend("\n".join(said.words))}
    if told.words:
        body["system"] = mend("\n".join(told.words))
    if said.images:
        body["images"] = said.images
    return _finished(draft, body)


def _finished(draft: Draft, body: Object) -> Outgoing:
    body.update(write_rest(draft))
    body["stream"] = draft.request.stream
    quirks = draft.target.quirks
    for name in quirks.drop:
        if body.pop(name, None) is not None:
            draft.lose(name, "refused_by_provider")
    for name, other in quirks.rename.items():
        if name in body:
            body[other] = body.pop(name)
    try:
        data = encode(body)
    except RecursionError:
        raise invalid("The request is nested too deeply.") from None
    undo = Undo(custom_tools=frozenset(draft.wrapped))
    return Outgoing(data, tuple(draft.losses), undo=undo)
