"""Recipes: the shipped one holds, mistakes are named, combinations that cannot work are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cleanse.repairs import ACTIONS, Recipe, default_recipe, read_recipe
from pipeline.config import TrainConfig
from pipeline.errors import InputError


def test_the_shipped_recipe_begins_with_the_baseline_and_its_options_are_train_settings() -> None:
    recipe = default_recipe()
    assert recipe.repairs[0].name == "none"
    assert len(recipe.repairs) == 9
    for repair in recipe.repairs:
        TrainConfig.model_validate(repair.options())


def test_every_action_has_its_name_and_says_what_it_is() -> None:
    for name, action in ACTIONS.items():
        assert action.model_fields["action"].default == name
        assert action.__doc__


def test_names_are_taken_in_the_order_asked_and_the_baseline_is_added() -> None:
    assert [each.name for each in read_recipe("harmonise, fill").repairs] == ["none", "harmonise", "fill"]


def test_an_unknown_name_is_met_with_the_closest() -> None:
    with pytest.raises(InputError, match="Did you mean 'harmonise'"):
        read_recipe("harmonize")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repairs: [{name: a, actions: [{action: paint}]}]", "actions.0"),
        ("repairs: [{name: a, actions: [{action: crop-to-lungs, margin: 3}]}]", "margin"),
        ("repairs: [{name: a, actions: [{action: harmonise}, {action: fill}]}]", "fill must come first"),
        (
            "repairs: [{name: a, actions: [{action: balance-sources}, {action: merge-duplicates}]}]",
            "two actions set sampling",
        ),
        ("repairs: [{name: a}, {name: a}]", "two repairs are named a"),
        ("repairs: [{name: none, actions: [{action: fill}]}]", "has no actions"),
        ("repairs: [{name: a, actions: [{action: drop-images, where: {}}]}]", "needs kinds"),
        ("repairs: [{name: a, actoins: []}]", "actoins"),
        ("repairs: [", "is not YAML"),
    ],
)
def test_mistakes_are_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_recipe(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(str(tmp_path / "none.yaml"))


def test_a_recipe_survives_a_round_trip() -> None:
    recipe = default_recipe()
    assert Recipe.model_validate(recipe.model_dump()) == recipe
