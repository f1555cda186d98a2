"""Kill -9 at any moment: a sweep, an ensemble and a language training go on to what they come to uninterrupted.

`KILLS=100 pytest invariants/contracts/test_kills.py -rP` shares a hundred kills among the three, in twenty minutes.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from ace.errors import ArtifactError
from invariants.contracts.processes import processes
from invariants.contracts.trainings_to_kill import EnsembleWork, LanguageWork, Progress, SweepWork, Work

KINDS: tuple[type[Work], ...] = (SweepWork, EnsembleWork, LanguageWork)
KILLS = int(os.environ.get("KILLS", "6"))  # of all three together
PATIENCE = 120.0  # seconds; whoever waits longer gives up, so that nothing hangs
DELAY = 0.5  # seconds after a process stored something within which it is killed

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9; this system has none")


def share(place: int) -> int:
    """How many of the kills fall to one of the three, two at least: one to interrupt it, one what goes on."""
    return max(2, KILLS // len(KINDS) + (place < KILLS % len(KINDS)))


def at_work(work: Work, folder: Path, process: subprocess.Popen[str], before: object) -> bool:
    """Wait until this very process has stored something; False where it came to its end meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while work.shown(folder) == before:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "it never stored anything"
        time.sleep(0.005)
    return True


def first_stored(work: Work, folder: Path) -> Progress:
    """How far the work had come at its process's first look back; files come and go while it is at work."""
    for _ in range(20):
        try:
            return work.progress(folder)
        except ArtifactError:
            continue
    raise AssertionError("what is stored can never be read")


def killed(work: Work, folder: Path, delay: float, reached: Progress) -> bool:
    """Run a process, kill it at work; False where it came to its end by itself, and well."""
    before = work.shown(folder)
    with processes(work.words(folder), 1, PATIENCE) as (process,):
        if at_work(work, folder, process, before):
            kept(reached, first_stored(work, folder))  # what begins anew would be behind now, and ahead again later
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode != 0


def kept(before: Progress, after: Progress) -> None:
    assert all(after.get(part, 0.0) >= reached for part, reached in before.items()), (before, after)


def grown(before: Progress, after: Progress) -> bool:
    """Whether no part of the work was thrown back and some part came farther."""
    kept(before, after)
    return any(reached > before.get(part, 0.0) for part, reached in after.items())


def resumed(before: Progress, after: Progress) -> bool:
    """Whether some part went on from midway."""
    return any(0.0 < reached < min(after[part], math.inf) for part, reached in before.items())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_killed_at_work_goes_on_to_what_an_uninterrupted_one_comes_to(kind: type[Work], tmp_path: Path) -> None:
    work, kills = kind(), share(KINDS.index(kind))
    generator = torch.Generator().manual_seed(KILLS)
    (tmp_path / "whole").mkdir()
    whole = work.uninterrupted(tmp_path / "whole")
    done, midway, rounds = 0, 0, 0
    while done < kills:
        rounds += 1
        folder = tmp_path / str(rounds)
        folder.mkdir()
        reached: Progress = {}
        in_this_round = 0
        while done < kills:
            delay = DELAY * float(torch.rand((), generator=generator))
            if not killed(work, folder, delay, reached):
                break
            done += 1
            in_this_round += 1
            now = work.progress(folder)
            assert grown(reached, now), f"kill {done} found nothing new: {now}"
            midway += resumed(reached, now)
            reached = now
        assert in_this_round, "the work was done before it could be killed"
        if done == kills:
            with processes(work.words(folder), 1, PATIENCE) as (last,):
                output, _ = last.communicate(timeout=PATIENCE)
                assert last.returncode == 0, output
        assert work.result(folder) == whole
    print(  # noqa: T201 shown with -s and -rP
        f"{kind.__name__}: {done} kills, {midway} of which struck what had gone on from midway; {rounds} trainings"
    )
    assert midway
