"""Laws of every importer: any file gives a configuration that a start accepts, or is refused in a sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.config.load import TOP_LEVEL
from dragoman.core.errors import CallerError
from dragoman.moving.anygpt import read_anygpt
from dragoman.moving.draft import lay_out
from dragoman.moving.litellm import read_litellm
from dragoman.moving.new_api import read_new_api
from dragoman.moving.portkey import read_portkey
from dragoman.moving.source import Source
from dragoman.moving.toml_text import toml_text
from dragoman.moving.write import trouble
from sampling import examples

SECRET = "sk-hidden-hidden-hidden"
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
models = st.sampled_from(
    [
        "gpt-4o",
        "openai/gpt-4o",
        "groq/x",
        "azure/y",
        "gemini/*",
        "*",
        "a/b/c",
        "x y",
        'q"\n',
        "",
        "ü",
    ]
)
names = st.sampled_from(
    ["fast", "gpt-4o", "openai/gpt-4o", "auto", "a.b", 'n"\\', "x/y", "*", "groq"]
)
keys = st.sampled_from([SECRET, "os.environ/OPENAI_API_KEY", "os.environ/MINE", "none", "", None])
bases = st.sampled_from(
    [
        None,
        "http://gpu:8000/v1",
        "https://api.openai.com/v1",
        f"http://u:{SECRET}@h/v1",
        "not a url",
        "http://[bad",
        "os.environ/BASE",
        "http://openai/",
        "http://gpu:99999/v1",
    ]
)


def some(**members):
    """A table that may have any of the members, each as it should be or as nobody expects it."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(value, odd) for name, value in members.items()}
    )


litellm = some(
    model_list=st.lists(
        some(
            model_name=names,
            litellm_params=some(
                model=models,
                api_key=keys,
                api_base=bases,
                weight=st.floats(),
                order=st.integers(-3, 3),
                custom_llm_provider=st.sampled_from(["openai", "groq", "hosted_vllm", "bedrock"]),
                input_cost_per_token=st.floats(),
            ),
            model_info=some(output_cost_per_token=st.floats()),
        ),
        max_size=5,
    ),
    router_settings=some(
        fallbacks=st.lists(
            st.dictionaries(names, st.lists(names, max_size=3), max_size=2), max_size=3
        ),
        model_group_alias=st.dictionaries(names, names, max_size=2),
        routing_strategy=st.sampled_from(["least-busy", "usage-based-routing-v2"]),
        num_retries=st.floats(),
        cooldown_time=st.floats(),
    ),
    litellm_settings=some(
        max_budget=st.floats(),
        budget_duration=st.sampled_from(["1d", "30d", "7d"]),
        cache=st.booleans(),
    ),
    general_settings=some(master_key=keys),
)
target = some(
    provider=st.sampled_from(["openai", "@groq-prod", "azure-openai", "ollama", "anthropic"]),
    api_key=st.sampled_from([SECRET, "{{MINE}}", "$MINE"]),
    virtual_key=st.sampled_from(["openai-prod", "ünïcode", "--"]),
    custom_host=bases,
    weight=st.floats(),
    override_params=some(model=models),
    request_timeout=st.floats(),
    retry=some(attempts=st.floats()),
    cache=some(mode=st.sampled_from(["simple", "semantic"]), max_age=st.floats()),
)
portkey = st.recursive(
    target,
    lambda inner: some(
        strategy=some(mode=st.sampled_from(["fallback", "loadbalance", "single", "x"])),
        targets=st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
channels = st.lists(
    some(
        id=st.integers(0, 9),
        type=st.sampled_from([1, 3, 4, 8, 14, 20, 24, 25, 40, 43, 47, 48, 99]),
        key=st.sampled_from([SECRET, f"{SECRET}\nother-key", ""]),
        name=names,
        base_url=bases,
        models=st.sampled_from(["a,b", "gpt-4o", ",", "x y"]),
        model_mapping=st.sampled_from(['{"a":"b"}', "{", "[1]"]),
        weight=st.floats(),
        priority=st.floats(),
        status=st.sampled_from([1, 2]),
    ),
    max_size=5,
)
providers = st.lists(
    some(
        id=names,
        apiKey=st.just(SECRET),
        provider_url=bases,
        models=st.dictionaries(names, some(disabled=st.booleans()), max_size=3),
    ),
    max_size=4,
)
tiers = st.dictionaries(names, some(rpm=st.integers(), min_provider_score=st.floats()), max_size=2)


def assert_lawful(read):
    try:
        draft = read()
    except CallerError as error:
        told = error.message
    else:
        told = ""
    assert SECRET not in told
    if told:
        return
    found = lay_out(draft, TOP_LEVEL)
    text = toml_text(found.tables)
    assert trouble(text, "x.toml", draft) == []
    assert SECRET not in text
    assert SECRET not in repr((found, draft.variables, draft.settings))


lawful = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@lawful
@given(litellm)
def test_of_litellm(config):
    assert_lawful(lambda: read_litellm(Source(config)))


@lawful
@given(st.one_of(portkey, st.lists(portkey, max_size=2)))
def test_of_portkey(config):
    assert_lawful(lambda: read_portkey(Source(config), "main"))


@lawful
@given(channels, st.sampled_from(["new-api", "one-api"]))
def test_of_new_api(config, flavour):
    assert_lawful(lambda: read_new_api(Source(config), flavour))


@lawful
@given(st.one_of(providers, odd), st.one_of(tiers, odd))
def test_of_anygpt(said, limits):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, content in (("providers", said), ("tiers", limits)):
            (place / f"{name}.json").write_text(
                json.dumps(content, allow_nan=False, default=str) if _plain(content) else "[]"
            )
        assert_lawful(lambda: read_anygpt(place))


def _plain(content):
    try:
        json.dumps(content, allow_nan=False).encode()
    except (ValueError, UnicodeError):
        return False
    return True


def test_a_file_that_is_too_deep_is_refused():
    deep = {"targets": []}
    for _ in range(5000):
        deep = {"targets": [deep]}
    with pytest.raises(CallerError, match="nested too deeply"):
        read_portkey(Source(deep), "main")
