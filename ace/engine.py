"""Where independent pieces of work run: processes of this machine, or a Dask cluster, both through joblib."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ace.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")
ENGINES = ("local", "dask")


@dataclass(frozen=True)
class Engine:
    """Processes to share out work to.

    Attributes:
        kind: "local", processes of this machine, or "dask", the workers of a cluster.
        address: of the cluster's scheduler, such as "tcp://host:8786"; for "dask" alone.
        workers: how many pieces run side by side; None: as many as cores that this process may use, or as the cluster
            has threads.

    Raises:
        InputError: another kind, an address without a cluster or a cluster without one, or no workers.
    """

    kind: str = "local"
    address: str = ""
    workers: int | None = None

    def __post_init__(self) -> None:
        from ace.check import check_choice, check_count  # with torch, which a text of help needs not

        check_choice("engine", self.kind, ENGINES)
        if bool(self.address) != (self.kind == "dask"):
            raise InputError(
                "scheduler: expected the address of a cluster's scheduler, such as tcp://host:8786, with engine dask"
                f" and only there, got {self.address!r} with {self.kind!r}"
            )
        if self.workers is not None:
            check_count("workers", self.workers)

    @contextmanager
    def open(self) -> Iterator[Workers]:
        """Connect, and let go at the end.

        Raises:
            InputError: a cluster without dask on this machine, or that does not answer, or without workers.
        """
        from joblib import parallel_config

        if self.kind == "local":
            yield Workers(self.workers or len(os.sched_getaffinity(0)))
            return
        try:
            from dask.distributed import Client
        except ImportError as error:
            raise InputError("engine: dask is not installed; pip install 'ace-invariants[cluster]'") from error
        try:
            client = Client(self.address, timeout="10s")
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise InputError(f"scheduler: expected a Dask scheduler at {self.address}: {error}") from error
        with client:
            threads = sum(client.nthreads().values())
            if not threads:
                raise InputError(f"scheduler: expected workers, got a cluster at {self.address} without any")
            with parallel_config(backend="dask", client=client):
                yield Workers(self.workers or threads)


@dataclass(frozen=True)
class Workers:
    """Processes that stand ready.

    Attributes:
        count: how many pieces run side by side.
    """

    count: int

    def results(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Each item with what the function makes of it, as soon as it is there, in any order.

        One alone runs in this process where no cluster was asked for. Items and results are pickled.
        """
        from joblib import Parallel, delayed

        listed = list(items)
        run: Any = Parallel(n_jobs=min(self.count, max(1, len(listed))), return_as="generator_unordered", batch_size=1)
        for place, result in run(delayed(_numbered)(function, place, item) for place, item in enumerate(listed)):
            yield listed[place], result


def _numbered(function: Callable[[Any], Any], place: int, item: Any) -> tuple[int, Any]:
    return place, function(item)
