"""Runs the fidelity referee against a gateway of this checkout, where the referee is to be found.

Places: ``FIDELITY_REFEREE`` and ``FIDELITY_CORPUS``, or the default ones beside the checkout. Present,
it must pass; absent, one line says so (D35).
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BARS = [("chat:chat,anthropic:anthropic", "1.0"), ("chat:anthropic,anthropic:chat", "0.99")]


def main() -> int:
    """Plays each group of pairs and compares with its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", default="25")
    options, further = parser.parse_known_args()
    referee = Path(os.environ.get("FIDELITY_REFEREE", ROOT / "../shared/checks/fidelity"))
    corpus = Path(os.environ.get("FIDELITY_CORPUS", ROOT / "../shared/corpus"))
    recordings = corpus / "open.jsonl" if corpus.is_dir() else corpus
    program = referee / "fidelity.py"
    if not program.is_file() or not recordings.is_file():
        print(f"The fidelity referee is not at {referee} (FIDELITY_REFEREE): not run.")
        return 0
    worst = subprocess.run([sys.executable, str(program), "selftest"], check=False).returncode
    for pairs, bar in BARS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with tempfile.TemporaryDirectory() as home:
            command = [
                sys.executable, str(program), "run", "--gateway", "dragoman", "--key", "drg_test",
                "--base-url", f"http://127.0.0.1:{port}",
                "--start", f"{sys.executable} -m dragoman serve --local --port {port}",
                "--corpus", str(recordings), "--sample", options.sample, "--pairs", pairs,
                "--min", bar, *further,
            ]  # fmt: skip
            environment = {**os.environ, "DRAGOMAN_HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}
            result = subprocess.run(command, env=environment, check=False)
        worst = max(worst, result.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
