"""`make dev`: a working gateway on this machine, and three commands to try on it."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

from serving import ROOT, start, stop, wait_ready

KEY = "drg_dev"


def main() -> int:
    """Starts, waits, talks, and stays until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            print(
                f"Port {port} is taken. Choose another: make dev PORT={port + 1}", file=sys.stderr
            )
            return 1
    home = Path(os.environ.get("DRAGOMAN_HOME", ROOT / ".dev"))
    process = start(port, home)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        retries = int(os.environ.get("DEV_READY_RETRIES", "40"))
        pause_s = float(os.environ.get("DEV_READY_SLEEP_S", "0.25"))
        if not wait_ready(process, port, retries, pause_s):
            print("The server did not become ready; its log above says why.", file=sys.stderr)
            return 1
        print(talk(f"http://127.0.0.1:{port}", home), flush=True)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(process)


def interrupt(*_: object) -> None:
    """Ends as Ctrl-C does, so that the gateway ends too."""
    raise KeyboardInterrupt


def talk(url: str, home: Path) -> str:
    """What a newcomer needs to know; that the server is ready it has said itself."""
    return f"""
   Key: {KEY}   (local mode takes drg_ and any 3 characters or more; without a provider key a stub answers)

   Try:
     curl {url}/v1/chat/completions -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \\
          -d '{{"model": "openai/gpt-4o-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
     curl {url}/v1/models -H 'Authorization: Bearer {KEY}'
     .venv/bin/dragoman chat "Tell me a story" --model openai/gpt-4o-mini --base-url {url} --key {KEY}

   A key of your own is made in this gateway's database, or it is not known here:
     DRAGOMAN_HOME={shlex.quote(str(home))} .venv/bin/dragoman keys create --name me

   To reach a provider, stop with Ctrl-C, export its key (OPENAI_API_KEY, ANTHROPIC_API_KEY, …) and start again.
"""


if __name__ == "__main__":
    sys.exit(main())
