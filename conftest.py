"""Threads and Hypothesis profiles."""

from __future__ import annotations

import os

# Read by OpenMP when torch loads. Threads that spin while they wait cost a busy two-core machine most of its time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Side by side, processes of several threads each are in each other's way: one each takes two thirds of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
