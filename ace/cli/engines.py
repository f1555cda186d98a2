"""What the actions that share out work have in common: the engine, and how it is asked for."""

from __future__ import annotations

import argparse

from ace.engine import ENGINES, Engine

ARGUMENTS = ("engine", "scheduler", "workers")


def add_engine_arguments(parser: argparse._ActionsContainer, local: str = "one a core") -> None:
    """Where work runs, and how much of it side by side; None where nothing is said.

    Args:
        local: how many by default on this machine, in words.
    """
    parser.add_argument("--engine", choices=ENGINES, help=f"where it runs (default {ENGINES[0]})")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://host:8786")
    parser.add_argument("--workers", type=int, help=f"side by side; by default {local}, or one a thread of the cluster")


def asked_engine(chosen: argparse.Namespace, local: int | None = None) -> Engine:
    """The engine that the arguments ask for.

    Args:
        local: workers of this machine where none are asked for; None: one a core.

    Raises:
        InputError: an address without a cluster or a cluster without one, or no workers.
    """
    kind = chosen.engine or ENGINES[0]
    workers = local if chosen.workers is None and kind == ENGINES[0] else chosen.workers
    return Engine(kind, chosen.scheduler or "", workers)
