"""The table of ``docs/providers.md``, written from the providers' files so that it cannot lag behind."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.catalog.schema import Definition

BEGIN = "<!-- providers: begin (made from src/dragoman/catalog/providers) -->"
END = "<!-- providers: end -->"


def providers_table(definitions: Mapping[str, Definition]) -> str:
    """One row for each built-in provider, in Markdown."""
    lines = [
        "| provider | speaks | key | key looks like | base | default base | chat at | also |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(definition) for definition in definitions.values()]
    return "\n".join(lines)


def insert_table(page: str, definitions: Mapping[str, Definition]) -> str:
    """The page with the table between its two marks made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{providers_table(definitions)}\n\n{END}{after}"


def _row(definition: Definition) -> str:
    form = definition.key_format
    looks = f"`{form.prefix}…`, {form.min_length} or more" if form.prefix else ""
    needs = "" if definition.auth.required else " (optional)"
    key = _names(definition.env.key) + needs if definition.env.key else "none"
    speaks: str = definition.family
    if definition.quirks.flavour != "plain":
        speaks += f" ({definition.quirks.flavour})"
    speaks = ", ".join((speaks, *definition.also))
    others = ", ".join(
        name.replace("_", " ")
        for name in definition.paths
        if name not in {"chat", "stream", "models"}
    )
    listing = "models" if "models" in definition.paths else ""
    return (
        f"| {definition.name} | {speaks} | {key} | {looks} | {_names(definition.env.base_url)} "
        f"| {f'`{definition.base_url}`' if definition.base_url else 'must be said'} "
        f"| `{definition.paths['chat']}` | {', '.join(part for part in (others, listing) if part)} |"
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
