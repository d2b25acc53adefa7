"""A disk that fills: calls are refused before they cost money, readiness says so, and it passes."""

import os
import shutil
import subprocess
import sys

import pytest

STORY = """
import os, sys
from pathlib import Path
from servers import gateway_server, mock_server, providers_at
small, folder = Path(sys.argv[1]), Path(sys.argv[2])
with mock_server(folder) as mock:
    told = {**providers_at(mock.port), "DRAGOMAN_HOME": str(small / "home"), "LOG_LEVEL": "warn"}
    with gateway_server(folder, **told) as server:
        assert server.chat().status == 200
        fill = os.open(small / "fill", os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(fill, b"x" * 4096)
        except OSError:
            os.close(fill)
        for number in range(200):
            reply = server.chat(headers={"x-request-id": f"full-{number}"})
        assert reply.status == 503, reply.body
        assert reply.json()["error"]["code"] == "storage_full"
        assert "x-dragoman-attempts" not in reply.headers
        assert server.ask("GET", "/ready", key=None).status == 503
        made = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
        os.remove(small / "fill")
        assert server.chat().status == 200
        assert server.ask("GET", "/ready", key=None).status == 200
        rows = server.rows(limit=1000)
        answered = [row for row in rows if row["attempts"]]
        assert len(answered) == len([one for one in made if one["method"] == "POST"]) + 1
        assert {row["status"] for row in answered} == {"complete"}
        assert server.row("full-199")["status"] == "refused"
        assert server.log.read_text().count("records_held") <= 3
"""


@pytest.mark.req("D8")
def test_a_full_disk_refuses_calls_tells_readiness_and_passes(tmp_path):
    unshare = shutil.which("unshare")
    may = unshare and subprocess.run([unshare, "-rm", "true"], check=False).returncode == 0
    if not may:
        pytest.skip("no user namespaces here, in which a small disk could be mounted")
    small = tmp_path / "small"
    small.mkdir()
    mounted = f"mount -t tmpfs -o size=6m tmpfs {small} && exec {sys.executable} -c '$STORY'"
    script = mounted.replace("'$STORY'", '"$STORY"') + f" {small} {tmp_path}"
    environment = {**os.environ, "STORY": STORY, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script],
        env=environment,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
