"""Subject-verb agreement in causal language models."""

from ace.families.agreement.claims import CLAIMS
from ace.families.agreement.subjects import subjects
from ace.families.agreement.words import CONTROLS
from ace.families.family import Family

FAMILY = Family("agreement", CLAIMS, subjects, "ace.families.agreement.figures", controls=CONTROLS)
