"""What switches a provider on, where it is called, and with which keys."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.schema import CatalogError, OperatorRow, operator_row
from dragoman.core.provider import Family


def test_nothing_set_means_nothing_switched_on() -> None:
    registry = load_providers({"PATH": "/bin", "OPENAI_API_KEY": "  "})
    assert registry.providers == {}


@pytest.mark.req("R-PROV-010")
@pytest.mark.parametrize(
    ("name", "value", "provider"),
    [
        ("GROQ_API_KEY", "gsk_x", "groq"),
        ("ANTHROPIC_API_KEY", "sk-ant-x", "anthropic"),
        ("OPENROUTER_API_KEY", "sk-or-v1-x", "openrouter"),
        ("MISTRAL_API_KEY", "m", "mistral"),
        ("OLLAMA_BASE_URL", "http://127.0.0.1:11434", "ollama"),
        ("OLLAMA_HOST", "127.0.0.1:11434", "ollama"),
        ("OPENAI_COMPATIBLE_BASE_URL", "http://127.0.0.1:1/v1", "openai-compatible"),
    ],
)
def test_a_provider_is_switched_on_by_its_key_or_where_it_needs_none_by_its_address(
    name, value, provider
) -> None:
    assert list(load_providers({name: value}).providers) == [provider]


def test_a_base_alone_switches_nothing_on_that_needs_a_key() -> None:
    assert load_providers({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}).providers == {}


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_google_has_two_names_for_its_key(name) -> None:
    assert "google" in load_providers({name: "AIza"}).providers


def test_a_base_from_the_environment_replaces_the_default() -> None:
    env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/anthropic/"}
    provider = load_providers(env).providers["anthropic"]
    assert provider.base_url + provider.paths["chat"] == "http://127.0.0.1:9/anthropic/v1/messages"


def test_ollamas_address_may_be_that_of_its_compatible_endpoint() -> None:
    for said in ("http://box:11434/v1", "http://box:11434/v1/", "http://box:11434"):
        provider = load_providers({"OLLAMA_BASE_URL": said}).providers["ollama"]
        assert provider.base_url == "http://box:11434"
        assert {other.base_url for other in provider.also} == {"http://box:11434"}


def test_of_ollamas_two_names_the_base_url_counts() -> None:
    env = {"OLLAMA_HOST": "0.0.0.0", "OLLAMA_BASE_URL": "http://box:1/ollama"}
    assert load_providers(env).providers["ollama"].base_url == "http://box:1/ollama"
    assert load_providers({"OLLAMA_HOST": "0.0.0.0"}).providers["ollama"].base_url == (
        "http://127.0.0.1:11434"
    )


def test_several_keys_make_a_pool_bound_to_the_providers_origin() -> None:
    env = {"OPENAI_API_KEY": "sk-a, sk-b,,sk-a", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    keyed = load_providers(env).credentials["openai"]
    assert [item.credential.secret.reveal() for item in keyed] == ["sk-a", "sk-b"]
    assert [item.credential.id for item in keyed] == ["key-1", "key-2"]
    assert {item.credential.origin for item in keyed} == {"http://127.0.0.1:9"}


@pytest.mark.parametrize("key", ["sk-a\r\nx-evil: 1", "sk a", "schlüssel"])
def test_a_key_that_could_not_stand_in_a_header_is_refused_and_not_shown(key) -> None:
    with pytest.raises(CatalogError) as caught:
        load_providers({"OPENAI_API_KEY": key})
    assert caught.value.message == "OPENAI_API_KEY must be visible ASCII without blanks."


def test_an_address_that_is_none_is_refused_by_its_variable() -> None:
    with pytest.raises(CatalogError, match="OPENAI_BASE_URL must be an absolute http"):
        load_providers({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "localhost"})


def test_the_shipped_order_puts_makers_of_models_before_those_who_resell_them() -> None:
    env = {f"{name}_API_KEY": "k" for name in ("OPENROUTER", "TOGETHER", "ANTHROPIC", "OPENAI")}
    last = ["openrouter", "openai-responses"]
    assert list(load_providers(env).providers) == ["openai", "anthropic", "together", *last]
    ordered = load_providers(env, provider_order=["together", "anthropic", "groq"])
    assert list(ordered.providers) == ["together", "anthropic", "openai", *last]


def test_openais_other_surface_comes_with_its_key_and_lists_nothing_twice() -> None:
    registry = load_providers({"OPENAI_API_KEY": "sk-x"})
    assert list(registry.providers) == ["openai", "openai-responses"]
    assert registry.providers["openai-responses"].family == "responses"
    assert registry.spoken_of() == ["openai"]
    assert list(registry.models("openai-responses")) == []
    assert list(registry.models("openai"))
    asked = [request.provider.name for request in registry.listings_due(0.0)]
    assert asked == ["openai"]
    assert registry.price("openai-responses", "gpt-4.1", 1.8e9) is not None


def test_an_order_that_names_no_provider_is_refused() -> None:
    with pytest.raises(CatalogError, match="provider_order names 'opnai'"):
        load_providers({}, provider_order=["opnai"])


# --- the operator's rows


def test_a_row_of_ones_own_starts_from_the_compatible_file() -> None:
    row = operator_row(
        {
            "name": "corp-vllm",
            "dialect": "chat",
            "base_url": "http://10.0.0.7:8000/v1",
            "credentials": [{"key": "a", "weight": 3}, {"key": "b"}],
            "models": ["llama-3"],
            "headers": {"X-Team": "one"},
            "rename": {"max_completion_tokens": "max_tokens"},
            "usage_in_stream": "unsupported",
            "on_disconnect": "drain",
        }
    )
    registry = load_providers({}, [row])
    provider = registry.providers["corp-vllm"]
    assert provider.paths["chat"] == "/chat/completions"
    assert provider.headers == {"x-team": "one"}
    assert provider.quirks.rename == {"max_completion_tokens": "max_tokens"}
    assert provider.quirks.usage_in_stream == "unsupported"
    assert provider.on_disconnect == "drain"
    assert [item.weight for item in registry.credentials["corp-vllm"]] == [3, 1]
    assert registry.declared == {"corp-vllm": ("llama-3",)}


def test_a_row_without_a_key_is_on_and_shows_none() -> None:
    registry = load_providers({}, [OperatorRow(name="mine", base_url="http://h/v1")])
    assert registry.credentials["mine"] == ()


def test_a_row_that_speaks_anthropic_starts_from_anthropics_file() -> None:
    row = OperatorRow(name="proxy", dialect="anthropic", base_url="http://h")
    provider = load_providers({}, [row]).providers["proxy"]
    assert provider.paths["chat"] == "/v1/messages"
    assert provider.headers["anthropic-version"] == "2023-06-01"


def test_a_row_with_a_built_in_name_adjusts_it_and_leaves_the_rest() -> None:
    row = operator_row(
        {
            "name": "mistral",
            "base_url": "http://h/m",
            "flavour": "plain",
            "drop": [],
            "auth": {"header": "x-key", "prefix": ""},
        }
    )
    registry = load_providers(
        {"MISTRAL_API_KEY": "env", "MISTRAL_BASE_URL": "http://other"}, [row]
    )
    provider = registry.providers["mistral"]
    assert provider.base_url == "http://h/m"
    assert provider.quirks.drop == ()
    assert provider.quirks.rename["seed"] == "random_seed"
    assert provider.auth.header == "x-key"
    assert registry.credentials["mistral"][0].credential.secret.reveal() == "env"


def test_a_built_in_row_without_any_key_stays_off() -> None:
    assert load_providers({}, [OperatorRow(name="openai", flavour="plain")]).providers == {}


def test_keys_of_a_row_replace_those_of_the_environment() -> None:
    row = operator_row({"name": "openai", "credentials": [{"key": "row"}]})
    found = load_providers({"OPENAI_API_KEY": "env"}, [row]).credentials["openai"]
    assert [item.credential.secret.reveal() for item in found] == ["row"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"name": "x"}], "x: base_url is missing"),
        ([{"name": "x/y", "base_url": "http://h"}], "'x/y' must not be empty or hold a slash"),
        ([{"name": "x", "base_url": "http://h"}] * 2, "'x' is given twice"),
        ([{"name": "openai", "dialect": "anthropic"}], "the built-in provider speaks chat"),
        (
            [{"name": "x", "base_url": "http://h", "dialect": "completions"}],
            "'completions' is not served",
        ),
        ([{"name": "x", "base_url": "h"}], "base_url must be an absolute"),
        (
            [{"name": "x", "base_url": "http://h", "credentials": [{"key": "a b"}]}],
            "x: a credential must be visible ASCII",
        ),
        ([{"name": "openai-compatible"}], "openai-compatible has no address"),
    ],
)
def test_a_row_that_cannot_work_is_refused_in_plain_words(rows, why) -> None:
    with pytest.raises(CatalogError, match=why):
        load_providers({}, [operator_row(row) for row in rows])


# --- aliases


def test_aliases_name_one_model_or_several() -> None:
    registry = load_providers({}, aliases={"fast": "groq/x", "smart": ["openai/b", "xai/d"]})
    assert registry.aliases == {"fast": ("groq/x",), "smart": ("openai/b", "xai/d")}


@pytest.mark.parametrize(
    ("aliases", "why"),
    [
        ({"a": "b", "b": "a"}, "Aliases go in a circle: a → b → a"),
        ({"a": "a"}, "circle: a → a"),
        ({"a": []}, "alias 'a' must name at least one model"),
        ({"a": ""}, "alias 'a' must name at least one model"),
    ],
)
def test_aliases_that_lead_nowhere_are_refused(aliases, why) -> None:
    with pytest.raises(CatalogError, match=why):
        load_providers({}, aliases=aliases)


@pytest.mark.parametrize(
    ("target", "hint"), [("opnai/gpt-4o", "did you mean openai"), ("zzz/x", "known: anthropic")]
)
def test_an_alias_for_a_provider_that_does_not_exist_is_refused(target, hint) -> None:
    with pytest.raises(CatalogError, match=f"The alias 'fast' names '{target}'.*; {hint}"):
        load_providers({}, aliases={"fast": ["openai/x", target]})


def test_an_alias_may_stand_for_an_id_with_a_slash_or_for_an_alias_with_one() -> None:
    env = {"GROQ_API_KEY": "gsk_" + "x" * 40}
    row = OperatorRow(name="corp", base_url="http://h", models=("acme/large",))
    said = {"a": "acme/large", "of/mine": "groq/x", "b": "of/mine", "c": "stub/x"}
    assert set(load_providers(env, [row], aliases=said).aliases) == set(said)


def test_an_alias_may_stand_for_another_twice_without_being_a_circle() -> None:
    aliases = {"a": ["b", "c"], "b": "openai/x", "c": "b"}
    assert set(load_providers({}, aliases=aliases).aliases) == {"a", "b", "c"}


STEPS: dict[Family, frozenset[str]] = {"chat": frozenset({"join_text"}), "responses": frozenset()}


@pytest.mark.parametrize(
    ("dialect", "offer"), [("chat", "join_text"), ("responses", "none"), ("ollama", "none")]
)
def test_a_step_that_the_dialect_does_not_know_is_refused_at_the_start(dialect, offer) -> None:
    row = OperatorRow(
        name="corp", dialect=dialect, base_url="http://127.0.0.1:1", steps=("joint_text",)
    )
    with pytest.raises(CatalogError, match=f"corp: there is no step 'joint_text'.*knows {offer}"):
        load_providers({}, [row], steps=STEPS)


def test_a_step_that_the_dialect_knows_is_taken() -> None:
    row = OperatorRow(name="corp", base_url="http://127.0.0.1:1", steps=("join_text",))
    provider = load_providers({}, [row], steps=STEPS).providers["corp"]
    assert provider.quirks.steps == ("join_text",)


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("chat", "/chat/completions"),
        ("responses", "/responses"),
        ("anthropic", "/v1/messages"),
        ("gemini", "/v1beta/models/{model}:generateContent"),
        ("ollama", "/api/chat"),
    ],
)
def test_a_provider_of_the_operators_own_has_the_paths_of_its_dialect(dialect, path) -> None:
    row = OperatorRow(name="corp", dialect=dialect, base_url="http://127.0.0.1:1")
    provider = load_providers({}, [row]).providers["corp"]
    assert (provider.family, provider.paths["chat"]) == (dialect, path)
