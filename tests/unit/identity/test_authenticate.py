"""Who is calling, told from a credential alone."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.core.call import Caller, Limits, Proof
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError
from dragoman.core.scopes import Bounds
from dragoman.identity.authenticate import IdentityMode, authenticate
from dragoman.identity.keyform import make_key, parse_key
from dragoman.identity.ports import Finding, KeyRecord
from dragoman.identity.proof import read_proof
from sampling import examples

PROD = IdentityMode()
LOCAL = IdentityMode(accepts="wellformed")
LISTED = IdentityMode(accepts="listed", listed=frozenset({"2api_test"}))


class Keys:
    """A store of a few keys that counts how often it is asked."""

    def __init__(self, **keys: KeyRecord) -> None:
        self.keys = keys
        self.asked: list[tuple[str, str | None]] = []

    async def find(self, credential: str, public_id: str | None) -> Finding:
        self.asked.append((credential, public_id))
        mark = hashlib.sha256(credential.encode()).hexdigest()[:12]
        return Finding(mark, self.keys.get(credential))

    def known(self, credential: str) -> KeyRecord | None:
        """Those that were asked for before."""
        asked = any(credential == before for before, _ in self.asked)
        return self.keys.get(credential) if asked else None


def record(**more: object) -> KeyRecord:
    return KeyRecord(**{"id": "k1", "tenant": "acme", "name": "ci", "created": 1.0} | more)


def identify(value: str | None, keys: Keys, mode: IdentityMode, clock: ManualClock) -> Caller:
    """Runs ``authenticate`` to its end; over these keys it never waits."""
    proof = None if value is None else Proof(value, "authorization")
    try:
        authenticate(proof, keys, mode, clock).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


@pytest.mark.req("R-AUTH-013")
@pytest.mark.parametrize("what", ["key", "project", "tenant"])
def test_a_suspended_key_is_known_and_may_do_nothing(what):
    with pytest.raises(CallerError, match=what) as error:
        identify("k-stopped", Keys(**{"k-stopped": record(stopped=what)}), PROD, ManualClock())
    assert (error.value.status, error.value.code) == (403, "insufficient_permissions")


def test_what_ended_for_good_is_told_before_what_is_suspended():
    ended = record(stopped="tenant", revoked=5.0)
    assert refused("k-ended", Keys(**{"k-ended": ended})).code == "invalid_api_key"


def test_a_caller_has_the_project_and_the_bounds_of_its_key():
    bounds = Bounds(models=(("openai/*",),))
    known = Keys(**{"k-bound": record(project="web", bounds=bounds)})
    caller = identify("k-bound", known, PROD, ManualClock())
    assert (caller.project, caller.bounds) == ("web", bounds)
    assert identify("drg_local", Keys(), LOCAL, ManualClock()).project == "default"


def refused(value: str | None, keys: Keys, mode: IdentityMode = PROD) -> CallerError:
    with pytest.raises(CallerError) as error:
        identify(value, keys, mode, ManualClock())
    assert (error.value.kind, error.value.status) == ("authentication", 401)
    return error.value


@pytest.mark.req("R-AUTH-001")
@pytest.mark.parametrize("mode", [PROD, LOCAL, LISTED])
def test_a_stored_key_is_its_caller_in_every_mode(mode):
    keys = Keys(secret12=record(role="admin", limits=Limits(rpm=5)))
    caller = identify("secret12", keys, mode, ManualClock())
    assert caller == Caller("k1", "acme", "ci", "admin", Limits(rpm=5))


@pytest.mark.req("R-AUTH-013")
def test_no_credential_says_which_headers_would_do():
    error = refused(None, Keys())
    assert error.code == "missing_api_key"
    assert "x-api-key" in error.message
    assert "Authorization" in error.message


@pytest.mark.req("R-AUTH-013")
@pytest.mark.parametrize("mode", [PROD, LOCAL, LISTED])
def test_revoked_and_expired_keys_are_refused_in_every_mode(mode):
    keys = Keys(drg_revoked=record(revoked=2.0), drg_expired=record(expires=1_760_000_000.0))
    assert refused("drg_revoked", keys, mode).code == "invalid_api_key"
    assert refused("drg_expired", keys, mode).code == "expired_api_key"


def test_a_key_is_good_until_the_very_second_it_expires():
    clock = ManualClock()
    keys = Keys(drg_soon=record(expires=clock.wall() + 10))
    clock.advance(9.99)
    assert identify("drg_soon", keys, PROD, clock).key_id == "k1"
    clock.advance(0.02)
    with pytest.raises(CallerError, match="expired"):
        identify("drg_soon", keys, PROD, clock)


@pytest.mark.parametrize("mode", [PROD, LOCAL, LISTED])
def test_a_damaged_key_is_refused_without_asking_the_store(mode):
    key = make_key("drg")
    damaged = key[:-1] + ("0" if key[-1] != "0" else "1")
    keys = Keys(**{damaged: record()})
    assert "checksum" in refused(damaged, keys, mode).message
    assert keys.asked == []


def test_a_key_of_ours_is_looked_up_by_its_public_id_and_any_other_without():
    key = make_key("drg")
    keys = Keys(**{key: record(), "imported1": record()})
    identify(key, keys, PROD, ManualClock())
    identify("imported1", keys, PROD, ManualClock())
    form = parse_key(key, "drg")
    assert form is not None
    assert keys.asked == [(key, form.public_id), ("imported1", None)]


@pytest.mark.req("R-AUTH-006")
@pytest.mark.parametrize(
    "credential", ["drg_test", "2api_test", "sk-abc", "sk_abc", "sk-proj-" + "x" * 200]
)
def test_locally_any_well_formed_credential_is_a_user_of_the_local_tenant(credential):
    caller = identify(credential, Keys(), LOCAL, ManualClock())
    assert (caller.tenant, caller.role, caller.limits) == ("local", "user", Limits())
    assert caller.key_id.startswith("local_")
    assert credential not in caller.key_id
    assert identify(credential, Keys(), LOCAL, ManualClock()) == caller
    assert refused(credential, Keys(), PROD).code == "invalid_api_key"


def test_locally_two_credentials_are_two_callers():
    one = identify("drg_one", Keys(), LOCAL, ManualClock())
    two = identify("drg_two", Keys(), LOCAL, ManualClock())
    assert one.key_id != two.key_id


@pytest.mark.parametrize("credential", ["drg_ab", "test", "drgtest", "xdrg_test", "gw_test123"])
def test_locally_what_is_not_well_formed_is_refused(credential):
    assert refused(credential, Keys(), LOCAL).code == "invalid_api_key"


def test_locally_what_is_not_well_formed_is_told_the_form():
    assert (
        "at least 3 characters more, such as drg_test" in refused("drg_ab", Keys(), LOCAL).message
    )


@pytest.mark.parametrize(
    ("home", "told"), [("/a/b", "this gateway is /a/b"), ("", "see DRAGOMAN")]
)
def test_locally_a_key_that_was_issued_for_another_database_is_refused_and_told_so(home, told):
    mode = IdentityMode(accepts="wellformed", home=home)
    key = make_key("drg")
    message = refused(key, Keys(), mode).message
    assert "another database" in message
    assert told in message
    assert key not in message
    assert identify(key, Keys(**{key: record()}), mode, ManualClock()).key_id == "k1"


def test_locally_a_secret_of_before_is_not_taken_for_another_databases():
    class Rotated(Keys):
        async def find(self, credential: str, public_id: str | None) -> Finding:
            return Finding("mark", None, other_secret=True)

    message = refused(make_key("drg"), Rotated(), LOCAL).message
    assert "rotated" in message
    assert "database" not in message


def test_beyond_loopback_the_refusal_says_which_keys_pass():
    assert "LOCAL_KEYS" in refused("drg_test", Keys(), LISTED).message


def test_a_listed_key_alone_passes_where_only_listed_ones_do():
    assert identify("2api_test", Keys(), LISTED, ManualClock()).tenant == "local"
    assert refused("drg_test", Keys(), LISTED).code == "invalid_api_key"


def test_a_listed_key_passes_locally_whatever_its_form():
    mode = IdentityMode(accepts="wellformed", listed=frozenset({"odd"}))
    assert identify("odd", Keys(), mode, ManualClock()).role == "user"


odd = st.one_of(
    st.text(max_size=300),
    st.text("\0\t\r\n é٣\x7f", max_size=12),
    st.sampled_from(["x" * 100_000, "Bearer Bearer", "undefined", "null", "[object Object]"]),
    st.from_regex(r"drg_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", fullmatch=True),
)


headers_of_requests = st.dictionaries(
    st.sampled_from(["authorization", "x-api-key", "api-key"]),
    st.one_of(odd, odd.map("Bearer {}".format)),
)


def judge(headers: dict[str, str]) -> None:
    with pytest.raises(CallerError) as refusal:
        proof = read_proof(headers, {})
        identify(None if proof is None else proof.value, Keys(), PROD, ManualClock())
    assert refusal.value.status in {400, 401}
    for text in headers.values():
        assert len(text) < 20 or text not in str(refusal.value)


@given(headers_of_requests)
@example({"authorization": "Bearer " + "\0" * 9})
@settings(max_examples=examples(300), deadline=None)
def test_odd_headers_are_401_or_400_and_never_repeated(headers):
    judge(headers)


@pytest.mark.gate
@pytest.mark.timeout(900)
@given(headers_of_requests)
@settings(max_examples=5000, deadline=None)
def test_five_thousand_odd_headers_are_401_or_400(headers):
    # reliability.md A1
    judge(headers)
