"""Transformers trained on modular addition, before, at and after grokking."""

from ace.families.family import Family
from ace.families.modular_addition.claims import CLAIMS
from ace.families.modular_addition.subjects import subjects
from ace.families.modular_addition.words import CONTROLS

FAMILY = Family("modular_addition", CLAIMS, subjects, "ace.families.modular_addition.figure", controls=CONTROLS)
