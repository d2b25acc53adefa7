import json

import pytest

from dragoman.config.running import RunningGateway, announce
from dragoman.store.schema import newest_version


def told(dragoman, *arguments, code=0):
    got, out, _ = dragoman("db", *arguments, "--json")
    assert got == code, out
    return json.loads(out)


def test_the_tables_are_made_and_told_once(dragoman):
    assert told(dragoman, "current", code=1)["version"] is None
    assert told(dragoman, "upgrade") == {"before": None, "version": newest_version()}
    assert dragoman("db", "upgrade")[1].startswith(
        f"The tables have version {newest_version()} al"
    )
    assert told(dragoman, "current")["current"] is True


def test_asking_for_the_version_makes_no_database(dragoman, clean):
    code, out, _ = dragoman("db", "current")
    assert (code, "There are no tables" in out) == (1, True)
    assert not (clean / "home").exists()


def test_going_down_has_to_be_said_twice(dragoman):
    told(dragoman, "upgrade")
    refused = told(dragoman, "downgrade", "0006", code=1)["error"]["message"]
    assert "say --yes" in refused
    assert told(dragoman, "current")["version"] == newest_version()
    assert told(dragoman, "downgrade", "0006", "--yes")["version"] == "0006"
    code, out, _ = dragoman("db", "current")
    assert code == 1
    assert "dragoman db upgrade" in out
    code, out, _ = dragoman("db", "upgrade")
    assert out == f"The tables went from 0006 to {newest_version()}.\n"


@pytest.mark.parametrize(
    ("version", "why"),
    [("0099", "has no version '0099'"), ("head", "has no version"), ("base", "has no tables")],
)
def test_a_version_that_cannot_be_gone_down_to_is_refused(dragoman, version, why):
    assert why in told(dragoman, "downgrade", version, "--yes", code=1)["error"]["message"]


def test_the_newest_is_not_below_itself(dragoman):
    told(dragoman, "upgrade")
    message = told(dragoman, "downgrade", newest_version(), "--yes", code=1)["error"]["message"]
    assert "nothing was changed" in message


def test_what_is_backed_up_can_be_lost_and_had_again(dragoman, clean):
    key = json.loads(dragoman("keys", "create", "--name", "alice", "--json")[1])
    code, out, _ = dragoman("db", "backup", "x.backup")
    assert code == 0
    assert "rows of" in out
    assert f"opens with the file {clean / 'home' / 'secret'} alone, which is not in it" in out
    assert key["key"].encode() not in (clean / "x.backup").read_bytes()
    json.loads(dragoman("keys", "create", "--name", "bob", "--json")[1])
    refused = told(dragoman, "restore", "x.backup", code=1)["error"]["message"]
    assert "say --replace" in refused
    assert told(dragoman, "restore", "x.backup", "--replace")["schema"] == newest_version()
    names = [each["name"] for each in json.loads(dragoman("keys", "list", "--json")[1])["keys"]]
    assert names == ["alice"]
    code, out, _ = dragoman("db", "check")
    assert (code, "The database is well" in out) == (0, True)


def test_without_what_has_sealed_them_secrets_do_not_open_and_check_says_so(dragoman, clean):
    dragoman("keys", "create", "--name", "alice")
    (clean / "home" / "secret").unlink()
    code, out, _ = dragoman("db", "check")
    assert code == 1
    # The pepper of keys, and the seal of the audit log that tells of the new one.
    assert "error: 2 secrets do not open." in out
    assert "The database is not well" in out


def test_a_restore_to_another_home_says_what_is_still_missing(dragoman, clean, monkeypatch):
    dragoman("keys", "create", "--name", "alice")
    assert dragoman("db", "backup", "x.backup")[0] == 0
    monkeypatch.setenv("DRAGOMAN_HOME", str(clean / "other"))
    secret = clean / "other" / "secret"
    code, out, _ = dragoman("db", "restore", "x.backup")
    assert code == 0
    assert f"No caller's key works before {secret} is there" in out
    code, _, err = dragoman("keys", "list")
    assert (code, str(secret) in err, "no backup of the database has it" in err) == (1, True, True)
    secret.write_bytes((clean / "home" / "secret").read_bytes())
    assert "alice" in dragoman("keys", "list")[1]
    out = dragoman("db", "restore", "x.backup", "--replace")[1]
    assert "No caller's key" not in out


def test_a_gateway_that_serves_is_not_robbed_of_its_database(dragoman, clean):
    import fcntl
    import os

    dragoman("keys", "create", "--name", "alice")
    dragoman("db", "backup", "x.backup")
    folder = clean / "home" / "workers-1"
    folder.mkdir()
    announce(folder, RunningGateway(pid=1, port=8123, file="x"))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (("restore", "x.backup", "--replace"), ("downgrade", "0006", "--yes")):
            refused = told(dragoman, *command, code=1)["error"]["message"]
            assert "port 8123): stop it first" in refused
    finally:
        os.close(lock)
    assert told(dragoman, "current")["version"] == newest_version()


def test_sqlites_own_copy_is_a_database(dragoman, clean):
    dragoman("keys", "create", "--name", "alice")
    assert told(dragoman, "backup", "copy.db", "--sqlite")["rows"] >= 2
    assert (clean / "copy.db").read_bytes().startswith(b"SQLite format 3\0")
    dragoman("keys", "create", "--name", "bob")
    assert told(dragoman, "restore", "copy.db", "--replace")["rows"] >= 2
    assert "bob" not in dragoman("keys", "list")[1]


def test_a_file_that_is_no_backup_is_refused_in_a_sentence(dragoman, clean):
    (clean / "x").write_bytes(b"hello")
    code, out, err = dragoman("db", "restore", "x")
    assert (code, out) == (1, "")
    assert err == "The backup x is no backup of Dragoman's, or is damaged.\n"
    assert dragoman("db", "backup", "no/such/folder/x")[0] == 1
