"""The delay between memorising and generalising, in sweeps over weight decay and modulus."""

from ace.families.family import Family
from ace.families.grokking_law.claims import CLAIMS
from ace.families.grokking_law.subjects import subjects
from ace.families.grokking_law.words import CONTROLS

FAMILY = Family("grokking_law", CLAIMS, subjects, "ace.families.grokking_law.figure", controls=CONTROLS)
