"""LiteLLM's ``config.yaml``: its models with their keys, prices and weights, its router, what else it says.

A ``model_name`` becomes an alias, or a route where several deployments share it; ``os.environ/NAME``
becomes ``${NAME}``; a key that stands in the file is asked for by a variable. What a deployment or a
section says beyond that is told with its place, unless it means what happens here anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from dragoman.catalog.files import definitions
from dragoman.core.errors import invalid
from dragoman.moving.draft import Account, Deployment, Draft, named_apart, same_host
from dragoman.moving.kinds import LIKE_OPENAI, OURS, maker_of_bare, why_not
from dragoman.moving.litellm_sections import read_sections
from dragoman.moving.source import Place, Source
from dragoman.moving.values import (
    UNFIT_ADDRESS,
    as_list,
    as_table,
    as_text,
    as_weight,
    is_fit_address,
    own_kind,
)

_MILLION = Decimal(1_000_000)
_FROM_ENV = "os.environ/"
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
_READ = frozenset(
    {"model", "api_key", "api_base", "base_url", "custom_llm_provider", "weight", "order"}
)
_REASONS = {
    "rpm": "what a provider lets through is learnt from its own headers; [tiers] limit callers",
    "tpm": "what a provider lets through is learnt from its own headers; [tiers] limit callers",
    "max_parallel_requests": "calls to one deployment are not counted; [tiers] limit callers",
    "timeout": "times are one for all models: FIRST_EVENT_TIMEOUT_MS, or a call's x-dragoman-timeout-ms",
    "stream_timeout": "times are one for all models: FIRST_EVENT_TIMEOUT_MS, STREAM_IDLE_TIMEOUT_MS",
    "num_retries": "retries are one for all models: MAX_RETRIES",
    "max_retries": "retries are one for all models: MAX_RETRIES",
    "drop_params": "what a target cannot take is dropped and told in x-dragoman-dropped; nothing to set",
    "additional_drop_params": "say drop = [...] in the row of a provider of your own",
    "extra_headers": "say headers = { … } in the provider's row",
    "organization": "a provider's key belongs to one organisation; OpenAI-Organization is not sent",
    "tags": "routing by tags is not there: give the deployments names of their own",
    "mock_response": "dragoman mock answers without a provider",
}
_INFO = frozenset({"id", "mode", "base_model", "description"})


def read_litellm(source: Source) -> Draft:
    """The draft of a configuration.

    Raises:
        CallerError: the file is no configuration of LiteLLM's.
    """
    return named_apart(source, _read)


def _read(draft: Draft) -> None:
    config = draft.source.data
    if not isinstance(config, dict):
        raise invalid("This is no configuration of LiteLLM's: it has no model_list.")
    models = config.get("model_list")
    if not isinstance(models, list) and not config.keys() & {
        "router_settings",
        "litellm_settings",
    }:
        raise invalid("This is no configuration of LiteLLM's: it has no model_list.")
    for number, entry in enumerate(as_list(models)):
        _read_model(entry, ("model_list", number), draft)
    read_sections(config, draft)


def _read_model(entry: Any, place: Place, draft: Draft) -> None:
    entry = as_table(entry)
    name = as_text(entry.get("model_name"))
    params = as_table(entry.get("litellm_params"))
    model = as_text(params.get("model"))
    inside = (*place, "litellm_params")
    if not name or not model:
        draft.miss(place, "it needs a model_name and litellm_params.model")
        return
    kind, model = _kind(params, model)
    if kind is None:
        draft.miss(
            (*inside, "model"), f"whose model {model!r} is cannot be told: say provider/{model}"
        )
        return
    account = _account(kind, params, inside, draft)
    if account is None:
        return
    if "*" in name or "*" in model:
        _wildcard(name, model, account, (*place, "model_name"), draft)
        return
    draft.deployments.append(
        Deployment(name, account, model, _weight(params, inside, draft), _order(params))
    )
    info = as_table(entry.get("model_info"))
    if price := _price(params, info, inside, draft):
        draft.prices[account, model] = price
    for member in params:
        if member not in _READ and member not in _PRICES:
            reason = _REASONS.get(member, "a deployment has nothing like it here")
            draft.miss((*inside, member), reason)
    for member in info:
        if member not in _INFO and member not in _PRICES:
            draft.miss(
                (*place, "model_info", member), "what models can do is told by the catalogue"
            )
    for member in entry:
        if member not in {"model_name", "litellm_params", "model_info"}:
            draft.miss((*place, member), "an entry of model_list has nothing like it here")


def _kind(params: Mapping[str, Any], model: str) -> tuple[str | None, str]:
    """Whose model it is, in LiteLLM's words, and what that one calls it."""
    said = as_text(params.get("custom_llm_provider"))
    head, slash, tail = model.partition("/")
    if said:
        return said, tail if slash and head == said else model
    if slash and (head in OURS or head in LIKE_OPENAI):
        return head, tail
    if slash and params.get("api_base") is None and head.islower():
        return head, tail
    if slash and head in {"azure", "bedrock", "vertex_ai"}:
        return head, tail
    return maker_of_bare(model) or ("openai" if params.get("api_base") else None), model


def _account(kind: str, params: Mapping[str, Any], place: Place, draft: Draft) -> Account | None:
    ours = OURS.get(kind)
    if ours is None and kind not in LIKE_OPENAI:
        draft.miss((*place, "model"), why_not(kind))
        return None
    member = "api_base" if params.get("api_base") is not None else "base_url"
    base = _address(params.get(member), (*place, member), draft)
    if base is not None and not is_fit_address(base):
        draft.miss((*place, member), UNFIT_ADDRESS)
        return None
    key = _key(params.get("api_key"), kind, (*place, "api_key"), draft)
    if ours is not None and key is None and ours != "ollama" and base is None:
        key = draft.need(definitions()[ours].env.key[0], f"the key of {ours}")
    if ours is not None and (base is None or same_host(base, ours)):
        return Account(ours, key=key)
    if base is None:
        draft.miss((*place, "model"), f"{kind} has no address: say its api_base")
        return None
    if ours == "ollama":
        return Account("ollama", base_url=base, key=key)
    if ours not in {None, "openai"}:
        return Account(str(ours), definitions()[str(ours)].family, base, key)
    return Account(own_kind(base, kind), "chat", base, key)


def _address(said: Any, place: Place, draft: Draft) -> str | None:
    text = as_text(said)
    if not text:
        return None
    if text.startswith(_FROM_ENV):
        name = draft.need(
            text.removeprefix(_FROM_ENV), f"the address at {draft.source.told(place)}"
        )
        return f"${{{name}}}"
    return text


def _key(said: Any, kind: str, place: Place, draft: Draft) -> str | None:
    text = as_text(said)
    if not text or text.lower() in {"none", "fake-key", "dummy", "empty", "sk-1234", "anything"}:
        return None
    if text.startswith(_FROM_ENV):
        return draft.need(text.removeprefix(_FROM_ENV), f"the key at {draft.source.told(place)}")
    return draft.variable_for(text, f"{OURS.get(kind, kind)}_API_KEY", place)


def _wildcard(name: str, model: str, account: Account, place: Place, draft: Draft) -> None:
    """Every model of a provider can be asked for here as provider/model; only other names are lost."""
    draft.providers_alone.append(account)
    if name not in {model, f"{account.kind}/*", f"{account.kind}/{model}"}:
        draft.miss(
            place,
            f"names that stand for many are not there: callers say {account.kind}/ and the model's id",
        )


def _weight(params: Mapping[str, Any], place: Place, draft: Draft) -> int:
    weight = as_weight(params.get("weight"))
    if weight is None:
        draft.miss((*place, "weight"), "a weight is a number above 0; this deployment has 1 now")
    return weight or 1


def _order(params: Mapping[str, Any]) -> int:
    said = params.get("order")
    return said if isinstance(said, int) and not isinstance(said, bool) else 0


def _price(
    params: Mapping[str, Any], info: Mapping[str, Any], place: Place, draft: Draft
) -> dict[str, str]:
    found: dict[str, str] = {}
    for theirs, ours in _PRICES.items():
        said = params.get(theirs, info.get(theirs))
        if said is None:
            continue
        try:
            amount = Decimal(str(said)) * _MILLION
        except InvalidOperation:
            amount = Decimal(-1)
        if amount.is_finite() and amount >= 0:
            found[ours] = f"{amount.normalize():f}"
        else:
            draft.miss((*place, theirs), "a price is a number that is not below 0")
    return found
