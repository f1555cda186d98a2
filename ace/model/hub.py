"""Why a model or tokenizer could not be had, in words of our own where it would have come from the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ace.errors import first_line


def why_not_loaded(name: str | Path, error: Exception) -> str:
    """What was wrong with a folder, or what the hub said of a name that no folder has."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if Path(name).exists():
        return first_line(error)
    unreached = (
        "the hub is not asked under HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "the hub could not be reached"
    )
    known: tuple[tuple[type[Exception], str], ...] = (  # the special ones first: a gated repository is one not found
        (GatedRepoError, "the hub gives it only to those who asked for access"),
        (RevisionNotFoundError, "the hub has no such revision"),
        (RepositoryNotFoundError, "the hub has no model of that name"),
        (HFValidationError, "it cannot be the name of one on the hub"),
        (OfflineModeIsEnabled, unreached),
        (LocalEntryNotFoundError, unreached),
    )
    causes = tuple(_causes(error))
    for kind, words in known:
        if any(isinstance(cause, kind) for cause in causes):
            return f"no folder of that name, and {words}"
    return first_line(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
