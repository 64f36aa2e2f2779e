"""A recipe: named repairs, each a list of actions; read from YAML and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline import plain_yaml
from pipeline.cleanse.repairs.action import Action, TrainingAction
from pipeline.cleanse.repairs.fill import Control, Fill
from pipeline.cleanse.repairs.harmonise import Harmonise
from pipeline.cleanse.repairs.lungs import BlackOutOutsideLungs, CropToLungs
from pipeline.cleanse.repairs.select import DropDuplicates, DropImages
from pipeline.cleanse.repairs.training import BalanceSources, MergeDuplicates, RandomiseMarks
from pipeline.errors import InputError, did_you_mean

BASELINE = "none"
"""The repair without actions, that every other one is compared with."""

AnyAction = Annotated[
    Fill
    | Control
    | CropToLungs
    | BlackOutOutsideLungs
    | DropImages
    | DropDuplicates
    | MergeDuplicates
    | BalanceSources
    | RandomiseMarks
    | Harmonise,
    Field(discriminator="action"),
]
ACTIONS: dict[str, type[Action]] = {
    each.model_fields["action"].default: each
    for each in (
        *(Fill, Control, CropToLungs, BlackOutOutsideLungs, DropImages),
        *(DropDuplicates, MergeDuplicates, BalanceSources, RandomiseMarks, Harmonise),
    )
}
"""Every action by its name."""


class Repair(BaseModel):
    """Actions under one name, applied in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]*$")
    actions: tuple[AnyAction, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        late = [each.action for each in self.actions[1:] if isinstance(each, Fill | Control)]
        if late:
            raise ValueError(f"{self.name}: {late[0]} must come first, for the plan's boxes are those of the raw data")
        settings = [name for each in self.actions if isinstance(each, TrainingAction) for name in each.options()]
        twice = sorted({name for name in settings if settings.count(name) > 1})
        if twice:
            raise ValueError(f"{self.name}: two actions set {', '.join(twice)} of the training; keep one of them")
        return self

    def options(self) -> dict[str, Any]:
        """Fields of `pipeline.config.TrainConfig` that its actions set."""
        return {
            name: value
            for each in self.actions
            if isinstance(each, TrainingAction)
            for name, value in each.options().items()
        }


class Recipe(BaseModel):
    """The repairs of one comparison, the baseline first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repairs: tuple[Repair, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [each.name for each in self.repairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two repairs are named {', '.join(twice)}")
        if any(each.actions for each in self.repairs if each.name == BASELINE):
            raise ValueError(f"the repair {BASELINE!r} is what the others are compared with and has no actions")
        return self

    def with_baseline(self) -> Recipe:
        """The same with the baseline first, added where it is missing."""
        others = tuple(each for each in self.repairs if each.name != BASELINE)
        return Recipe(repairs=(Repair(name=BASELINE), *others))

    def chosen(self, names: Iterable[str]) -> Recipe:
        """The repairs of these names, in this order.

        Raises:
            InputError: there is no such repair.
        """
        known = {each.name: each for each in self.repairs}
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in known:
                raise InputError(f"There is no repair {name!r}. {did_you_mean(name, known)}")
        return Recipe(repairs=tuple(known[name] for name in wanted))


def default_recipe() -> Recipe:
    """The recipe that is shipped: default.yaml beside this file."""
    text = resources.files("pipeline.cleanse.repairs").joinpath("default.yaml").read_text(encoding="utf-8")
    return _parsed(text, "default.yaml")


def read_recipe(asked: str | None) -> Recipe:
    """The recipe in a YAML file, some of the shipped repairs by name, or all of them.

    Args:
        asked: path of a file, names joined by commas, or None.

    Raises:
        InputError: no such file or name, or a file that is not a recipe; says what is wrong where.
    """
    if asked is None:
        return default_recipe().with_baseline()
    path = Path(asked)
    if path.suffix in (".yaml", ".yml"):
        try:
            return _parsed(path.read_text(encoding="utf-8"), asked).with_baseline()
        except OSError as error:
            raise InputError(f"{asked} cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{asked} is not UTF-8 ({error.reason}). Save it as UTF-8.") from error
    return default_recipe().chosen(name.strip() for name in asked.split(",") if name.strip()).with_baseline()


def _parsed(text: str, name: str) -> Recipe:
    try:
        return Recipe.model_validate(plain_yaml.load(text))
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'recipe'}: {each['msg']}" for each in error.errors())
        raise InputError(f"{name} is not a recipe of repairs: {wrong}. Actions: {', '.join(ACTIONS)}.") from error
