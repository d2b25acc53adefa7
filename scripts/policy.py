"""Writes docs/policy.md: what becomes of each feature between each two dialects, asked of the code itself.

python scripts/policy.py            writes it anew
python scripts/policy.py --check    says whether it lags behind, and fails if so, or if anything is lost unsaid

Each cell is found by writing a small request twice for the provider, with the feature and without, and
looking at what differs: the body, the reports, what has to be undone in the answer.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from policy_answers import answer_cells, answers
from policy_content import CONTENT
from policy_options import OPTIONS
from policy_words import Cell, Feature, Probe, found, plain, reported

from dragoman.catalog.capability import capability_of
from dragoman.catalog.files import definitions
from dragoman.core.errors import CallerError, code_of
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.registry import DIALECTS

FEATURES = (*CONTENT, *OPTIONS)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "policy.md"
ASKED = {
    # family: the provider that stands for it, a usual model, one that reasons
    "chat": ("openai", "gpt-4o", "gpt-5"),
    "responses": ("openai-responses", "gpt-4o", "gpt-5"),
    "anthropic": ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5"),
    "gemini": ("google", "gemini-2.5-flash", "gemini-2.5-pro"),
    "ollama": ("ollama", "llama3.2", "qwen3"),
}
"""Others are asked with the first provider that speaks them, and a model that nobody knows."""

MET = {
    ("reasoning: on", "chat"): "such a model reasons unasked",
    ("reasoning: on", "ollama"): "such a model reasons unasked, as it sees fit",
    ("JSON schema: enforced", "anthropic"): "it always is",
    ("JSON schema: enforced", "gemini"): "it always is",
    ("JSON schema: enforced", "ollama"): "it always is",
    ("service tier", "ollama"): "there is one tier",
}
"""Where nothing has to be said for the wish to be met, by feature and family: every one with its reason."""


@cache
def targets() -> dict[str, tuple[Target, Target]]:
    """Each family that providers speak: whom it is asked with, usually and where reasoning matters."""
    found = {}
    for name, provider in definitions().items():
        family = provider.family
        home, usual, reasoning = ASKED.get(family, (name, "m", "m"))
        if family in found or name != home or family not in DIALECTS:
            continue
        usually, thinking = (
            Target(name, model, provider.quirks, capability_of(family, provider.quirks.flavour, model))
            for model in (usual, reasoning)
        )  # fmt: skip
        found[family] = (usually, thinking)
    return {family: found[family] for family in DIALECTS if family in found}


def cell(client: str, family: str, name: str, probe: Probe) -> Cell:
    """What becomes of the feature on its way."""
    target = targets()[family][probe.thinks]
    ground = {**plain(client), **probe.ground}
    try:
        before = _written(client, family, ground, target)
        after = _written(client, family, {**ground, **probe.said}, target)
    except CallerError as refusal:
        at = f", `{refusal.param}`" if refusal.param else ""
        return Cell("refused", f"{refusal.status} `{code_of(refusal)}`{at}")
    losses = [loss for loss in after.losses if loss not in before.losses]
    differs = json.loads(after.body) != json.loads(before.body) or after.headers != before.headers
    if losses:
        return reported(losses, in_part=differs and found(after.body, probe.needles))
    if after.undo != before.undo:
        return Cell("emulated", "undone in the answer")
    if differs and (after.adjusted != before.adjusted or found(after.body, probe.needles)):
        return Cell("carried")
    met = MET.get((name, family))
    return Cell("met", met) if met else Cell("unsaid")


def _written(client: str, family: str, said: dict[str, Any], target: Target) -> Outgoing:
    data = json.dumps(said).encode()
    if client == family:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return DIALECTS[family].patch_request(members, target)
    return DIALECTS[family].write_request(DIALECTS[client].read_request(data), target)


def cells() -> dict[tuple[str, str, str], Cell]:
    """Every cell by client, feature and provider's family."""
    return {
        (client, feature.name, family): cell(client, family, feature.name, feature.says[client])
        for client in DIALECTS
        for feature in FEATURES
        for family in targets()
        if client in feature.says
    }


# --------------------------------------------------------------------------- the page

_HEAD = """<!-- made by scripts/policy.py -->
# Policy: what becomes of a feature between two dialects

Nothing is lost in silence. Whatever a caller can say is, on its way to a provider of another dialect,

- **carried**: the provider is told the same, in its own words;
- **met**: what the provider does anyway, so that nothing has to be said;
- **emulated**: told by other means, or done here, so that the effect is the same or near to it;
- **changed**: carried with another value, the nearest that the provider takes;
- **dropped**: left out, because it touches cost, speed, bookkeeping or a preference only;
- **in part**: carried without some member of it;
- **refused**: 400 before any call, because the answer would not be what was asked for.

All but the first two stand in `x-dragoman-dropped`, with the path of the member and the reason, and
`x-dragoman-strict: true` turns each of them into a 400. What is undone in the answer (a tool of free text that was
sent as a function, a name that was written otherwise) leaves nothing to tell. Within one dialect a request passes
as it came. A path counts turns and their parts, whatever the caller's dialect calls them: `messages[1].content[0]`
is the first part of the second turn, also where it was `contents[1].parts[0]`, or items of an `input`.

This page is asked of the code, cell by cell: a small request is written for the provider with the feature and
without it, and what differs is told. `python scripts/policy.py` makes it anew, and the tests fail where it lags
behind or where anything is lost unsaid. A family's providers and models differ: what is shown is {asked}.
`tests/unit/dialects/test_policy.py` holds the same for other providers of the chat family. Media at addresses are
fetched before they are written for a provider that takes bytes only, if the operator allows it; the tables show
what becomes of the address itself.
"""


def page() -> str:
    """The whole page."""
    asked = ", ".join(
        f"{usual.provider}'s `{usual.model}`"
        + (f" (`{thinking.model}` where reasoning matters)" if thinking != usual else "")
        for usual, thinking in targets().values()
    )
    all_cells = cells()
    parts = [_wrapped(_HEAD.replace("{asked}", asked)), _summary(all_cells)]
    for client in DIALECTS:
        rows = [feature for feature in FEATURES if client in feature.says]
        if rows:
            parts.append(_table(client, rows, all_cells))
    parts.append(answers())
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    """The lines of the opening as they are, long ones broken."""
    return "\n".join(
        part
        for line in text.splitlines()
        for part in (
            textwrap.wrap(line, 118, break_long_words=False, break_on_hyphens=False) or [""]
        )
    )


def _summary(found: dict[tuple[str, str, str], Cell]) -> str:
    counts = Counter(each.fate for (client, _, family), each in found.items() if client != family)
    told = ", ".join(f"{count} {fate}" for fate, count in counts.most_common())
    return f"\nAcross two dialects: {sum(counts.values())} cells, {told}."


def _table(client: str, rows: list[Feature], found: dict[tuple[str, str, str], Cell]) -> str:
    families = [family for family in targets() if family != client]
    lines = [
        f"\n## {client}: what its callers say",
        "",
        f"| feature | {' | '.join(families)} |",
        "|---" * (len(families) + 1) + "|",
    ]
    for feature in rows:
        shown = [str(found[client, feature.name, family]) for family in families]
        lines.append(f"| {feature.name} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def unsaid() -> list[tuple[str, str, str]]:
    """From whom, what and to whom: all that is lost in silence, of requests and of answers."""
    asked = [
        (client, name, family)
        for (client, name, family), each in cells().items()
        if each.fate == "unsaid"
    ]
    return asked + [where for where, each in answer_cells().items() if each.fate == "unsaid"]


def main() -> int:
    """Writes or checks; the exit status."""
    lost = unsaid()
    for start, name, end in lost:
        print(f"lost in silence: {name}, {start} → {end}")
    text = page()
    stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if "--check" in sys.argv[1:]:
        if stale:
            print("docs/policy.md lags behind the code: python scripts/policy.py")
        return 1 if stale or lost else 0
    if stale:
        PAGE.write_text(text, encoding="utf-8")
        print("wrote docs/policy.md")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
