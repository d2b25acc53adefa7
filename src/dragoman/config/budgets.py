"""The operator's budgets: `[budgets.NAME]` of ``dragoman.toml``, read strictly, and those of the mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dragoman.admission.budget_definition import quota_of_test_mode, read_definition
from dragoman.admission.budget_rules import Rule
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import CallerError


def budgets_of(settings: Settings) -> tuple[Rule, ...]:
    """All budgets that the settings say.

    Raises:
        ConfigError: one of them cannot be read.
    """
    rules = read_budgets(settings.budgets)
    if settings.mode == "test":
        rules = (*rules, quota_of_test_mode(settings.test_monthly_cost_limit))
    return rules


def read_budgets(tables: Mapping[str, dict[str, Any]]) -> tuple[Rule, ...]:
    """The budgets in the file.

    Raises:
        ConfigError: a member is unknown, wrong or missing.
    """
    rules = []
    for name, table in tables.items():
        try:
            rules.append(read_definition(name, table, "file"))
        except CallerError as error:
            said = error.message.removeprefix(f"budget {name!r}: ")
            raise ConfigError(f"[budgets.{name}]: {said}") from None
    return tuple(rules)
