"""The operator's tiers, from the data file and from dragoman.toml."""

from __future__ import annotations

import json

import pytest

from dragoman.config.settings import ConfigError, Settings
from dragoman.config.tiers import SAMPLE, ensure_file, read_tiers, unknown_tier
from dragoman.core.call import Limits

pytestmark = pytest.mark.req("R-TIER-001", "R-TIER-002")


def settings(home, **more) -> Settings:
    return Settings(dragoman_home=home, mode="local", **more)


def file(home, content) -> None:
    path = home / "data" / "tiers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_without_a_file_and_without_a_table_there_is_no_tier(tmp_path):
    assert read_tiers(settings(tmp_path)) == {}


def test_the_shape_of_the_requirement_is_read(tmp_path):
    file(tmp_path, json.loads(SAMPLE.read_text()))
    found = read_tiers(settings(tmp_path))
    assert found == {
        "free": Limits(
            30, 1500, 25_000, max_tokens=1_000_000, min_provider_score=0, max_provider_score=70
        ),
        "pro": Limits(120, 12_000, 250_000, min_provider_score=50),
        "enterprise": Limits(10_000, 500_000, 5_000_000, min_provider_score=85),
    }


def test_dragoman_toml_goes_before_the_file(tmp_path):
    file(tmp_path, {"free": {"rps": 30}, "pro": {"rps": 120}})
    found = read_tiers(settings(tmp_path, tiers={"free": {"rpm": 5, "tpm": 1_000_000}}))
    assert found == {"free": Limits(rpm=5, tpm=1_000_000), "pro": Limits(rps=120)}


@pytest.mark.req("R-ADD-040")
def test_the_file_may_be_elsewhere(tmp_path):
    file(tmp_path, {"of the home": {}})
    said = tmp_path / "other" / "limits.json"
    kept = settings(tmp_path, data_source_preference="filesystem", api_tiers_file=said)
    ensure_file(kept)
    assert set(read_tiers(kept)) == {"free", "pro", "enterprise"}
    said.write_text('{"free": {"rps": "many"}}')
    with pytest.raises(ConfigError, match=f"{said}: tier 'free': rps must be a whole number"):
        read_tiers(kept)


@pytest.mark.req("R-STOR-004")
def test_where_data_files_are_kept_the_sample_is_put_there_once(tmp_path):
    ensure_file(settings(tmp_path))
    assert not (tmp_path / "data" / "tiers.json").exists()
    kept = settings(tmp_path, data_source_preference="filesystem")
    ensure_file(kept)
    assert set(read_tiers(kept)) == {"free", "pro", "enterprise"}
    file(tmp_path, {"own": {}})
    ensure_file(kept)
    assert read_tiers(kept) == {"own": Limits()}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"concurency": 5}, "unknown member 'concurency'; did you mean 'concurrency'?"),
        ({"rpm": -1}, "rpm must be a whole number, 0 for no limit"),
        ({"rpm": "5"}, "rpm must be a whole number"),
        ({"rpm": 1.5}, "rpm must be a whole number"),
        ({"rpm": True}, "rpm must be a whole number"),
        ({"min_provider_score": 101}, "min_provider_score must be a number from 0 to 100"),
        ({"max_provider_score": "high"}, "max_provider_score must be a number"),
        (
            {"min_provider_score": 60, "max_provider_score": 50},
            "60 is above max_provider_score 50",
        ),
        ({"require_score": 1}, "require_score must be true or false"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, row, said):
    with pytest.raises(ConfigError) as refused:
        read_tiers(settings(tmp_path, tiers={"team": row}))
    assert refused.value.message.startswith("[tiers.team]")
    assert said in refused.value.message
    file(tmp_path, {"team": row})
    with pytest.raises(ConfigError) as refused:
        read_tiers(settings(tmp_path))
    assert "tiers.json: tier 'team'" in refused.value.message


@pytest.mark.parametrize("content", ["{", "[]", '"free"', '{"free": 5}', '{"": {}}'])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    file(tmp_path, content)
    with pytest.raises(ConfigError, match=r"tiers\.json"):
        read_tiers(settings(tmp_path))


def test_a_tier_that_there_is_not_is_told_with_the_nearest():
    tiers = {"team": Limits(), "gold": Limits()}
    assert unknown_tier("teams", tiers) == "There is no tier 'teams'; did you mean 'team'?"
    assert "known: gold, team" in unknown_tier("zzz", tiers)
    assert "there is none yet" in unknown_tier("zzz", {})
