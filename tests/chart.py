"""Renders a Helm chart without Helm: the part of its template language that our chart uses, and no more.

It knows ``if`` with ``not`` and ``else``, ``with``, ``range``, ``define``, ``include``, trimming dashes and the functions
below; anything else is an error, so that a template cannot use what nobody has looked at. Where a ``helm`` is
installed the tests ask that instead.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_TOKEN = re.compile(r"(\{\{-?.*?-?\}\})", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s|()]+|\|')


class TemplateError(Exception):
    """The template says what is not known here."""


@dataclass
class Node:
    """A piece of text, an action, or a block with what stands in it."""

    kind: str
    said: str = ""
    inside: list["Node"] = field(default_factory=list)
    otherwise: list["Node"] = field(default_factory=list)


def render_chart(folder: Path, release: str, values: dict) -> dict[str, list[dict]]:
    """The documents of each template, by its name.

    Raises:
        TemplateError: a template uses what is not known here, or names a value that there is not.
        yaml.YAMLError: what comes out is no YAML.
    """
    chart = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    said = yaml.safe_load((folder / "values.yaml").read_text(encoding="utf-8"))
    dot = {
        "Values": merged(said, values),
        "Release": {"Name": release, "Service": "Helm"},
        "Chart": {"AppVersion": chart["appVersion"], "Name": chart["name"]},
    }
    names: dict[str, list[Node]] = {}
    parsed = {
        path.name: parse(path.read_text(encoding="utf-8"), names)
        for path in sorted((folder / "templates").iterdir())
    }
    found = {}
    for name, nodes in parsed.items():
        text = write(nodes, dot, {"$": dot}, names)
        found[name] = [each for each in yaml.safe_load_all(text) if each is not None]
    return {name: documents for name, documents in found.items() if documents}


def merged(below: dict, above: dict) -> dict:
    both = dict(below)
    for name, value in above.items():
        old = both.get(name)
        both[name] = (
            merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return both


def parse(text: str, names: dict[str, list[Node]]) -> list[Node]:
    pieces = _TOKEN.split(text)
    for at in range(1, len(pieces), 2):
        if pieces[at].startswith("{{-"):
            pieces[at - 1] = pieces[at - 1].rstrip()
        if pieces[at].endswith("-}}"):
            pieces[at + 1] = pieces[at + 1].lstrip()
    top = Node("top")
    open_blocks = [(top, top.inside)]
    for at, piece in enumerate(pieces):
        inside = open_blocks[-1][1]
        if at % 2 == 0:
            inside.append(Node("text", piece))
            continue
        said = re.sub(r"^\{\{-?|-?\}\}$", "", piece).strip()
        word, _, rest = said.partition(" ")
        if word in {"if", "with", "range", "define"}:
            block = Node(word, rest)
            if word == "define":
                names[json.loads(rest)] = block.inside
            else:
                inside.append(block)
            open_blocks.append((block, block.inside))
        elif said == "else":
            block = open_blocks.pop()[0]
            open_blocks.append((block, block.otherwise))
        elif said == "end":
            open_blocks.pop()
        else:
            inside.append(Node("say", said))
    if len(open_blocks) != 1:
        raise TemplateError(f"a block is not closed: {open_blocks[-1][0].said}")
    return top.inside


def write(nodes: list[Node], dot, variables: dict, names: dict) -> str:
    out = []
    for node in nodes:
        match node.kind:
            case "text":
                out.append(node.said)
            case "say":
                out.append(shown(evaluate(node.said, dot, variables, names)))
            case "if":
                holds = evaluate(node.said, dot, variables, names)
                out.append(write(node.inside if holds else node.otherwise, dot, variables, names))
            case "with":
                value = evaluate(node.said, dot, variables, names)
                if value:
                    out.append(write(node.inside, value, variables, names))
            case "range":
                head, mark, source = node.said.rpartition(":=")
                value = evaluate(source, dot, variables, names)
                pairs = (
                    sorted(value.items()) if isinstance(value, dict) else list(enumerate(value))
                )
                wanted = [name.strip() for name in head.split(",")] if mark else []
                for pair in pairs:
                    inner = {**variables, **dict(zip(wanted, pair, strict=False))}
                    out.append(write(node.inside, pair[1], inner, names))
    return "".join(out)


def evaluate(said: str, dot, variables: dict, names: dict):
    """What a pipeline comes to: each function gets what stands before it as its last argument."""
    value, given = None, False
    for part in " ".join(_WORD.findall(said)).split(" | "):
        words = _WORD.findall(part)
        arguments = [argument(word, dot, variables) for word in words[1:]]
        if words[0] in FUNCTIONS or words[0] == "include":
            arguments += [value] if given else []
            if words[0] == "include":
                value = write(names[arguments[0]], arguments[1], {"$": arguments[1]}, names)
            else:
                value = FUNCTIONS[words[0]](*arguments)
        elif arguments or given:
            raise TemplateError(f"not known here: {part}")
        else:
            value = argument(words[0], dot, variables)
        given = True
    return value


def argument(word: str, dot, variables: dict):
    if word.startswith('"'):
        return json.loads(word)
    if word.isdigit():
        return int(word)
    if word == ".":
        return dot
    if word.startswith("$"):
        head, *path = word.split(".")
        value = variables[head]
    elif word.startswith("."):
        path, value = word[1:].split("."), dot
    else:
        raise TemplateError(f"not known here: {word}")
    for name in path:
        if name not in value:
            raise TemplateError(f"there is no {word}: values.yaml has to say it")
        value = value[name]
    return value


def shown(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def as_yaml(value) -> str:
    return (
        yaml.safe_dump(value, sort_keys=True, width=10_000)
        .removesuffix("\n")
        .removesuffix("\n...")
    )


FUNCTIONS = {
    "quote": lambda value: json.dumps(shown(value)),
    "nindent": lambda count, text: (
        "\n" + "\n".join(" " * count + line for line in text.split("\n"))
    ),
    "toYaml": as_yaml,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "default": lambda other, value: value or other,
    "not": lambda value: not value,
    "trunc": lambda count, text: text[:count],
    "trimSuffix": lambda end, text: text.removesuffix(end),
}
