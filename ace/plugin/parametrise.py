"""Claims as parameterised tests: one for each scale of the subject that a test asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from ace.plugin.options import SCALES
from ace.plugin.session import options

Marks = Mapping[str, Sequence[pytest.MarkDecorator]]


def parametrize_claims(
    metafunc: pytest.Metafunc, subjects: Mapping[str, tuple[str, ...]], marks: Marks | None = None
) -> None:
    """Run a claim's test once for each scale of the subject fixture it asks for; its id contains the claim's id.

    Args:
        subjects: fixture name -> scales at which it exists; none where one recipe serves every scale.
        marks: scale -> marks of its tests.
    """
    marker = metafunc.definition.get_closest_marker("ace_claim")
    if marker is None:
        return
    (identifier,) = marker.args
    (subject,) = [name for name in metafunc.fixturenames if name in subjects]
    if not subjects[subject]:
        metafunc.parametrize(subject, [pytest.param(None, id=identifier)], indirect=True)
        return
    only = options(metafunc.config).scale
    scales = [scale for scale in subjects[subject] if scale == only or only is None or scale not in SCALES]
    parameters = [
        pytest.param(scale, id=f"{identifier}-{scale}", marks=(marks or {}).get(scale, ())) for scale in scales
    ]
    metafunc.parametrize(subject, parameters, indirect=True)
