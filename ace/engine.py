"""Where independent pieces of work run: processes of this machine, through joblib, or a Dask cluster."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from ace.errors import AceError, EngineError, InputError, first_line

Item = TypeVar("Item")
Result = TypeVar("Result")
ENGINES = ("local", "dask")
TRIES = 2  # of an item alone, after which a worker that dies is its fault
LOOK = 5.0  # seconds of waiting for a cluster, after which is asked whether it has workers
WORKERLESS = 60.0  # seconds in which workers that died may come again
CLOSING = 2.0  # seconds for a cluster to answer that we leave it


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
        if self.kind == "local":
            yield Workers(self.workers or len(os.sched_getaffinity(0)))
            return
        try:
            from dask.distributed import Client
        except ImportError as error:
            raise InputError("engine: dask is not installed; pip install 'ace-invariants[cluster]'") from error
        try:
            client = Client(self.address, timeout="10s")
        except Exception as error:
            raise InputError(f"scheduler: expected a Dask scheduler at {self.address}: {first_line(error)}") from error
        with _quiet_end(client):
            threads = sum(client.nthreads().values())
            if not threads:
                raise InputError(f"scheduler: expected workers, got a cluster at {self.address} without any")
            yield Workers(self.workers or threads, client, self.address)


@dataclass(frozen=True)
class Failed:
    """What came of an item whose function ended in an error, or whose worker died.

    Attributes:
        error: in words.
    """

    error: str


@dataclass(frozen=True)
class Workers:
    """Processes that stand ready.

    Attributes:
        count: how many pieces run side by side.
        client: of a Dask cluster; None for processes of this machine.
        address: of the cluster's scheduler.
    """

    count: int
    client: Any = None
    address: str = ""

    def results(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """Each item with what the function makes of it, as soon as it is there, in any order.

        A worker that dies, killed by the system for want of memory for example, takes what ran beside it with it, and
        nobody can say whose fault it was. So what is left is tried again, half and half, until an item is alone: one
        that kills its worker then, on this machine twice, has failed, and so has one whose function raises an error.
        With one worker on this machine all runs in this process, and ends with it. Items and results are pickled.

        Raises:
            EngineError: the cluster does not answer any more or has no workers left, or workers cannot run it.
        """
        groups = [(list(items), 0)]
        while groups:
            group, deaths = groups.pop()
            left = dict(enumerate(group))
            try:
                for place, result in self._run(function, group):
                    yield left.pop(place), result
            except BrokenExecutor as error:
                deaths += len(group) == 1
                suspects = list(left.values())
                if len(suspects) > 1:
                    middle = len(suspects) // 2
                    groups += [(suspects[middle:], 0), (suspects[:middle], 0)]
                elif suspects and deaths < (TRIES if self.client is None else 1):  # a cluster tries several times
                    groups.append((suspects, deaths))
                elif suspects:
                    yield suspects[0], Failed(f"its worker died whenever it ran alone: {_reason(error)}")
            except AceError:
                raise
            except Exception as error:
                raise self._lost(first_line(error)) from error

    def _run(self, function: Callable[[Item], Result], items: list[Item]) -> Iterator[tuple[int, Result | Failed]]:
        """Results by places of items; ends with BrokenExecutor where a worker died."""
        if self.client is not None:
            yield from self._run_there(function, items)
            return
        from joblib import Parallel, delayed

        # Of several workers one does what is left alone, so that it does not take this process with it where it dies.
        processes = self.count if self.count == 1 else min(self.count, max(2, len(items)))
        run: Any = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)
        yield from run(delayed(_numbered)(function, place, item) for place, item in enumerate(items))

    def _run_there(self, function: Callable[[Any], Any], items: list[Any]) -> Iterator[tuple[int, Any]]:
        """On the cluster, by its own futures: joblib's backend waits for ever for what killed its worker."""
        from dask.distributed import wait
        from distributed.scheduler import KilledWorker

        with warnings.catch_warnings():
            # An item is sent with its call and not scattered before, so that no worker that dies takes it along.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            ahead = iter(enumerate(items))
            waiting = {self._submit(function, *one) for one in islice(ahead, self.count)}
            killed: Exception | None = None
            answered = time.monotonic()
            while waiting:
                try:
                    done = wait(list(waiting), timeout=LOOK, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    done = set()
                    if self.client.nthreads():
                        answered = time.monotonic()
                    elif time.monotonic() - answered > WORKERLESS:
                        raise self._lost("a cluster without any workers left") from None
                for future in done:
                    waiting.discard(future)
                    error = future.exception()
                    if error is None:
                        yield future.result()
                    elif isinstance(error, KilledWorker):
                        killed = error
                    else:
                        raise self._lost(first_line(error))
                    waiting |= {self._submit(function, *one) for one in islice(ahead, 1)}
        if killed is not None:
            raise BrokenExecutor("KilledWorker, several workers of the cluster one after another") from killed

    def _submit(self, function: Callable[[Any], Any], place: int, item: Any) -> Any:
        return self.client.submit(_numbered, function, place, item, pure=False)

    def _lost(self, came: str) -> EngineError:
        if self.client is None:
            return EngineError(f"engine: expected workers that can run this, got {came}")
        return EngineError(
            f"scheduler: expected the cluster at {self.address} to answer to the end, got {came}; what was done is"
            " stored: to go on, run again, a sweep with --resume"
        )


def _numbered(function: Callable[[Any], Any], place: int, item: Any) -> tuple[int, Any]:
    """In a worker: an error is a result, since it must not stop the others."""
    try:
        return place, function(item)
    except Exception as error:
        return place, Failed(first_line(error))


def _reason(error: Exception) -> str:
    """What a worker died of, as far as is known: its signal or exit code, or else what is said."""
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
    return codes[1] if codes else next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def _quiet_end(client: Any) -> Iterator[None]:
    """Let go of a cluster without waiting for a scheduler that is gone, and without its tracebacks."""
    try:
        yield
    finally:
        lost = client.status != "running"
        log = logging.getLogger("distributed.client")
        before, log.disabled = log.disabled, lost or log.disabled
        try:
            client.close(timeout=CLOSING)
        except Exception:  # it is gone, or will be with this process
            log.debug("the client of a cluster did not close", exc_info=True)
        finally:
            log.disabled = before
