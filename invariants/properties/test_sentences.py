"""Where sentences of open text end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ace.tasks.sentences import sentence_ends


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", 0),
        ("The keys are here", 0),
        ("The keys are here.", 0),
        ("The keys are here. They", 1),
        ('"Are they here?" she said. They are 3.5 metres off! And', 3),
        ("Mr. Smith is late, e.g. today. He", 1),
        ("J. Smith is late. He", 1),
        ("A title\n\nA line\n\n", 2),
    ],
)
def test_marks_and_empty_lines_end_sentences_and_abbreviations_do_not(text: str, ends: int) -> None:
    assert sentence_ends(text) == ends


@given(st.text(), st.text())
def test_more_text_ends_no_fewer_sentences(first: str, second: str) -> None:
    assert sentence_ends(first + " " + second) >= sentence_ends(first)
