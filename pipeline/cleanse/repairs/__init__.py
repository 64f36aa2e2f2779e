"""Repairs: named lists of class-blind actions that take a shortcut away from data, pictures or training."""

from pipeline.cleanse.repairs.action import Action, Bench, DataAction, PixelAction, TrainingAction, Transform
from pipeline.cleanse.repairs.fill import Control, Fill, swapped
from pipeline.cleanse.repairs.prepare import Prepared, prepare
from pipeline.cleanse.repairs.recipe import ACTIONS, BASELINE, Recipe, Repair, default_recipe, read_recipe
from pipeline.cleanse.repairs.select import only

__all__ = [
    "ACTIONS",
    "BASELINE",
    "Action",
    "Bench",
    "Control",
    "DataAction",
    "Fill",
    "PixelAction",
    "Prepared",
    "Recipe",
    "Repair",
    "TrainingAction",
    "Transform",
    "default_recipe",
    "only",
    "prepare",
    "read_recipe",
    "swapped",
]
