"""The four trained models as a subject: `pytest --pyargs ace.suite --ace-subject runs:subject`."""

from __future__ import annotations

from pathlib import Path

from models import INNER, KINDS, fresh
from safetensors.torch import load_file
from task import BracketDepth
from torch import nn
from train import STEPS, WEIGHTS, main

import ace


def load(index: int, folder: Path) -> nn.Module:
    """One model with its stored weights."""
    model = fresh(index)
    model.load_state_dict(load_file(folder / f"{index}.safetensors"))
    return model


def models(folder: Path = WEIGHTS, steps: int = STEPS) -> list[nn.Module]:
    """The trained models: loaded, or trained where there are no weights."""
    main(folder, steps)
    return [load(index, folder) for index in range(len(KINDS))]


def subject(folder: Path = WEIGHTS, steps: int = STEPS) -> ace.Subject[ace.TokenStudy]:
    """The models read below their last layer: one name of a module serves all."""
    trained = models(folder, steps)
    return ace.runs_subject("bracket-depth", trained, BracketDepth(), sites="readout", untrained=fresh)


def inner(folder: Path = WEIGHTS, steps: int = STEPS) -> ace.Subject[ace.TokenStudy]:
    """The same models read halfway up, where more than a linear layer follows: at a place of its own in each kind."""
    trained, sites = models(folder, steps), [INNER[kind] for kind in KINDS]
    return ace.runs_subject("bracket-depth-inner", trained, BracketDepth(), sites=sites, untrained=fresh)
