"""The claims about any task as tests of our own runs: `pytest` in this folder."""

import ace

KNOWN = {"core.spectrum": ["UNDECIDED", "VACUOUS", "FAILS"]}  # how sharp logits are bends the operator, see README


@ace.parametrize_with_claims(["runs:subject"], select="core.*", expected=KNOWN)
def test_claim(ace_claim, ace_subject, ace_settle):
    """Every claim about any task, one test each."""
    ace_settle(ace.verify_claim(ace_claim, ace_subject))
