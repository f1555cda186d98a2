"""Transformers trained on observed Markov chains."""

from ace.families.family import Family
from ace.families.markov.claims import CLAIMS
from ace.families.markov.subjects import subjects
from ace.families.markov.words import CONTROLS

FAMILY = Family("markov", CLAIMS, subjects, "ace.families.markov.figure", controls=CONTROLS)
