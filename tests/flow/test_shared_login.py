"""One login for many threads and processes: renewed once, lost once and in clear words, never half written."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authorization_server import Family, authorization_server

PROGRAM = Path(__file__).parents[1] / "token_users.py"
MOMENTS = (
    "before the note",
    "after the note",
    "before it is kept",
    "after it is kept",
    "after the end",
)


@pytest.fixture
def server():
    with authorization_server(delay_s=0.3) as up:
        yield up


def start(word, **said):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), word, json.dumps(said)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def put_token(server, file, ends_in_s=30) -> dict:
    """A token that the server knows and that is about to end."""
    told = server.issue(Family("read write"))
    kept = {**told, "expires_at": time.time() + ends_in_s, "scope": "read write"}
    del kept["expires_in"]
    file.write_text(json.dumps(kept))
    file.chmod(0o600)
    return told


def all_of(server, file, processes=4, threads=50) -> list[str]:
    table = server.login_table()
    running = [
        start("many", table=table, file=str(file), threads=threads) for _ in range(processes)
    ]
    got = []
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        got += json.loads(out)
    assert len(got) == processes * threads
    return got


@pytest.mark.req("R-CRED-005", "R-CRED-008")
def test_fifty_threads_of_four_processes_renew_a_token_once(server, tmp_path):
    file = tmp_path / "here.json"
    old = put_token(server, file)
    got = set(all_of(server, file))
    assert server.count("refresh_token") == 1
    assert len(got) == 1
    (token,) = got
    assert server.is_good(token)
    assert token != old["access_token"]
    assert json.loads(file.read_text())["access_token"] == token
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".*refreshing"))


@pytest.mark.req("R-CRED-005")
def test_a_revoked_login_is_asked_for_once_and_all_get_the_command_that_cures_it(server, tmp_path):
    file = tmp_path / "here.json"
    put_token(server, file, ends_in_s=-5)
    server.revoke_all()
    got = set(all_of(server, file))
    assert server.count("refresh_token") == 1
    (told,) = got
    assert told == (
        "login_needed: The login of here was revoked or has ended (invalid_grant: Token has been "
        "expired or revoked); log in again: dragoman auth login here"
    )


def test_a_server_in_trouble_costs_nothing_as_long_as_the_token_lasts(server, tmp_path):
    file = tmp_path / "here.json"
    old = put_token(server, file, ends_in_s=30)
    server.failing, server.delay_s = 1000, 0
    assert set(all_of(server, file)) == {old["access_token"]}
    assert server.count("refresh_token") <= 4, "one for each process, and then a pause"


def test_a_server_in_trouble_is_no_end_of_a_login(server, tmp_path):
    file = tmp_path / "here.json"
    put_token(server, file, ends_in_s=-5)
    server.failing, server.delay_s = 1000, 0
    (told,) = set(all_of(server, file, processes=1, threads=10))
    assert told.startswith("token_endpoint: The authorization server of here answered 503")
    server.failing = 0
    (token,) = set(all_of(server, file, processes=1, threads=10))
    assert server.is_good(token)


@pytest.mark.req("R-CRED-001")
def test_a_crash_in_the_middle_of_writing_leaves_the_old_file_or_the_new_one(tmp_path):
    file = tmp_path / "here.json"
    seen = set()
    dice = random.Random(7)
    for _ in range(25):
        process = start("writing", file=str(file))
        assert process.stdout.readline() == "begun\n"
        time.sleep(dice.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if file.exists():
            kept = json.loads(file.read_text())
            assert kept["length"] == len(kept["access_token"]), "half of one token"
            assert kept["access_token"].startswith(f"token-{kept['number']}-")
            assert file.stat().st_mode & 0o777 == 0o600
            seen.add(kept["number"])
    assert len(seen) > 5, "it was ended at different moments"


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_crash_in_the_middle_of_a_renewal_loses_no_login_that_is_not_told_of(
    server, tmp_path, moment, rotate
):
    file = tmp_path / "here.json"
    put_token(server, file, ends_in_s=-5)
    server.rotate, server.delay_s = rotate, 0
    process = start("killed", table=server.login_table(), file=str(file), moment=moment)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    asked = server.count("refresh_token")
    (told,) = set(all_of(server, file, processes=1, threads=5))
    lost = rotate and moment == "before it is kept"
    if not lost:
        # What the server has not rotated, or what was kept, is good.
        assert server.is_good(told)
        assert server.count("refresh_token") == asked + (moment in MOMENTS[:3])
    else:
        assert "after a renewal that was interrupted by a crash; log in again" in told
        assert json.loads(file.read_text())["login_again"] in told
    if moment != "after it is kept":
        assert not list(tmp_path.glob(".*refreshing"))
    # A note that was left behind says nothing of the token that was kept.
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "expires_at": 1}))
    server.revoke_all()
    (told,) = set(all_of(server, file, processes=1, threads=1))
    assert lost or ("was revoked" in told and "interrupted" not in told)


def test_an_answer_that_is_lost_on_its_way_is_told_where_the_login_went_with_it(server, tmp_path):
    file = tmp_path / "here.json"
    put_token(server, file, ends_in_s=-5)
    server.drop, server.delay_s = 1, 0
    (told,) = set(all_of(server, file, processes=1, threads=1))
    assert told.startswith("network_error")
    (told,) = set(all_of(server, file, processes=1, threads=1))
    assert "interrupted" in told
