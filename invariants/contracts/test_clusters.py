"""Both commands on a real Dask cluster of this machine: killed, gone on with, and with a scheduler that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ace.engine import Engine, Failed
from ace.training.sweep.recipe import read_sweep
from ace.training.sweep.run import run_sweep
from ace.training.sweep.table import read_table
from invariants.contracts.lethal import lethal
from invariants.contracts.sweeps import TOML

pytestmark = pytest.mark.slow
WEIGHTS = Path(__file__).parents[2] / "fixtures" / "weights"
SMALL = sorted(path.parent for path in WEIGHTS.glob("agreement-small-*/*/config.json"))[:2]
PATIENCE = 120.0  # seconds


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the scheduler of a cluster of two workers, which come again where they die."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def ace(*words: object) -> list[str]:
    return [sys.executable, "-m", "ace", *map(str, words)]


def sweeping(recipe: Path, table: Path, address: str) -> list[str]:
    shared = ("--engine", "dask", "--scheduler", address)
    return ace("sweep", recipe, "--out", table, "--resume", *shared, "--seconds", 0.05, "--stack", 2)


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def rows(table: Path) -> list[bytes]:
    return [line for line in table.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def recipe_in(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(TOML)
    return path


def test_a_sweep_that_is_killed_on_a_cluster_loses_and_repeats_nothing(tmp_path: Path, address: str) -> None:
    recipe, table = recipe_in(tmp_path), tmp_path / "table.jsonl"
    whole = run_sweep(read_sweep(recipe), tmp_path / "whole.jsonl", engine=Engine(workers=1))
    process = subprocess.Popen(
        sweeping(recipe, table, address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: table.exists() and len(rows(table)) > 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before, runs = rows(table), read_sweep(recipe).runs
    assert len(before) <= len(runs)
    done = subprocess.run(sweeping(recipe, table, address), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(table)[: len(before)] == before
    resumed = read_table(table)  # which refuses a run that is there twice
    assert len(resumed.outcomes) == len(runs)
    assert resumed.of(runs) == whole.of(runs)
    assert not table.with_name("table.jsonl.unfinished").exists()


def test_models_are_verified_on_a_cluster_and_not_again(tmp_path: Path, address: str) -> None:
    record, models = tmp_path / "all.json", tmp_path / "models.txt"
    models.write_text("".join(f"{path}\n" for path in SMALL))
    shared = ("--engine", "dask", "--scheduler", address, "--json", record)
    words = ("--task", "agreement", "-k", "agreement.behaviour", "-p", "no:cacheprovider")
    command = ace("verify", "--models", models, *shared, *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    found = {(row["claim"], row["subject"]) for row in json.loads(record.read_text())["results"]}
    assert {("agreement.behaviour", str(path)) for path in SMALL} <= found
    parts = {path: path.stat().st_mtime_ns for path in record.with_name("all.json.parts").iterdir()}
    assert len(parts) == 3
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == done.returncode
    assert parts == {path: path.stat().st_mtime_ns for path in record.with_name("all.json.parts").iterdir()}


def test_what_kills_workers_of_a_cluster_fails_and_stops_no_other(tmp_path: Path, address: str) -> None:
    with Engine("dask", address).open() as workers:
        found: dict[str, Any] = dict(workers.results(partial(lethal, tmp_path), ["a", "kills", "b"]))
    failed = found.pop("kills")
    assert found == {"a": "A", "b": "B"}
    assert isinstance(failed, Failed)
    assert "its worker died whenever it ran alone: KilledWorker, " in failed.error


def test_a_scheduler_that_goes_away_ends_a_sweep_that_can_be_gone_on_with(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    recipe, table, place = recipe_in(tmp_path), tmp_path / "table.jsonl", tmp_path / "scheduler.json"
    local = ("--no-dashboard", "--scheduler-file", place)
    calls = [["distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", *local]]
    calls.append(["distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--death-timeout", "30", *local])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen([sys.executable, "-m", *map(str, call)], **quiet) for call in calls]  # type: ignore[call-overload]
    try:
        end = time.monotonic() + PATIENCE
        while not place.exists() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.2)
        there = json.loads(place.read_text())["address"]
        wait_for_worker(there)
        process = subprocess.Popen(
            sweeping(recipe, table, there), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: table.exists() and len(rows(table)) > 1, process)
        started[0].send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        for one in started:
            one.kill()
            one.wait()
    assert process.returncode == 1
    assert f"ace: scheduler: expected the cluster at {there} to answer to the end, got " in said
    assert "run again, a sweep with --resume" in said
    assert "Traceback" not in said
    before = rows(table)
    resumed = run_sweep(read_sweep(recipe), table, engine=Engine(workers=1))
    assert rows(table)[: len(before)] == before
    assert len(resumed.outcomes) == len(read_sweep(recipe).runs)


def wait_for_worker(there: str) -> None:
    from distributed import Client

    with Client(there, timeout="30s", set_as_default=False) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
