"""The second half of docs/policy.md: what becomes of what a provider answers, in each caller's dialect.

Each cell is found as in the first half: a whole reply is written for the caller twice, with the feature and
without, and what differs is told.
"""

from __future__ import annotations

import json

from policy_replies import ANSWERS, Told, reply, with_members
from policy_words import Cell, Json, found, reported

from dragoman.core.envelope import Envelope
from dragoman.core.loss import Loss
from dragoman.core.provider import Family
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.registry import DIALECTS, open_relay

FAMILIES: tuple[Family, ...] = ("chat", "responses", "anthropic", "gemini", "ollama")
"""Those that providers speak."""

LEFT_UNSAID = {
    "fingerprint": "a label of the provider's build; every answer has one",
}
"""What no report tells, by feature: every one with its reason."""

_CONTEXT = Context("c" * 32, 1, "m", include_usage=True, envelope=Envelope({1: b"k" * 32}))


def whole(family: Family, client: Family, body: Json) -> tuple[bytes, tuple[Loss, ...]]:
    """The reply in the client's dialect, and what was lost on the way."""
    target = Target(family, "m")
    response = DIALECTS[family].read_response(json.dumps(body).encode(), target, Undo())
    out = DIALECTS[client].write_response(response, _CONTEXT)
    return out.body, out.losses


def streamed(family: Family, client: Family, body: Json) -> tuple[bytes, tuple[Loss, ...]]:
    """The same reply as a stream of its family, in the client's dialect."""
    target = Target(family, "m")
    way = open_relay(DIALECTS[client], DIALECTS[family], target, _CONTEXT, Undo())
    frames = DIALECTS[family].response_frames(json.dumps(body).encode())
    return way.feed(frames) + way.close(), way.facts.losses


def answer_cells() -> dict[tuple[str, str, str], Cell]:
    """Every cell by the provider's family, feature and client."""
    return {
        (family, row.name, client): cell(family, client, row)
        for family in FAMILIES
        for row in ANSWERS
        if family in row.says
        for client in DIALECTS
        if client != family
    }


def cell(family: Family, client: Family, row: Told) -> Cell:
    """What becomes of the feature on its way to the client."""
    said = row.says[family]
    before, already = whole(family, client, reply(family))
    after, lost = whole(family, client, with_members(reply(family), said.members))
    losses = [loss for loss in lost if loss not in already]
    arrived = json.loads(after) != json.loads(before) and found(after, said.needles)
    if losses:
        return reported(losses, in_part=arrived)
    if arrived:
        return Cell("carried")
    met = LEFT_UNSAID.get(row.name)
    return Cell("met", met) if met else Cell("unsaid")


def is_kept_to_itself(family: Family, client: Family, row: Told) -> bool:
    """Whether the stream neither differs by the feature nor reports that it is lost."""
    before, already = streamed(family, client, reply(family))
    after, lost = streamed(family, client, with_members(reply(family), row.says[family].members))
    return before == after and set(lost) <= set(already)


def answers() -> str:
    """The second half of the page."""
    all_cells = answer_cells()
    parts = [_HEAD]
    for family in FAMILIES:
        clients = [client for client in DIALECTS if client != family]
        rows = [row.name for row in ANSWERS if family in row.says]
        parts += [
            f"\n## {family}: what its providers answer\n",
            f"| feature | {' | '.join(clients)} |",
            "|---" * (len(clients) + 1) + "|",
            *(
                f"| {name} | {' | '.join(str(all_cells[family, name, each]) for each in clients)} |"
                for name in rows
            ),
        ]
    return "\n".join(parts) + "\n"


_HEAD = """
# What becomes of what a provider answers

The same for answers, asked of the code in the same way: a whole reply is written for the caller with the feature
and without it. Nothing can be refused any more, for the answer is paid for: what the caller's dialect has no word
for is left out and reported, in `x-dragoman-dropped` of whole replies, for streams in the ledger. **Met** is what
nobody is told of, on purpose, with the reason.
"""
