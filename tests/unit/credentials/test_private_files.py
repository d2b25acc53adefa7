"""Files of secrets: for their owner alone, whole or not at all, one holder at a time."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from dragoman.core.errors import HouseError
from dragoman.credentials import private_files
from dragoman.credentials.private_files import (
    held,
    private_folder,
    read_private,
    remove,
    write_new,
    write_private,
)

pytestmark = pytest.mark.req("R-CRED-001")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_and_files_are_for_their_owner_alone(tmp_path):
    folder = private_folder(tmp_path / "secrets" / "dragoman")
    file = folder / "config" / "accounts.json"
    write_private(file, b"{}")
    assert [mode(each) for each in (folder.parent, folder, file.parent)] == [0o700] * 3
    assert mode(file) == 0o600
    assert read_private(file) == b"{}"


def test_what_is_wider_is_mended_and_told(tmp_path):
    folder = tmp_path / "wide"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    file = folder / "keys"
    file.write_text("x")
    file.chmod(0o644)
    mended = []
    private_folder(folder, mended.append)
    assert read_private(file, mended.append) == b"x"
    assert (mode(folder), mode(file)) == (0o700, 0o600)
    assert mended == [folder, file]


def test_what_is_wider_and_another_users_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "keys"
    file.write_text("x")
    file.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(HouseError, match=r"holds secrets, so have its owner run: chmod 600"):
        read_private(file)
    assert mode(file) == 0o640
    tmp_path.chmod(0o755)
    with pytest.raises(HouseError, match=r"chmod 700"):
        private_folder(tmp_path)


def test_a_folder_that_others_need_is_left_alone(tmp_path, monkeypatch):
    tmp_path.chmod(0o1777)
    with pytest.raises(HouseError, match="choose a folder of its own"):
        private_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o777
    tmp_path.chmod(0o755)
    monkeypatch.setattr(private_files.Path, "home", lambda: tmp_path)
    with pytest.raises(HouseError, match="choose a folder of its own"):
        private_folder(tmp_path)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "keys"
    write_private(file, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HouseError, match="No space left on device; the old one is as it was"):
        write_private(file, b"new")
    assert read_private(file) == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


def test_a_first_file_never_takes_the_place_of_another(tmp_path):
    file = tmp_path / "keys"
    assert write_new(file, b"mine")
    assert not write_new(file, b"yours")
    assert (read_private(file), mode(file)) == (b"mine", 0o600)
    assert (remove(file), remove(file), read_private(file)) == (True, False, None)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(HouseError, match="is no file"):
        read_private(tmp_path)


def test_one_holder_at_a_time_among_threads(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(5):
            with held(tmp_path / "f"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(most), max(most)) == (40, 1)


def test_a_holder_that_dies_lets_go_and_one_that_does_not_is_told_of(tmp_path):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from dragoman.credentials.private_files import held\n"
        "with held(Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "f")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(HouseError, match="held by another process"), held(tmp_path / "f", 0.1):
        pass
    process.kill()
    process.communicate()
    with held(tmp_path / "f", 2):
        pass
