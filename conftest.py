"""Threads and Hypothesis profiles."""

from __future__ import annotations

import os
import sys

# Read by OpenMP when torch loads. The project's own models gain nothing from a second thread: waiting for it costs more
# than it does, in one process and all the more in several side by side. Training and larger models do.
USES_THREADS = ("retrain", "model", "subject")
if not any(f"ACE_{name.upper()}" in os.environ or f"--ace-{name}" in " ".join(sys.argv) for name in USES_THREADS):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if "ACE_MODEL" not in os.environ and "--ace-model" not in " ".join(sys.argv):
    # Threads that spin while they wait cost a busy two-core machine most of its time; large models hardly wait.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
# Where it is only asked whether a property holds: no smaller example of one that does not, which takes minutes to find.
settings.register_profile("outcomes", settings.get_profile("quick"), phases=(Phase.explicit, Phase.generate))
# A derandomized profile draws the same examples whatever `--hypothesis-seed` says.
settings.register_profile("varied", max_examples=25, deadline=None, database=None)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
