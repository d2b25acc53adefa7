"""Files that people, threads and processes share are never half, and never lost to a bad read (R-ADD-007)."""

import json
import multiprocessing
import stat
import threading

import pytest

from dragoman.library.failures import CallError
from dragoman.library.json_file import (
    DamagedError,
    _beside,
    change_json,
    create_json,
    locked,
    read_json,
    write_json,
)
from dragoman.library.own import ensure

pytestmark = pytest.mark.req("R-ADD-007")


def test_absent_unreadable_and_damaged_are_three_things(tmp_path):
    assert read_json(tmp_path / "none.json") is None
    with pytest.raises(CallError, match="cannot be read") as unreadable:
        read_json(tmp_path)
    assert not isinstance(unreadable.value, DamagedError)
    for text in ("{", "[]", "\x00"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DamagedError):
            read_json(tmp_path / "bad.json")


@pytest.mark.req("R-CFG-004")
def test_a_file_that_is_there_is_never_overwritten(tmp_path):
    path = tmp_path / "a" / "b" / "config.json"
    assert create_json(path, {"x": 1})
    assert not create_json(path, {"x": 2})
    assert read_json(path) == {"x": 1}
    assert path.read_text() == '{\n  "x": 1\n}\n'
    assert [each.name for each in path.parent.iterdir()] == ["config.json"]


def test_a_damaged_file_is_kept_beside_and_an_unreadable_one_is_left_alone(tmp_path):
    path = tmp_path / "data.json"
    path.write_text("{half")
    change_json(path, lambda: {"n": 0}, lambda value: value.update(n=value["n"] + 1))
    assert read_json(path) == {"n": 1}
    kept = list(tmp_path.glob("data.json.damaged-*"))
    assert [each.read_text() for each in kept] == ["{half"]
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(CallError):
        change_json(folder, dict, lambda value: None)
    assert folder.is_dir()


def _count(path, times):
    for _ in range(times):
        with locked(path.parent):
            change_json(path, lambda: {"n": 0}, lambda value: value.update(n=value["n"] + 1))


def test_threads_and_processes_lose_no_count(tmp_path):
    path = tmp_path / "data.json"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_count, args=(path, 20)) for _ in range(2)]
    workers += [threading.Thread(target=_count, args=(path, 20)) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert read_json(path) == {"n": 120}


def test_a_reader_beside_a_writer_sees_whole_files(tmp_path):
    path = tmp_path / "data.json"
    write_json(path, {"n": 0, "filling": "x" * 100_000})
    stop = threading.Event()

    def write():
        while not stop.is_set():
            write_json(path, {"n": 1, "filling": "y" * 100_000})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            assert len(json.loads(path.read_text())["filling"]) == 100_000
    finally:
        stop.set()
        thread.join()


def test_who_may_read_a_file_stays_so_and_a_key_is_for_its_user_alone(tmp_path):
    path = tmp_path / "config.json"
    create_json(path, {"key": "k"}, 0o600)
    write_json(path, {"key": "other"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    change_json(path, dict, lambda value: value.update(more=1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    ensure(tmp_path)  # a folder that was there, and that others may look into
    own = [each for each in tmp_path.iterdir() if each.name.startswith(("api_", "openrouter_"))]
    assert {stat.S_IMODE(each.stat().st_mode) for each in own} == {0o600}
    assert len(own) == 6


def test_a_link_that_lies_in_wait_is_not_written_through(tmp_path):
    """The name of the file beside can be foreseen by whoever may write to the folder, too."""
    victim, path = tmp_path / "victim", tmp_path / "log.json"
    victim.write_text("precious")
    for write in (create_json, write_json):
        _beside(path).symlink_to(victim)
        write(path, {"x": 1})
        assert victim.read_text() == "precious"
        assert not path.is_symlink()
