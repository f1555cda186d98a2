"""Transformers trained on a hidden Markov process."""

from ace.families.family import Family
from ace.families.hidden_markov.claims import CLAIMS
from ace.families.hidden_markov.subjects import subjects
from ace.families.hidden_markov.words import CONTROLS

FAMILY = Family("hidden_markov", CLAIMS, subjects, controls=CONTROLS)
