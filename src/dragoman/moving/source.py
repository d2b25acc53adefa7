"""A file of another gateway as plain values, with the place of each: YAML with its line, JSON with its path."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from dragoman.core.errors import CallerError, invalid

Step: TypeAlias = str | int
Place: TypeAlias = tuple[Step, ...]

LARGEST = 16 * 1024 * 1024
_MOST_NODES = 200_000
"""Values of one file: a few lines of YAML can stand for billions."""


class Source(Struct, frozen=True):
    """What a file says; ``lines`` knows where, if its form can tell."""

    data: Any
    lines: dict[Place, int] = {}

    def __repr__(self) -> str:
        return f"Source({len(self.lines)} places)"

    def told(self, place: Place) -> str:
        """The place in words: ``model_list[0].litellm_params.rpm (line 7)``."""
        text = ""
        for step in place:
            if isinstance(step, int):
                text += f"[{step}]"
            else:
                text += f".{step}" if text else step
        line = self.lines.get(place)
        return text if line is None else f"{text} (line {line})"


def read_source(path: Path) -> Source:
    """The file, by the end of its name: ``.json``, else YAML, of which JSON is nearly a part.

    Raises:
        CallerError: it cannot be read, is no YAML or JSON, or too large; no value of it is repeated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise invalid(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise invalid(f"{path} has {len(data)} bytes; at most {LARGEST} are read.")
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _yaml(data, path)
    return Source(_json(data, path))


def _json(data: bytes, path: Path) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{path} is no JSON: {error}.") from None


def _yaml(data: bytes, path: Path) -> Source:
    if find_spec("yaml") is None:
        raise CallerError(
            "invalid_request",
            f"{path} is YAML, and the reader for it is missing: install it with "
            "`pip install 'dragoman[yaml]'`.",
            code="configuration_error",
        )
    import yaml  # noqa: PLC0415  an extra, and only for this

    loader = yaml.SafeLoader(data)
    try:
        node = loader.get_single_node()
        if node is None:
            return Source(None)
        value: Any = loader.construct_document(node)
        return Source(value, _lines(node, path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f", line {mark.line + 1}" if mark is not None else ""
        raise invalid(f"{path}{at} is no YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise invalid(f"{path} is no YAML: {type(error).__name__}.") from None
    finally:
        loader.dispose()


def _lines(root: Any, path: Path) -> dict[Place, int]:
    """The line of every value, by the way to it."""
    import yaml  # noqa: PLC0415

    found: dict[Place, int] = {}
    waiting: list[tuple[Place, Any]] = [((), root)]
    while waiting:
        place, node = waiting.pop()
        if len(found) > _MOST_NODES:
            raise invalid(f"{path} has more than {_MOST_NODES} values.")
        found.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inside = (*place, str(key.value))
                found[inside] = key.start_mark.line + 1
                waiting.append((inside, value))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(((*place, number), value) for number, value in enumerate(node.value))
    return found
