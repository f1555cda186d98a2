"""Transformers trained on observed Markov chains."""

from ace.families.family import Family
from ace.families.markov.claims import CLAIMS
from ace.families.markov.subjects import subjects

FAMILY = Family("markov", CLAIMS, subjects, "ace.families.markov.figure")
