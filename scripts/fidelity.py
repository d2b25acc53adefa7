"""Runs the fidelity referee against a gateway of this checkout, and holds every pair against its bar.

python scripts/fidelity.py --sample 60              every dialect to every dialect
python scripts/fidelity.py --sample 60 --matrix     the same, and writes docs/fidelity.md

Places: ``FIDELITY_REFEREE`` and ``FIDELITY_CORPUS``, or the default ones beside the checkout. Present,
it must pass; absent, one line says so (D35). Within a dialect every case must be right, across two
99 of 100, and every failure of a provider must be told as one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dragoman.dialects.registry import DIALECTS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fidelity.md"
NAMES = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
    "ollama_chat": "ollama",
}
"""The referee's word for a dialect → ours."""
ACROSS = 0.99
MOST_DISPUTED = 0.05
"""Of a pair: more of them is a fault of ours with a bad excuse."""

DISPUTED = (
    # tags of the differences, the pair, and a piece of the id of the recorded request or reply
    ({"request.document.missing", "request.text.user"}, "*:*", ""),
    ({"gateway.status_400.before_upstream"}, "*:anthropic", "docx"),
    ({"request.tool_result.link"}, "responses:*", "native-search"),
    ({"request.tool_result.order"}, "gemini:chat", "hand_driven_parallel_tool_calls"),
    ({"request.system"}, "gemini:*", "google-count-tokens.yml#2"),
    ({"request.tools.extra"}, "gemini:*", "test_multiple_agent_tool_calls.yaml#1"),
    ({"request.response_schema"}, "gemini:*", "test_google_native_output_multiple"),
    ({"request.tool_choice"}, "*:anthropic", ""),
    ({"request.response_schema", "request.system"}, "*:anthropic", "with_thinking"),
    ({"request.tools.schema"}, "gemini:*", "vertexai"),
    ({"response.usage.input"}, "anthropic:chat", ""),
    ({"response.usage.output"}, "gemini:chat", ""),
)
"""Cases that docs/fidelity.md disputes, each with its reason; they are told, and held against nobody."""


def main() -> int:
    """Plays all pairs once and judges each."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="What else is said goes to the referee, --show TAG or --evidence FILE for one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sample", type=int, default=25, help="cases of a pair")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--matrix", action="store_true", help="write docs/fidelity.md")
    options, further = parser.parse_known_args()
    referee = Path(os.environ.get("FIDELITY_REFEREE", ROOT / "../shared/checks/fidelity"))
    corpus = Path(os.environ.get("FIDELITY_CORPUS", ROOT / "../shared/corpus"))
    recordings = corpus / "open.jsonl" if corpus.is_dir() else corpus
    program = referee / "fidelity.py"
    if not program.is_file() or not recordings.is_file():
        print(f"The fidelity referee is not at {referee} (FIDELITY_REFEREE): not run.")
        return 0
    if subprocess.run([sys.executable, str(program), "selftest"], check=False).returncode:
        return 1
    served = [name for name in NAMES.values() if name in DIALECTS]
    pairs = ",".join(f"{caller}:{provider}" for caller in served for provider in served)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = play(program, recordings, pairs, Path(folder), options, further)
    if verdicts is None:
        return 1
    cells = tally(verdicts)
    missed = [told for pair, cell in cells.items() if (told := cell.missed(pair))]
    print("\n" + table(cells, served))
    print("\n".join(missed) if missed else "Every pair reaches its bar.")
    if options.matrix:
        write_page(table(cells, served), options.sample, options.seed, len(verdicts))
    return 1 if missed else 0


def play(
    program: Path,
    recordings: Path,
    pairs: str,
    folder: Path,
    options: argparse.Namespace,
    further: list[str],
) -> list[dict[str, Any]] | None:
    """The referee's verdicts on all cases; None if it could not play."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = folder / "verdicts.json"
    command = [
        sys.executable, str(program), "run", "--gateway", "dragoman", "--key", "drg_test",
        "--base-url", f"http://127.0.0.1:{port}",
        "--start", f"{sys.executable} -m dragoman serve --local --port {port}",
        "--corpus", str(recordings), "--sample", str(options.sample), "--seed", str(options.seed),
        "--prefix", "openai_responses=openai-responses", "--pairs", pairs,
        "--json", str(found), *further,
    ]  # fmt: skip
    environment = {**os.environ, "DRAGOMAN_HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, env=environment, check=False)
    return json.loads(found.read_text())["verdicts"] if found.is_file() else None


class Cell:
    """How a pair fared."""

    def __init__(self) -> None:
        self.right = self.wrong = self.declined = self.disputed = 0
        self.told = self.failures = 0

    def add(self, verdict: dict[str, Any]) -> None:
        """Counts a case."""
        if verdict["fault"] is not None:
            self.failures += 1
            self.told += verdict["outcome"] == "right"
        elif verdict["outcome"] == "declined":
            self.declined += 1
        elif verdict["outcome"] == "right":
            self.right += 1
        elif is_disputed(verdict):
            self.disputed += 1
        else:
            self.wrong += 1

    def missed(self, pair: tuple[str, str]) -> str:
        """What is below its bar; empty where nothing is."""
        bar = 1.0 if pair[0] == pair[1] else ACROSS
        judged = self.right + self.wrong
        name = ":".join(pair)
        if judged and self.right / judged < bar:
            return f"{name}: {self.right} of {judged} right, {bar:.0%} are wanted."
        if self.disputed > max(2, MOST_DISPUTED * judged):
            return f"{name}: {self.disputed} disputed cases are more than few."
        if self.told < self.failures:
            return f"{name}: {self.told} of {self.failures} failures were told rightly."
        return ""

    def __str__(self) -> str:
        judged = self.right + self.wrong + self.disputed
        share = f"{100 * self.right / judged:.4g} % of {judged}" if judged else "-"
        declined = f", {self.declined} declined" if self.declined else ""
        disputed = f", {self.disputed} disputed" if self.disputed else ""
        return f"{share}{declined}{disputed} ({self.told} of {self.failures})"


def is_disputed(verdict: dict[str, Any]) -> bool:
    """Whether all that differs is on our list, for that recording."""
    tags = {difference["tag"] for difference in verdict["differences"]}
    pair = f"{NAMES[verdict['client']]}:{NAMES[verdict['target']]}"
    ids = f"{verdict['request_id']} {verdict['response_id']}"
    return any(
        tags <= known and fnmatchcase(pair, pairs) and piece in ids
        for known, pairs, piece in DISPUTED
    )


def tally(verdicts: list[dict[str, Any]]) -> dict[tuple[str, str], Cell]:
    """The verdicts by pair of caller and provider."""
    cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
    for verdict in verdicts:
        cells[NAMES[verdict["client"]], NAMES[verdict["target"]]].add(verdict)
    return cells


def table(cells: dict[tuple[str, str], Cell], served: list[str]) -> str:
    """The matrix as Markdown."""
    rows = [f"| client ↓ provider → | {' | '.join(served)} |", "|---" * (len(served) + 1) + "|"]
    for caller in served:
        told = [str(cells.get((caller, provider), "-")) for provider in served]
        rows.append(f"| {caller} | {' | '.join(told)} |")
    return "\n".join(rows)


def write_page(matrix: str, sample: int, seed: int, cases: int) -> None:
    """Puts the matrix where the page has its place for it."""
    day = datetime.now(UTC).date().isoformat()
    told = (
        f"`scripts/fidelity.py --matrix --sample {sample} --seed {seed}` on {day}, {cases:,} cases. "
        "Shares are of requests and\nreplies together, disputed cases counted as wrong; failures of "
        "providers that were told rightly stand in brackets."
    )
    block = f"<!-- matrix: begin -->\n{told}\n\n{matrix}\n<!-- matrix: end -->"
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(r"<!-- matrix: begin.*?<!-- matrix: end -->", block, page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
