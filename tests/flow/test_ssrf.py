"""Addresses that callers write lead the gateway nowhere inside, whatever dialect they speak (F1-F6).

The real gateway runs in a network namespace where every address is a canary (``ssrf_trap``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import ssrf_trap
from dragoman.surface.table import ROUTES
from dragoman.transport.fetch_url import host_of

pytestmark = pytest.mark.req("R-IMG-004", "R-IMG-005")

FETCHED = "cannot be fetched from"


def _namespace() -> list[str]:
    """The command that opens a network of one's own, empty where this machine has none."""
    tools = shutil.which("unshare"), shutil.which("ip"), shutil.which("mount")
    if not all(tools):
        return []
    command = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    probe = "ip link set lo up && ip route add local default dev lo && mount --bind /etc /mnt"
    done = subprocess.run([*command, "sh", "-c", probe], check=False, capture_output=True)
    return command if done.returncode == 0 else []


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    command = _namespace()
    if not command:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail("root has no network namespace here: iproute2 or util-linux is missing")
        pytest.skip("no network namespaces here, in which every address could be a canary")
    folder = tmp_path_factory.mktemp("ssrf")
    done = subprocess.run(
        [*command, sys.executable, ssrf_trap.__file__, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads((folder / "told.json").read_text())


def test_every_dialect_in_which_an_address_can_be_written_is_tried():
    served = {route.dialect for route in ROUTES if route.operation == "chat"}
    assert served - {"completions"} == {each.dialect for each in ssrf_trap.SURFACES.values()}


@pytest.mark.parametrize(("surface", "family"), ssrf_trap.CASES)
def test_no_address_of_a_caller_leads_inside(told, surface, family):
    case = told[f"{surface}-{family}"]
    assert case["hits"] == []
    assert len(case["answers"]) > 200
    wrong = [answer for answer in case["answers"] if answer[1] != 400]
    assert wrong == []
    assert case["upstream"] == 0


@pytest.mark.parametrize(("surface", "family"), ssrf_trap.CASES)
def test_the_caller_is_told_which_host_and_why_in_its_own_dialect(told, surface, family):
    fetched = 0
    for url, _, body in told[f"{surface}-{family}"]["answers"]:
        said = json.loads(body)
        error = said["error"]
        match ssrf_trap.SURFACES[surface].dialect:
            case "anthropic":
                assert (said["type"], error["type"]) == ("error", "invalid_request_error")
                message = error["message"]
            case "gemini":
                assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
                message = error["message"]
            case "ollama" | "generate":
                message = error
            case _:
                assert error["type"] == "invalid_request_error"
                message = error["message"]
        if FETCHED in message:
            fetched += 1
            assert host_of(url) in message
            assert "x.png" not in message
    assert fetched > 180 or not ssrf_trap.SURFACES[surface].file


@pytest.mark.parametrize(("surface", "family"), ssrf_trap.CASES)
def test_the_trap_is_one_for_what_may_be_fetched_arrives(told, surface, family):
    """By its address and by its name; where a dialect knows no addresses nothing is fetched."""
    case = told[f"{surface}-{family}"]
    known = bool(ssrf_trap.SURFACES[surface].file)
    assert [status for status, _ in case["fine"]] == [200 if known else 400] * 2, case["fine"]
    assert case["served"] == case["upstream_fine"] == (2 if known else 0)


def test_no_line_of_the_log_tells_more_of_an_address_than_its_host(told):
    log = told["log"]
    assert "image_fetch_blocked" in log
    for secret in ("x.png", "user:pass", "/etc/passwd", "docker.sock"):
        assert secret not in log


def test_the_table_is_as_long_as_it_has_to_be():
    assert len(set(ssrf_trap.denied_urls())) >= 80 + 30 + 40
