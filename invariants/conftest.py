"""What tests of the project share: its own subjects, and the device that some of them need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ace.plugin import subjects_of_run
from ace.study.subject import LazySubject


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m claim` nothing but the suite is imported: no other test has that mark, and there are thousands."""
    others = collection_path.suffix == ".py" and collection_path.name != "test_claims.py"
    return True if others and config.getoption("markexpr") == "claim" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need a CUDA device, with the reason, where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device; torch sees none")


@pytest.fixture(scope="session")
def subjects(request: pytest.FixtureRequest) -> Mapping[str, LazySubject]:
    """The subjects of the run by name; the project's own unless the command line names others."""
    return {subject.name: subject for subject in subjects_of_run(request.config)}
