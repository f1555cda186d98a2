"""The claims as tests, on really trained models."""

from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"  # recipes and weights of the project's own models
