"""Writes the papers that follow from the code: settings, commands, routes, providers, ``.env.example``.

python scripts/document.py            writes them anew
python scripts/document.py --check    says which of them lag behind, and fails if any does

A setting that no line of the package reads is shown as such: nobody shall set it in good faith.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from dragoman.catalog.describe import insert_table
from dragoman.catalog.files import definitions
from dragoman.catalog.login import built_in
from dragoman.cli.main import make_app
from dragoman.config.settings import Settings
from dragoman.dialects.registry import DIALECTS
from dragoman.surface.managed_rows import MANAGED
from dragoman.surface.route import Route
from dragoman.surface.routers import ROUTERS
from dragoman.surface.table import ROUTES

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "dragoman"
SETTINGS = SOURCE / "config" / "settings.py"
FILE_ONLY = "from dragoman.toml only"
MADE = "made by scripts/document.py"

# --------------------------------------------------------------------------- names that are no settings

MOCK = (
    ("MOCK_BASE_DELAY", "200", "milliseconds before the mock's first byte"),
    ("MOCK_DELAY_VARIANCE", "100", "up to so many milliseconds more or less"),
    ("MOCK_ERROR_RATE", "0.15", "share of requests answered by an error"),
    ("MOCK_TIMEOUT_RATE", "0.05", "share of requests that are never answered"),
    ("MOCK_TOKEN_SPEED", "25", "tokens a second; 0: everything at once"),
    ("MOCK_ENABLE_LOGS", "true", "a line for each request"),
    (
        "MOCK_GENERATION_DELAY",
        "300",
        "milliseconds after an answer in which its `/generation` is 404",
    ),
    ("MOCK_GENERATION_FACTOR", "1", "how much more than it had said OpenRouter says later"),
    ("MOCK_SEED", "", "the same seed rolls the same dice"),
    ("MOCK_TRUTH_FILE", "", "where each request is kept as a JSON line"),
    ("MOCK_PROVIDER_PORT", "3101", "where the mock listens"),
)
"""Read by ``dragoman mock``; told in full in docs/MOCK_SERVER_CONFIG.md."""

CLIENT = (
    ("DRAGOMAN_BASE_URL", "http://127.0.0.1:8000", "where `dragoman chat` looks for the gateway"),
    ("DRAGOMAN_API_KEY", "", "the key that `dragoman chat` shows"),
    ("DRAGOMAN_CONFIG", "dragoman.toml", "the configuration file"),
)
"""Read from the environment alone, never from ``.env``: they are there before it is read."""

SCRIPTS = (
    ("DEV_READY_RETRIES", "40", "how often `make dev` looks whether the server is ready"),
    ("DEV_READY_SLEEP_S", "0.25", "seconds between two looks"),
    ("TEST_API_KEY", "drg_test", "the key that `examples/websocket.py` says"),
)

NOT_YET = {
    "further surfaces": """
        VIDEO_REQUEST_CACHE_TTL_MS
    """,
}
"""Names that are agreed on, and that no line reads so far."""

# --------------------------------------------------------------------------- settings


@dataclass(frozen=True)
class Setting:
    """One setting, as its source and its type tell it."""

    name: str
    group: str
    default: str
    meaning: str
    used: bool

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return self.name.upper()

    @property
    def file_only(self) -> bool:
        """Whether it is a table that only the configuration file can hold."""
        return self.group == FILE_ONLY and self.name != "provider_order"


def settings() -> list[Setting]:
    """Every setting in the order of its source."""
    text = SETTINGS.read_text(encoding="utf-8")
    groups = [
        (number, _plain(line.partition("# --- ")[2].strip()))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip().startswith("# --- ")
    ]
    read = _read_names()
    found = []
    body = next(
        node.body
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        if name.startswith("_"):
            continue
        group = next(title for number, title in reversed(groups) if number < node.lineno)
        found.append(Setting(name, group, _default(name), _sentence(after), name in read))
    return found


def _sentence(node: ast.stmt | None) -> str:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return _plain(" ".join(node.value.value.split()).replace("``", "`"))
    return ""


def _plain(text: str) -> str:
    """Without the numbers of decisions, which say nothing to whoever only uses the program."""
    return re.sub(r",? (?:\([A-Z]\d+\)|as D\d+ says)", "", text)


_FOLDERS = {
    "dragoman_home": "the user's data folder",
    "dragoman_secrets": "the user's folder .secrets/dragoman",
}
"""Defaults that hang on whose home it is."""


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if name in _FOLDERS:
        return _FOLDERS[name]
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    if value is None or value == {}:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read_names() -> set[str]:
    """The settings that some line reads, as ``settings.NAME``, or as ``self.NAME`` beside their definition."""
    names: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        owners = {"settings", "self"} if path == SETTINGS else {"settings"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            owner = node.value
            said = getattr(owner, "id", None) or getattr(owner, "attr", None)
            if said in owners:
                names.add(node.attr)
    return names


UNUSED = "Accepted and checked, but **without effect so far**. "


def settings_page() -> str:
    """``docs/settings.md``."""
    lines = [
        f"<!-- {MADE} -->",
        "# Settings",
        "",
        "A setting's environment variable is its name in capitals. Where it is said in several places, the",
        "first of these counts: a flag of `dragoman serve`, the environment, `.env` (or the file of",
        "`--env-file`), `dragoman.toml`, the default. A wrong value stops the start with a sentence that names",
        "it. Times end in their unit; lists are separated by commas; an empty value counts as not said.",
    ]
    group = ""
    for each in settings():
        if each.group != group:
            group = each.group
            head = group[0].upper() + group[1:]
            lines += ["", f"## {head.replace('dragoman.toml', '`dragoman.toml`')}", ""]
            if group == FILE_ONLY:
                lines += ["`PROVIDER_ORDER` alone has a variable, too.", ""]
            lines += ["| variable | default | meaning |", "|---|---|---|"]
        default = f"`{each.default}`" if each.default else "none"
        if each.name in _FOLDERS:
            default = each.default
        shown = f"`{each.name}`" if each.file_only else f"`{each.variable}`"
        lines.append(f"| {shown} | {default} | {'' if each.used else UNUSED}{each.meaning} |")
    lines += ["", "## Providers' keys and bases", "", "Told in [providers.md](providers.md).", ""]
    lines += [
        "With an admin key of an organisation, a provider is asked once a day what the day before has cost, for"
    ]
    lines += ["[drift](ledger.md#drift):", "", "| variable | default | meaning |", "|---|---|---|"]
    for variable, name in report_variables().items():
        meaning = f"An admin key of the organisation at `{name}`; no call of anybody's uses it."
        lines.append(f"| `{variable}` | none | {meaning} |")
    lines += ["", "## Logins by OAuth", "", "Told in [oauth.md](oauth.md).", ""]
    lines += ["## Read by other programs of this repository", ""]
    lines += ["| variable | default | meaning |", "|---|---|---|"]
    for name, default, meaning in (*CLIENT, *SCRIPTS, *MOCK):
        lines.append(f"| `{name}` | {f'`{default}`' if default else 'none'} | {meaning} |")
    lines += ["", "## Agreed on, and read by nothing so far", ""]
    for title, names in NOT_YET.items():
        text = f"- {title}: {', '.join(f'`{name}`' for name in names.split())}"
        lines += textwrap.wrap(text, 110, subsequent_indent="  ", break_long_words=False)
    lines += ["", "## dragoman.toml", "", _FILE]
    return "\n".join(lines)


_FILE = """\
```toml
format = 1
provider_order = ["anthropic", "openai", "openrouter"]

[server]
host = "127.0.0.1"
port = 8000
workers = 1

[[providers]]                       # a built-in one, adjusted, or your own
name = "corp-vllm"
dialect = "chat"
base_url = "http://10.0.0.7:8000/v1"
credentials = [{ key = "${VLLM_KEY}", weight = 1 }]

[aliases]
fast = "groq/llama-3.3-70b-versatile"
sturdy = ["anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"]   # tried in this order

[routes.smart]                      # docs/routing.md
strategy = "cost"                   # or quality, latency, sticky and others; without one: in this order
candidates = ["anthropic/claude-sonnet-4-5", { model = "openai/gpt-5-mini", weight = 2 }]

[quality]
"corp-vllm/llama-3" = 55            # 0 to 100, for the strategy quality

[prices."corp-vllm/llama-3"]
input = "0.10"                      # USD per million tokens, as text
output = "0.10"

[oauth.acme]                        # docs/oauth.md; a place of your own to log in at
grant = "client_credentials"
token_url = "https://id.acme.example/token"
client_id = "dragoman"
client_secret = "${ACME_SECRET}"

[tiers.team]                        # docs/limits.md; keys say `--tier team`
rpm = 600
tpm = 1_000_000
```

These are all the members there are so far; an unknown one is refused with the nearest known name. `${NAME}` is
filled from the environment; a `key_file` in place of a `key` names a file that holds the key.
"""


def login_variables() -> list[str]:
    """What may be said of the places to log in at that are built in."""
    tables = [each.get("variables", {}) for each in built_in().values()]
    return [name for table in tables for names in table.values() for name in names]


def report_variables() -> dict[str, str]:
    """Admin keys with which the costs of days are asked about, each with its provider."""
    reports = {name: each.report for name, each in definitions().items()}
    return {
        variable: name
        for name, report in reports.items()
        if report is not None
        for variable in report.env
    }


def env_example() -> str:
    """``.env.example``."""
    lines = [
        "# Copy this to .env and change what you need. Lines that begin with # say the defaults.",
        f"# {MADE[0].upper()}{MADE[1:]}; docs/settings.md says the same at more length.",
        "",
        "# local: for one person on this machine. Without this line MODE is prod, which starts only with",
        "# DATABASE_URL, FERNET_KEY and CORS_ALLOW_ORIGINS.",
        "MODE=local",
    ]
    group = ""
    for each in settings():
        if each.file_only or each.name == "mode" or not each.used:
            continue
        if each.group != group:
            group = each.group
            lines += ["", f"# --- {'order of providers' if group == FILE_ONLY else group}", ""]
        lines += [f"# {each.meaning}".rstrip(), f"#{each.variable}={_env_default(each)}"]
    lines += ["", "# --- providers: each is switched on by its key (ollama by its address)", ""]
    told: set[tuple[str, ...]] = set()
    for name, provider in definitions().items():
        keys, bases = provider.env.key, provider.env.base_url
        if keys + bases in told:  # another surface of a provider, with the same variables
            continue
        told.add(keys + bases)
        if provider.family not in DIALECTS:
            lines.append(
                f"# {name} speaks {provider.family}, which this version does not serve yet:"
            )
        lines += [f"#{variable}=" for variable in keys]
        lines += [f"#{bases[0]}={provider.base_url}"] if bases else []
        lines += [f"#{variable}=" for variable in bases[1:]]
    lines += ["", "# --- admin keys, for what days have cost there: docs/ledger.md", ""]
    lines += [f"#{variable}=" for variable in report_variables()]
    lines += ["", "# --- logins by OAuth: docs/oauth.md", ""]
    lines += [f"#{variable}=" for variable in login_variables()]
    lines += [
        "",
        "# --- the mock provider, `dragoman mock` (from the environment, not from this file)",
        "",
    ]
    lines += [f"#{name}={default}" for name, default, _ in MOCK]
    lines += ["", "# --- commands and scripts (from the environment, not from this file)", ""]
    lines += [f"#{name}={default}" for name, default, _ in (*CLIENT, *SCRIPTS)]
    lines += ["", "# --- NOT YET: setting these has no effect in this version", "#"]
    lines += [f"#   {each.variable}={each.default}" for each in settings() if not each.used]
    for names in NOT_YET.values():
        lines += [f"#   {name}" for name in names.split()]
    return "\n".join(lines) + "\n"


def _env_default(each: Setting) -> str:
    return "" if each.name in _FOLDERS else each.default


# --------------------------------------------------------------------------- commands


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before their members."""
    program: Any = typer.main.get_command(make_app())
    yield "dragoman", program
    for name, command in program.commands.items():
        yield f"dragoman {name}", command
        for inner, member in getattr(command, "commands", {}).items():
            yield f"dragoman {name} {inner}", member


def cli_page() -> str:
    """``docs/cli.md``."""
    lines = [
        f"<!-- {MADE} -->",
        "# The command line",
        "",
        "`dragoman` is also `python -m dragoman`. Every command takes `--json` and then prints one JSON value;",
        'a failure is `{"error": {"message": …}}`. Exit codes: 0 done, 1 it failed, 2 wrongly called or',
        "configured, 3 `serve` cannot listen.",
    ]
    for name, command in commands():
        context = typer.Context(
            command, info_name=name, terminal_width=110, max_content_width=110, color=False
        )
        text = command.get_help(context)
        plain = "\n".join(
            line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        )
        lines += ["", f"## {name}", "", "```text", plain, "```"]
    return "\n".join(lines) + "\n"


# --------------------------------------------------------------------------- routes and blocks

ROUTES_BLOCK = ("<!-- routes: begin -->", "<!-- routes: end -->")


def routes_table(routes: Iterable[Route]) -> str:
    """A table of routes, from the one that the server is built of."""
    lines = ["| route | dialect | key | what it is |", "|---|---|---|---|"]
    lines += [_route_row(route) for route in routes]
    return "\n".join(lines)


def _route_row(route: Route) -> str:
    path = route.path.replace(":path}", "}")
    needs = "no" if route.permission == "public" else "yes"
    lists = route.page in {"models", "model"}
    asked = lists and route.home is None and route.dialect == "chat"
    dialect = "by the headers" if asked else route.dialect if lists or route.operation else ""
    return f"| `{route.method} {path}` | {dialect} | {needs} | {route.summary} |"


def own_routes() -> str:
    """The table of the README: everything but what has a page of its own, the routers and the admin API."""
    return routes_table(
        route for route in ROUTES if route.home is None and route.page != "managed"
    )


def managed_routes() -> str:
    """The table of the admin API's page."""
    lines = ["| route | for | what it is |", "|---|---|---|"]
    for route in MANAGED:
        path = route.path.replace(":path}", "}")
        lines.append(f"| `{route.method} {path}` | {_WHO[route.permission]} | {route.summary} |")
    return "\n".join(lines)


_WHO = {
    "public": "anybody",
    "usage": "any key",
    "tenant": "who manages a tenant",
    "admin": "administrators",
}


_ROUTERS_HEAD = """# Routers

Each provider's own paths and dialect under a prefix, whichever provider serves: an SDK of the provider works
with the prefix as its base URL, with whatever it adds to it itself. A key of the gateway's comes in the
header that the SDK uses: `Authorization: Bearer …`, `x-api-key`, `api-key`, `x-goog-api-key`, or `?key=…`. A
model string is looked for in the router's own provider's catalogue first, and then as everywhere:
`claude-sonnet-4-5` on `/v3` is Anthropic's, `openai/gpt-4o-mini` there is OpenAI's, answered in Anthropic's
dialect. A router's list shows its provider's models by their own ids, and all others as `provider/model`. A
router is switched off by its setting; its paths are 404 then, as is everything of that dialect.

OpenRouter's `/generation?id=…` finds a call of the caller's tenant by its `x-dragoman-call-id`, and one of
the last seven days by its `x-request-id` or the answer's own `id`. `/credits` and `/key` tell what the
presented key has used, in USD as JSON numbers, and its rate limit. What a gateway does not know is `null` in
all of them: credits that somebody bought, costs that no provider told and no price is known for.

Written by `scripts/document.py` from the table that the server is built of.
"""


def routers_page() -> str:
    """The page of the routers."""
    parts = [_ROUTERS_HEAD]
    for prefix, (home, switch) in ROUTERS.items():
        rows = [route for route in ROUTES if route.home == home]
        if rows:
            parts.append(f"## `{prefix}`: {home}\n\nSwitched by `{switch.upper()}`.\n")
            parts.append(routes_table(rows) + "\n")
    return "\n".join(parts)


def filled(page: str, block: tuple[str, str], content: str) -> str:
    """The page with what stands between the two marks replaced."""
    before, begin, rest = page.partition(block[0])
    _, end, after = rest.partition(block[1])
    if not begin or not end:
        raise SystemExit(f"{block[0]} … {block[1]} is missing.")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


# --------------------------------------------------------------------------- all of them


def papers() -> dict[Path, str]:
    """Every paper that follows from the code, as it should be."""
    readme = ROOT / "README.md"
    providers = ROOT / "docs" / "providers.md"
    admin = ROOT / "docs" / "admin.md"
    return {
        ROOT / ".env.example": env_example(),
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "cli.md": cli_page(),
        readme: filled(readme.read_text(encoding="utf-8"), ROUTES_BLOCK, own_routes()),
        ROOT / "docs" / "routers.md": routers_page(),
        admin: filled(admin.read_text(encoding="utf-8"), ROUTES_BLOCK, managed_routes()),
        providers: insert_table(providers.read_text(encoding="utf-8"), definitions()),
    }


def main() -> int:
    """Writes or checks; the exit status."""
    tomllib.loads(_FILE.split("```")[1].removeprefix("toml"))
    stale = [
        path
        for path, text in papers().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} lags behind the code: python scripts/document.py")
        return 1 if stale else 0
    made = papers()
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
