"""Transformers trained on a hidden Markov process."""

from ace.families.family import Family
from ace.families.hidden_markov.claims import CLAIMS
from ace.families.hidden_markov.subjects import subjects

FAMILY = Family("hidden_markov", CLAIMS, subjects)
