"""The suite on the project's trained models, or on whatever the command line names."""

from __future__ import annotations

import pytest

from ace.suite.test_claims import test_claim

__all__ = ["test_claim"]

pytestmark = pytest.mark.claim
