"""The pytest plugin: options, marker, fixtures, outcomes, terminal table.

It leaves tests alone that are not about claims: their selection, order, distribution and outcome are pytest's. At
start-up it imports the standard library and pytest only.
"""

from __future__ import annotations

from ace.plugin.hooks import (
    ace_claim,
    ace_extractor,
    ace_settle,
    pytest_addoption,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_deselected,
    pytest_load_initial_conftests,
    pytest_report_collectionfinish,
    pytest_report_header,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from ace.plugin.options import Options
from ace.plugin.session import SESSION, options, refuse
from ace.plugin.subjects import pytest_generate_tests, pytest_runtest_teardown, subjects_of_run
from ace.plugin.workers import (
    pytest_configure_node,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
)

__all__ = [
    "SESSION",
    "Options",
    "ace_claim",
    "ace_extractor",
    "ace_settle",
    "options",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_deselected",
    "pytest_generate_tests",
    "pytest_load_initial_conftests",
    "pytest_report_collectionfinish",
    "pytest_report_header",
    "pytest_runtest_makereport",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
    "refuse",
    "subjects_of_run",
]
