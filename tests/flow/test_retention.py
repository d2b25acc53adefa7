"""Old calls go: by ``dragoman cleanup`` when somebody says so, and by themselves where the settings say so."""

import json

import pytest

import forge
from old_calls import home_with, left
from servers import gateway_server, until


def cleaned(home, *arguments, command=("cleanup",)):
    environment = {"DRAGOMAN_HOME": str(home), "MODE": "local", "PATH": "/usr/bin:/bin"}
    done = forge.run((*command, *arguments, "--json"), env=environment, cwd=home.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.req("R-CLI-015")
def test_cleanup_removes_what_is_old_and_a_dry_run_nothing(tmp_path):
    home = home_with(tmp_path, 1, 5, 40, 50, 100)
    told = cleaned(home, "30", "--dry-run")
    assert told == {"days": 30, "dry_run": True, "removed_calls": 3, "removed_sums": 0}
    assert (left(home), left(home, "ledger_attempts")) == (5, 5)
    told = cleaned(home, "30")
    assert told == {"days": 30, "dry_run": False, "removed_calls": 3, "removed_sums": 0}
    assert (left(home), left(home, "ledger_attempts")) == (2, 2)
    assert left(home, "ledger_hours") == 5, "what was used stays in the sums"
    assert cleaned(home, "30")["removed_calls"] == 0
    told_sums = cleaned(home, "30", "--sums")["removed_sums"]
    assert told_sums > 0
    assert (left(home), left(home, "ledger_hours")) == (2, 2)
    listed = cleaned(home, "--outcome", "done", "--tenant", "*", command=("audit", "list"))
    deeds = [each["deed"] for each in reversed(listed["entries"])]
    assert [(each["action"], each["target"], json.loads(each["after"])) for each in deeds][
        ::2
    ] == [
        ("ledger.cleanup", "30 days", {"calls": 3, "sums": 0}),
        ("ledger.cleanup", "30 days", {"calls": 0, "sums": told_sums}),
    ]
    assert cleaned(home, "--outcome", "failed", command=("audit", "list")) == {"entries": []}


@pytest.mark.req("R-CLI-015")
def test_a_running_gateway_removes_what_is_older_than_it_is_to_keep(tmp_path):
    """It has other things to do in its first seconds."""
    home = home_with(tmp_path, 1, 5, 40, 100)
    with gateway_server(tmp_path, LEDGER_KEEP_DAYS="30") as server:
        until(lambda: left(home) < 4, 60)
        until(lambda: "old calls removed" in server.log.read_text())
        assert (left(home), left(home, "ledger_attempts")) == (2, 2)
        assert left(home, "ledger_hours") == 4
