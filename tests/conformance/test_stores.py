"""One suite for the keys in every database: what callers rely on holds in each of them."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, select, text

from databases import KINDS, database_url
from dragoman.core.call import Limits, Proof
from dragoman.core.clock import ManualClock, SystemClock
from dragoman.core.errors import CallerError
from dragoman.identity.authenticate import IdentityMode, authenticate
from dragoman.identity.cache import CachedKeys
from dragoman.identity.keyform import make_key, parse_key
from dragoman.identity.proof import read_proof
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql import keys as module
from dragoman.store.sql.keys import NewKey, SqlKeys, open_keys
from dragoman.store.sql.secrets import SecretVersions
from dragoman.store.tables import keys as keys_table
from dragoman.store.tables import secrets

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def database(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = await open_upgraded(url)
        yield database
        await database.close()


only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what is seen in the file itself."""


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def keys(database, clock, tmp_path):
    return await open_keys(database, open_sealer(tmp_path, None), clock)


async def find(keys: SqlKeys, key: str):
    form = parse_key(key, "drg")
    return (await keys.find(key, None if form is None else form.public_id)).record


@pytest.mark.req("R-AUTH-006", "R-AUTH-007")
@only_sqlite
async def test_a_made_key_is_found_and_stands_nowhere_in_the_database(keys, clock, tmp_path):
    new = NewKey("ci", tenant="acme", role="admin", limits=Limits(1, 2, 3), expires=2e9)
    record, secret = await keys.create(new)
    assert await find(keys, secret.reveal()) == record
    assert await keys.get(record.id) == record
    assert (record.name, record.tenant, record.role) == ("ci", "acme", "admin")
    assert (record.limits, record.expires, record.revoked) == (Limits(1, 2, 3), 2e9, None)
    assert record.created == clock.wall()
    assert secret.reveal().startswith(f"drg_{record.id}_")
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert record.id.encode() in stored
    assert secret.reveal().encode() not in stored
    assert secret.reveal()[13:].encode() not in stored


async def test_a_key_outlives_the_process(database, clock, tmp_path):
    first = await open_keys(database, open_sealer(tmp_path, None), clock)
    record, secret = await first.create(NewKey("ci"))
    second = await open_keys(database, open_sealer(tmp_path, None), clock)
    assert await find(second, secret.reveal()) == record
    assert first.digest("x" * 9) == second.digest("x" * 9)


async def test_the_right_public_id_with_a_wrong_secret_is_not_found(keys):
    record, secret = await keys.create(NewKey("ci"))
    finding = await keys.find(secret.reveal()[:-1] + "!", record.id)
    assert finding.record is None
    assert len(finding.mark) == 12


async def test_a_mark_names_a_credential_without_giving_it_away(keys):
    one, two = await keys.find("drg_one", None), await keys.find("drg_two", None)
    assert one.mark != two.mark
    assert one == await keys.find("drg_one", None)
    assert "one" not in one.mark


async def test_a_revoked_key_is_found_as_revoked_for_good(keys, clock):
    record, secret = await keys.create(NewKey("ci"))
    clock.advance(5)
    revoked = await keys.revoke(record.id)
    assert revoked is not None
    assert revoked.revoked == clock.wall()
    clock.advance(5)
    assert await keys.revoke(record.id) == revoked
    assert await find(keys, secret.reveal()) == revoked
    assert await keys.revoke("nothing") is None


async def test_a_key_that_is_revoked_now_is_told_to_whoever_has_calls_of_it(keys, clock):
    record, _ = await keys.create(NewKey("leaked"))
    await keys.revoke(record.id)
    assert await keys.cuts() == set()
    generation = await keys.generation()
    again = await keys.revoke(record.id, cut=True)
    assert again.revoked == clock.wall()
    assert await keys.generation() > generation
    assert await keys.cuts() == {(record.id, int(clock.wall() * 1000))}
    assert await keys.revoke("nobody", cut=True) is None
    assert await keys.revoke(record.id, tenant="another", cut=True) is None


async def test_keys_are_listed_and_changed_by_tenant(keys, clock):
    ours = []
    for name in ("one", "two"):
        clock.advance(1)
        ours.append((await keys.create(NewKey(name, tenant="ours")))[0])
    theirs, _ = await keys.create(NewKey("three", tenant="theirs"))
    assert await keys.list(tenant="ours") == tuple(ours)
    assert set(await keys.list()) == {*ours, theirs}
    assert await keys.get(theirs.id, tenant="ours") is None
    assert await keys.revoke(theirs.id, tenant="ours") is None
    assert await keys.get(theirs.id, tenant="theirs") == theirs


@pytest.mark.parametrize("key", ["2api_admin", "x" * 256, "!#$%&'\"\\;--", "drg_short"])
async def test_a_key_made_elsewhere_is_stored_by_its_digest(keys, key):
    record = await keys.store(key, NewKey("import"))
    assert await find(keys, key) == record
    assert len(record.id) == 8
    assert record.id not in key
    with pytest.raises(CallerError, match="stored already") as error:
        await keys.store(key, NewKey("again"))
    assert error.value.status == 409


async def test_a_key_of_our_form_made_elsewhere_keeps_its_public_id(keys):
    key = make_key("drg")
    record = await keys.store(key, NewKey("import"))
    assert f"drg_{record.id}_" in key
    assert await find(keys, key) == record


async def test_a_key_is_still_found_when_the_prefix_was_changed(database, keys, clock, tmp_path):
    record, secret = await keys.create(NewKey("ci"))
    renamed = await open_keys(database, open_sealer(tmp_path, None), clock, prefix="2api")
    assert (await renamed.find(secret.reveal(), None)).record == record
    assert (await renamed.create(NewKey("new")))[1].reveal().startswith("2api_")


@pytest.mark.parametrize(
    "key",
    ["", "1234567", "x" * 257, "with space", "naïve-key", "tab\tkey9", make_key("drg")[:-1] + "!"],
)
async def test_a_key_that_nobody_could_send_is_not_stored(keys, key):
    if len(key) == len(make_key("drg")):
        key = key[:-2] + ("00" if key[-2] != "0" else "11")  # its checksum is wrong now
    with pytest.raises(CallerError, match="8 to 256 visible ASCII") as error:
        await keys.store(key, NewKey("import"))
    assert (error.value.status, error.value.param) == (400, "key")
    assert await keys.list() == ()


@pytest.mark.req("R-AUTH-004")
async def test_the_first_admin_is_made_once_and_never_overwritten(keys):
    admin = await keys.ensure_admin("boss", "2api_first_key")
    assert (admin.role, admin.user_id, admin.name) == ("admin", "boss", "boss")
    assert await keys.ensure_admin("boss", "2api_other_key") == admin
    assert await find(keys, "2api_first_key") == admin
    assert await find(keys, "2api_other_key") is None
    await keys.revoke(admin.id)
    assert (await keys.ensure_admin("boss", "2api_third_key")).revoked is not None
    assert await find(keys, "2api_third_key") is None


async def test_many_workers_make_the_first_admin_together(keys, monkeypatch):
    made = await asyncio.gather(*(keys.ensure_admin("boss", "2api_first_key") for _ in range(5)))
    assert len({record.id for record in made}) == 1
    # Where two have looked before either has made it, the slower one finds the other's.
    look = keys._of_user
    looks = 0

    async def look_too_early(user_id):
        nonlocal looks
        looks += 1
        return None if looks == 1 else await look(user_id)

    monkeypatch.setattr(keys, "_of_user", look_too_early)
    assert await keys.ensure_admin("boss", "2api_first_key") == made[0]


async def test_an_admin_with_the_key_of_another_is_refused(keys):
    await keys.ensure_admin("boss", "2api_first_key")
    with pytest.raises(CallerError, match="stored already"):
        await keys.ensure_admin("deputy", "2api_first_key")
    with pytest.raises(CallerError, match="'boss' has one"):
        await keys.create(NewKey("more", user_id="boss"))


async def test_a_public_id_that_is_taken_is_thrown_again(keys, monkeypatch):
    taken, secret = await keys.create(NewKey("one"))
    made = iter([secret.reveal(), make_key("drg")])
    monkeypatch.setattr(module, "make_key", lambda prefix: next(made))
    record, _ = await keys.create(NewKey("two"))
    assert record.id != taken.id


async def test_every_change_that_others_may_have_to_hear_of_moves_the_generation(keys):
    numbers = [await keys.generation()]
    record, secret = await keys.create(NewKey("one"))
    assert await keys.generation() == numbers[0], "nobody can have asked for it before"
    await keys.store("imported-key", NewKey("two"))
    numbers.append(await keys.generation())
    await keys.revoke(record.id)
    numbers.append(await keys.generation())
    assert numbers == sorted(set(numbers))
    await keys.revoke(record.id)
    await keys.revoke("nothing")
    await keys.list()
    await find(keys, secret.reveal())
    with pytest.raises(CallerError):
        await keys.store("imported-key", NewKey("two"))
    assert await keys.generation() == numbers[-1]


async def test_keys_under_an_older_pepper_are_still_found(database, keys, clock):
    record, secret = await keys.create(NewKey("old"))
    imported = await keys.store("imported-key", NewKey("import"))
    rotated = SqlKeys(database, SecretVersions({**keys._peppers, 2: b"p" * 32}), clock)
    assert await find(rotated, secret.reveal()) == record
    assert await find(rotated, "imported-key") == imported
    _, newer = await rotated.create(NewKey("new"))
    assert await find(rotated, newer.reveal()) is not None
    assert await find(keys, newer.reveal()) is None  # without its pepper it is no key


async def test_a_row_copied_under_another_pepper_version_opens_nothing(database, keys):
    _, secret = await keys.create(NewKey("one"))
    async with database.write() as connection:
        await connection.execute(keys_table.update().values(pepper_version=7))
    assert await find(keys, secret.reveal()) is None


async def test_a_stored_digest_is_no_credential(database, keys):
    # reliability.md A14
    await keys.create(NewKey("one"))
    async with database.read() as connection:
        digest = (await connection.execute(select(keys_table.c.digest))).scalar_one()
    for form in (digest.hex(), digest.decode("latin-1")):
        assert await find(keys, form) is None


async def test_the_pepper_is_made_with_the_database_and_stands_there_sealed(database, tmp_path):
    sealer = open_sealer(tmp_path, Fernet.generate_key().decode())
    keys = await open_keys(database, sealer, SystemClock())
    async with database.read() as connection:
        (row,) = (await connection.execute(select(secrets))).all()
    assert (row.name, row.version, row.sealed_by) == ("pepper", 1, sealer.current)
    assert keys._pepper not in row.sealed
    assert not (tmp_path / "secret").exists()


async def test_a_role_that_we_do_not_know_cannot_be_stored(database, keys):
    record, _ = await keys.create(NewKey("one"))
    with pytest.raises(Exception, match=r"CHECK|check"):
        async with database.write() as connection:
            await connection.execute(keys_table.update().values(role="root"))
    assert (await keys.get(record.id)).role == "user"


def injections() -> list[str]:
    """Three hundred strings of the kind that scanners send, in every quoting."""
    cores = [
        "1=1", "SLEEP(5)", "UNION SELECT * FROM keys", "DROP TABLE keys", "pg_sleep(5)",
        "randomblob(1000000000)", "load_extension('x')", "ATTACH DATABASE 'x' AS y",
        "$ne", "[$regex]=.*", "{{7*7}}", "%00", "\\x27", "${jndi:ldap://x}", "||(SELECT role)||",
    ]  # fmt: skip
    shapes = [
        "{}", "'{}", "' OR {}--", '" OR {}--', "') OR ({}", "'; {};--", "'/**/OR/**/{}#",
        "\\'; {}", "drg_' OR {}", ":id {}", "%({})s", "?{}", "{}\\", "`{}`", "[{}]",
        "%27%20OR%20{}", "x' AND {} AND 'x'='x", "x'||{}||'", "$1{}", "@@{}",
    ]  # fmt: skip
    return [shape.replace("{}", core) for core in cores for shape in shapes]


async def test_injections_in_every_header_find_nothing_and_break_nothing(keys, clock):
    # reliability.md A2, CVE-2026-42208
    record, _ = await keys.create(NewKey("one", role="admin"))
    strings = injections()
    assert len(set(strings)) == 300
    for string in strings:
        verdicts = set()
        for headers in (
            {"authorization": f"Bearer {string}"},
            {"x-api-key": string},
            {"api-key": string},
        ):
            with pytest.raises(CallerError) as error:
                await authenticate(read_proof(headers, {}), keys, IdentityMode(), clock)
            verdicts.add((error.value.status, error.value.code))
        assert verdicts == {(401, "invalid_api_key")}
        assert (await keys.find(string, string)).record is None
        assert await keys.get(string) is None
    assert await keys.list() == (record,)


async def test_injections_in_names_are_names(keys):
    for string in injections()[:40]:
        # A slash is the one sign of theirs that no tenant's id may have.
        tenant = string[:100].replace("/", "|").strip()
        record, _ = await keys.create(NewKey(string, tenant=tenant))
        assert (await keys.get(record.id, tenant=tenant)).name == string


async def test_credentials_with_long_parts_in_common_have_digests_of_their_own(keys):
    # reliability.md A9
    dice = random.Random(9)
    shared = "".join(dice.choices("abcdef0123456789", k=200))
    credentials = set()
    for number in range(16_700):
        for length in (20, 64, 200):
            credentials.add(f"{shared[:length]}{number}")
            credentials.add(f"{number}{shared[-length:]}")
    assert len(credentials) > 100_000
    assert len({keys.digest(credential) for credential in credentials}) == len(credentials)


@only_sqlite
async def test_a_key_revoked_by_another_process_is_refused_within_a_second(database, tmp_path):
    # reliability.md A10
    clock = SystemClock()
    keys = await open_keys(database, open_sealer(tmp_path, None), clock)
    record, secret = await keys.create(NewKey("one"))
    cached = CachedKeys(keys, clock)
    proof = Proof(secret.reveal(), "authorization")
    await authenticate(proof, cached, IdentityMode(), clock)
    code = f"""
import sqlite3, time
with sqlite3.connect({str(tmp_path / "dragoman.db")!r}, timeout=5) as connection:
    connection.execute("UPDATE keys SET revoked_ms = 1 WHERE id = {record.id!r}")
    connection.execute("UPDATE meta SET number = number + 1 WHERE name = 'keys_generation'")
print(time.time())
"""
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    accepted = 0
    last = 0.0
    with pytest.raises(CallerError, match="revoked"):
        while True:
            before = time.time()
            await authenticate(proof, cached, IdentityMode(), clock)
            accepted, last = accepted + 1, before
            await asyncio.sleep(0.002)
    output, _ = await other.communicate()
    assert accepted > 5
    assert last - float(output) < 1.0
    await cached.close()


@pytest.mark.req("R-STOR-005")
async def test_a_hot_key_costs_no_sql(keys, clock):
    statements = 0
    cached = CachedKeys(keys, clock)
    _, secret = await keys.create(NewKey("one"))
    proof = Proof(secret.reveal(), "authorization")
    await authenticate(proof, cached, IdentityMode(), clock)
    generation, found = keys.generation, keys.find

    async def counted(*arguments):
        nonlocal statements
        statements += 1
        return await (found(*arguments) if arguments else generation())

    keys.find = keys.generation = counted
    for _ in range(1000):
        await authenticate(proof, cached, IdentityMode(), clock)
    assert statements == 0
    await cached.close()


@only_sqlite
async def test_two_processes_may_write_at_once(database, keys, tmp_path):
    with sqlite3.connect(tmp_path / "dragoman.db", timeout=5) as connection:
        connection.execute("UPDATE meta SET number = number + 1")
        writes = asyncio.create_task(keys.create(NewKey("waits")))
        await asyncio.sleep(0.1)
        assert not writes.done()
    connection.close()
    record, _ = await writes
    assert await keys.get(record.id) == record
    async with database.write() as connection:
        await connection.execute(
            insert(secrets).values(name="x", version=1, sealed=b"", sealed_by="file", created_ms=1)
        )
        assert (await connection.execute(text("SELECT count(*) FROM secrets"))).scalar_one() == 2
