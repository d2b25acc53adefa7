"""Finds the commands: every module of ``commands/`` is one, and a broken one breaks nothing else.

A command's module has ``add_to(app)``, which names it to Typer, ``SUMMARY``, and ``status()``, one
short sentence on whether it can be used here and now (R-CLI-001, R-CLI-017).
"""

from __future__ import annotations

import importlib
import pkgutil
from keyword import iskeyword
from typing import Protocol, cast

import typer
from msgspec import Struct

from dragoman.cli import commands

__all__ = ["Found", "discover"]

_ORDER = (
    "serve",
    "init",
    "set-key",
    "get-key",
    "list-providers",
    "validate",
    "test",
    "auth",
    "reauth",
    "ob1",
    "tenants",
    "projects",
    "keys",
    "tiers",
    "providers",
    "submissions",
    "aliases",
    "routes",
    "policies",
    "credentials",
    "budgets",
    "models",
    "call",
    "chat",
    "status",
    "recommend",
    "explain",
    "requests",
    "metrics",
    "usage",
    "stats",
    "session",
    "caller-usage",
    "report",
    "invoices",
    "track",
    "credits",
    "cleanup",
    "doctor",
    "config",
    "db",
    "secrets",
    "import",
    "export",
    "audit",
    "mock",
    "conformance",
    "completion",
)
"""As a newcomer meets them; others follow by name."""


class Command(Protocol):
    """What a module in ``commands/`` holds."""

    SUMMARY: str

    def add_to(self, app: typer.Typer) -> None:
        """Registers the command under its name."""
        ...

    def status(self) -> str:
        """Whether it can be used, in one short sentence."""
        ...


class Found(Struct, frozen=True):
    """A command's name, and its module or what went wrong with it."""

    name: str
    command: Command | None
    trouble: str = ""

    def describe(self) -> tuple[str, str]:
        """What it does, and whether it can."""
        if self.command is None:
            return "", f"broken: {self.trouble}"
        try:
            return self.command.SUMMARY, self.command.status()
        except Exception as error:  # noqa: BLE001 - a table of states must not fall over one of them
            return self.command.SUMMARY, f"cannot say: {error}"


def discover() -> list[Found]:
    """All commands, in the order of a newcomer."""
    # A word of the language's own has a line behind it: ``import_``; ``get_key`` is ``get-key``.
    names = {
        module.name.rstrip("_").replace("_", "-")
        for module in pkgutil.iter_modules(commands.__path__)
    }
    ordered = [name for name in _ORDER if name in names] + sorted(names - set(_ORDER))
    return [_load(name) for name in ordered]


def _load(name: str) -> Found:
    try:
        file = name.replace("-", "_") + "_" * iskeyword(name)
        module = importlib.import_module(f"{commands.__name__}.{file}")
    except Exception as error:  # noqa: BLE001 - the other commands must still work
        return Found(name, None, f"{type(error).__name__}: {error}")
    return Found(name, cast("Command", module))
