"""What may be asked of the ledger's sums: whose, of which span, by what, and of what alone.

Sums are kept by day, key, provider and model, and beside that by what callers write in their calls
(``label``): a question may speak of one kind of label. The answer is exact whatever the span's ends are.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from dragoman.accounting.ports import Scope, Sums

Dimension: TypeAlias = Literal[
    "day",
    "month",
    "tenant",
    "key",
    "provider",
    "model",
    "caller",
    "root",
    "project",
    "user",
    "tag",
]
"""``root`` is the first element of a caller that is a chain (R-USE-014), ``user`` the end user. A call counts
for each of its tags, and for none where it has none."""

LABELS: dict[str, str] = {
    "caller": "caller",
    "root": "caller",
    "project": "project",
    "user": "user",
    "tag": "tag",
}
"""Which kind of label a dimension is of."""

CHAIN = "->"
"""What stands between the elements of a chain of callers."""

Key: TypeAlias = tuple[str, ...]


class Question(Struct, frozen=True):
    """Sums of a scope, in groups; None as a filter: whichever."""

    scope: Scope
    group: tuple[Dimension, ...] = ()
    provider: str | None = None
    model: str | None = None
    caller: str | None = None
    root: str | None = None
    project: str | None = None
    user: str | None = None
    tag: str | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of labels that it speaks of."""
        said = {*self.group, *(name for name in LABELS if getattr(self, name) is not None)}
        return frozenset(LABELS[name] for name in said if name in LABELS)


class Reports(Protocol):
    """A ledger that answers questions."""

    async def ask(self, question: Question, most: int) -> dict[Key, Sums]:
        """The sums of at most ``most`` groups, by their names in the order of ``group``.

        Days are written 2026-01-31 and months 2026-01; a call that reached no provider has an empty
        provider and model.

        Raises:
            CallerError: there are more groups, the question speaks of two kinds of labels, or of a part
                of an hour whose calls were removed.
        """
        ...


def root_of(caller: str) -> str:
    """The first element of a chain such as ``multi_skill:orchestrator->skill1->skill2``."""
    return caller.partition(CHAIN)[0].strip()
