"""An operator's route is read strictly, and is a name like any other."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.routes import Leg, NamedRoute, read_ranks, read_routes
from dragoman.catalog.schema import CatalogError

ENV = {"OPENAI_API_KEY": "k"}


def test_a_route_has_legs_a_strategy_and_weights() -> None:
    found = read_routes(
        {
            "smart": {
                "strategy": "weighted",
                "candidates": ["openai/a", {"model": "b", "weight": 3}],
            },
            "plain": {"candidates": ["openai/a"]},
        }
    )
    assert found["smart"] == NamedRoute("weighted", (Leg("openai/a"), Leg("b", 3)))
    assert found["plain"].strategy is None
    registry = load_providers(ENV, aliases={"x": "smart"}, routes=found)
    assert registry.aliases["smart"] == ("openai/a", "b")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"candidate": ["a"]}, "candidates"),
        ({"candidates": []}, "at least one model"),
        ({"candidates": [""]}, "candidate 1 names no model"),
        ({"candidates": [7]}, "candidate 1 must be a model or"),
        ({"candidates": [{"model": "a", "wieght": 2}]}, "weight"),
        ({"candidates": [{"model": "a", "weight": 0}]}, "from 1 to 1000000, not 0"),
        ({"candidates": ["a", "b", "a"]}, "names a twice"),
        ({"candidates": ["a"], "strategy": "least-bussy"}, "did you mean least-busy?"),
        ({"candidates": ["a"], "strategy": "xyz"}, "say one of cost"),
    ],
)
def test_what_is_wrong_is_named(table, said) -> None:
    with pytest.raises(CatalogError) as caught:
        read_routes({"r": table})
    assert said in caught.value.message
    assert "[routes.r]" in caught.value.message


def test_a_name_is_a_route_or_an_alias_and_goes_somewhere() -> None:
    routes = read_routes({"r": {"candidates": ["openai/a"]}})
    with pytest.raises(CatalogError, match="has the name of a route"):
        load_providers(ENV, aliases={"r": "openai/b"}, routes=routes)
    with pytest.raises(CatalogError, match="no provider"):
        load_providers(ENV, routes=read_routes({"r": {"candidates": ["opnai/a"]}}))
    with pytest.raises(CatalogError, match="which is everything"):
        load_providers(ENV, routes=read_routes({"r": {"candidates": ["auto"]}}))
    with pytest.raises(CatalogError, match="circle"):
        load_providers(ENV, routes=read_routes({"r": {"candidates": ["r"]}}))


@pytest.mark.parametrize("rank", [-1, 101, "9", 5.5, True])
def test_a_rank_is_a_whole_number(rank) -> None:
    with pytest.raises(CatalogError, match="the rank of m must be a whole number"):
        read_ranks({"m": rank})
    assert read_ranks({"m": 100}) == {"m": 100}
