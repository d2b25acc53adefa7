"""How the database's own secrets are sealed."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet

from dragoman.core.errors import HouseError
from dragoman.store.seal import Sealed, open_sealer

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = b"\x00" * 31 + b"\xff"


def test_what_fernet_key_seals_it_opens_again(tmp_path):
    sealer = open_sealer(tmp_path, OLD)
    sealed = sealer.seal(SECRET)
    assert sealed.by == sealer.current
    assert sealed.by.startswith("fernet:")
    assert len(sealed.by) == 16
    assert SECRET not in sealed.token
    assert open_sealer(tmp_path, OLD).open(sealed) == SECRET
    assert list(tmp_path.iterdir()) == []


def test_without_fernet_key_a_file_for_the_owner_alone_seals(tmp_path):
    home = tmp_path / "home"
    sealed = open_sealer(home, None).seal(SECRET)
    assert sealed.by == "file"
    assert open_sealer(home, "").open(sealed) == SECRET
    assert [file.name for file in home.iterdir()] == ["secret"]
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_the_file_is_made_once_however_many_make_it(tmp_path):
    def seal(_: int) -> Sealed:
        return open_sealer(tmp_path, None).seal(SECRET)

    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(seal, range(40)))
    assert all(open_sealer(tmp_path, None).open(one) == SECRET for one in sealed)
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_new_key_put_first_opens_what_the_old_one_sealed_and_seals_from_then_on(tmp_path):
    sealed = open_sealer(tmp_path, OLD).seal(SECRET)
    both = open_sealer(tmp_path, f" {NEW} , {OLD},")
    assert both.open(sealed) == SECRET
    assert not both.is_current(sealed)
    again = both.seal(SECRET)
    assert both.is_current(again)
    assert open_sealer(tmp_path, NEW).open(again) == SECRET


def test_fernet_key_opens_what_the_file_sealed_before_it_was_set(tmp_path):
    by_file = open_sealer(tmp_path, None)
    sealed = by_file.seal(SECRET)
    assert by_file.is_current(sealed)
    later = open_sealer(tmp_path, NEW)
    assert later.open(sealed) == SECRET
    assert not later.is_current(sealed)


def refused(home, fernet_keys, sealed) -> str:
    with pytest.raises(HouseError) as error:
        open_sealer(home, fernet_keys).open(sealed)
    assert error.value.code == "configuration_error"
    return error.value.message


def test_a_wrong_fernet_key_says_what_to_do_and_shows_no_key(tmp_path):
    sealed = open_sealer(tmp_path, OLD).seal(SECRET)
    message = refused(tmp_path, NEW, sealed)
    assert "not opened by any key in FERNET_KEY" in message
    assert "FERNET_KEY=new,old" in message
    assert NEW not in message


def test_a_missing_fernet_key_says_so(tmp_path):
    sealed = open_sealer(tmp_path, OLD).seal(SECRET)
    assert "FERNET_KEY, which is not set" in refused(tmp_path, None, sealed)


def test_a_missing_damaged_or_foreign_file_says_so(tmp_path):
    sealed = open_sealer(tmp_path, None).seal(SECRET)
    file = tmp_path / "secret"
    file.write_bytes(Fernet.generate_key())
    assert "another file" in refused(tmp_path, None, sealed)
    file.write_bytes(b"short")
    assert "damaged" in refused(tmp_path, None, sealed)
    file.unlink()
    assert "cannot be read (No such file or directory)" in refused(tmp_path, None, sealed)


def test_a_fernet_key_that_is_none_is_refused_by_its_place_and_not_shown(tmp_path):
    with pytest.raises(HouseError, match="key 2 is not 32 bytes") as error:
        open_sealer(tmp_path, f"{OLD},not-a-key")
    assert "not-a-key" not in error.value.message
