"""What the paper claims of any task: for anyone's own training runs."""

from ace.families.core.claims import CLAIMS
from ace.families.family import Family

FAMILY = Family("core", CLAIMS)
