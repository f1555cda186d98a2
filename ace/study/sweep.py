"""The outcomes of a sweep, studied: delays of its parts, and the subject that claims speak about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ace.errors import Inapplicable
from ace.study.delays import Delays, delays_of, missing, settled
from ace.study.memory import Memory
from ace.study.subject import Subject
from ace.training.sweep.recipe import SweepRecipe, read_sweep
from ace.training.sweep.table import SweepTable, table_of

FEWEST = 0.5  # share of a sweep's runs that must generalise for its delays to be spoken of


@dataclass(frozen=True)
class SweepStudy:
    """A sweep with what came of its runs.

    Attributes:
        sweep: what was to be trained.
        table: outcomes so far.
    """

    sweep: SweepRecipe
    table: SweepTable

    @property
    def site(self) -> str:
        """Nothing inside a model is read."""
        return "trainings"

    def require_behaviour(self, name: str) -> None:
        """Raise `Inapplicable` where fewer than half of the runs with weight decay generalise, of settled settings."""
        outcomes = {o.run: o for part in self.sweep.parts.values() for o in settled(self.table, part)[0]}
        told = [o for o in outcomes.values() if o.run.weight_decay > 0 and not o.error]
        grown = sum(outcome.generalised is not None for outcome in told)
        if not told or grown < FEWEST * len(told):
            raise Inapplicable(f"{name}: expected half of the runs to generalise, got {grown} of {len(told)}")

    def delays(self, part: str) -> Delays:
        """Delays of a part.

        Raises:
            Inapplicable: the sweep has no such part, or none of its settings is trained to its end and memorised.
        """
        if part not in self.sweep.parts:
            raise Inapplicable(f"{self.sweep.name} has no part {part!r}; it has {', '.join(self.sweep.parts)}")
        return delays_of(self.table, self.sweep.parts[part])

    @property
    def progress(self) -> str:
        """How much of the sweep was trained, in words."""
        runs = self.sweep.runs
        open_runs = len(missing(self.table, list(self.sweep.parts.values())))
        return f"{len(runs) - open_runs} of {len(runs)} runs"


class SweepSubject(Subject[SweepStudy]):
    """A sweep that claims speak about."""


def subject_of(sweep: SweepRecipe, table: SweepTable, *, rerun: str = "", memory: Memory | None = None) -> SweepSubject:
    """A sweep and what came of its runs as a subject."""
    return SweepSubject(sweep.name, "law", SweepStudy(sweep, table), rerun=rerun, memory=memory or Memory())


def sweep_subject(recipe: str | Path, table: str | Path, *, rerun: str = "") -> SweepSubject:
    """A sweep of one's own as a subject of the claims `law.*`.

    Claims look for parts by name: "decays" and "moduli", "decays-own-split" and "moduli-own-split" with a deal of the
    pairs a seed, and the controls' parts; a claim whose parts are not there is inapplicable.

    Args:
        recipe: TOML file of the sweep.
        table: what came of its runs, JSON lines, as `ace sweep` writes them; delays are in optimiser steps.
        rerun: the command that verifies again, with `{claim}` in the claim's place, for reports.

    Returns:
        The subject, named after the recipe's file.

    Raises:
        AceError: a file that cannot be read, or is no recipe, or no table of its outcomes.
    """
    sweep = read_sweep(Path(recipe))
    return subject_of(sweep, table_of(Path(table), sweep), rerun=rerun)
