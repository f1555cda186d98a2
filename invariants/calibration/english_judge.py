"""python -m invariants.calibration.english_judge: how often the judge of English copulas is right.

`english_copulas.tsv` has texts with answers by hand. Behind each copula stands the number of its subject in brackets: s
singular, p plural, with * where the subject is the prompt's own, and ? where a reader cannot tell, or English has both
verbs. Its parts:

- "written tuned": written by hand; the rules were made with these in view.
- "written held out": written at the same time, before the rules, and put aside by chance, near twins together.
- "generated clean", "generated flipped": by SmolLM2-135M (Apache-2.0), 50 tokens sampled after prompts of the
  evaluation split, without an edit and with its axis of number mirrored; answered before the judge was asked.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ace.stats import Estimate, proportion
from ace.tasks.english_judge import Copula, find_copulas
from ace.tasks.fragment.words import PLURAL, SINGULAR

DATA = Path(__file__).with_name("english_copulas.tsv")
TUNED, HELD_OUT, CLEAN, FLIPPED = "written tuned", "written held out", "generated clean", "generated flipped"
PARTS = {TUNED: (TUNED,), HELD_OUT: (HELD_OUT,), CLEAN: (CLEAN,), FLIPPED: (FLIPPED,), "generated": (CLEAN, FLIPPED)}
_NUMBERS = {"s": SINGULAR, "p": PLURAL, "": None, "?": None}
_MARK = re.compile(r"\[([sp?])(\*?)\]")
_VERB = re.compile(r"[A-Za-z'\u2019]+$")


@dataclass(frozen=True)
class Answer:
    """What a reader says of one copula.

    Attributes:
        start, end: of the word in the text that is the copula or has it contracted.
        subject: number of the subject, None where the reader cannot tell. own: whether it is the prompt's.
        verb: number of the verb's form.
    """

    start: int
    end: int
    subject: int | None
    own: bool
    verb: int


@dataclass(frozen=True)
class Answered:
    """A text with its answers.

    Attributes:
        part: of the data. prompt: the text begins with it. label: number of the prompt's subject, None without prompt.
    """

    part: str
    prompt: str
    label: int | None
    text: str
    answers: tuple[Answer, ...]

    def told(self) -> list[Copula]:
        """What the judge says."""
        return find_copulas(self.text, self.prompt, self.label)

    def answer(self, copula: Copula) -> Answer | None:
        """The reader's answer about a copula that the judge tells."""
        return next((answer for answer in self.answers if answer.start <= copula.place < answer.end), None)


@dataclass(frozen=True)
class Score:
    """Counts of some texts.

    Attributes:
        told: copulas that the judge tells. right: those of them with the reader's numbers of subject and verb.
        owned: right ones that are the prompt's own where the reader says so, and only there.
        tellable: copulas that a reader can tell. agreeing: those of them that agree.
    """

    told: int
    right: int
    owned: int
    tellable: int
    agreeing: int

    @property
    def precision(self) -> Estimate:
        """Share of the told that are right."""
        return proportion("precision", self.right, self.told)

    @property
    def recall(self) -> Estimate:
        """Share of what a reader can tell that the judge tells rightly."""
        return proportion("recall", self.right, self.tellable)


@cache
def answered_texts() -> tuple[Answered, ...]:
    """All texts of the data."""
    lines = DATA.read_text(encoding="utf-8").splitlines()[1:]
    return tuple(_read(*line.split("\t")) for line in lines)


def score(part: str) -> Score:
    """Counts of one of `PARTS`."""
    texts = [text for text in answered_texts() if text.part in PARTS[part]]
    told = [(copula, text.answer(copula)) for text in texts for copula in text.told()]
    right = [
        (copula, answer)
        for copula, answer in told
        if answer is not None and (copula.subject, copula.verb) == (answer.subject, answer.verb)
    ]
    tellable = [answer for text in texts for answer in text.answers if answer.subject is not None]
    return Score(
        len(told),
        len(right),
        sum(copula.own == answer.own for copula, answer in right),
        len(tellable),
        sum(answer.subject == answer.verb for answer in tellable),
    )


def _read(part: str, label: str, prompt: str, marked: str) -> Answered:
    text, answers, done = prompt, [], 0
    marked = marked.replace("\\n", "\n")
    for mark in _MARK.finditer(marked):
        text += marked[done : mark.start()]
        done = mark.end()
        verb = _VERB.search(text)
        if verb is None:
            raise ValueError(f"no copula before {mark.group()} in {marked!r}")
        answers.append(
            Answer(verb.start(), len(text), _NUMBERS[mark[1]], mark[2] == "*", _verb_number(verb.group().lower()))
        )
    return Answered(part, prompt, _NUMBERS[label], text + marked[done:], tuple(answers))


def _verb_number(verb: str) -> int:
    """Apart from the judge's own list."""
    return PLURAL if verb.startswith(("are", "were")) or verb.endswith(("'re", "\u2019re")) else SINGULAR


def main(arguments: list[str] | None = None) -> int:
    """Print the table; with --wrong PART, what the judge has wrong or does not tell there."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["--wrong"]:
        for text in answered_texts():
            if text.part in PARTS[given[1]]:
                sys.stdout.writelines(_mistakes(text))
        return 0
    sys.stdout.write("part | texts | copulas | of them agree | told | precision | recall | own\n")
    for part in PARTS:
        counts = score(part)
        texts = sum(text.part in PARTS[part] for text in answered_texts())
        shares = " | ".join(_shown(estimate) for estimate in (counts.precision, counts.recall))
        cells = f"{part} | {texts} | {counts.tellable} | {counts.agreeing} | {counts.told} | {shares}"
        sys.stdout.write(f"{cells} | {counts.owned} of {counts.right}\n")
    return 0


def _shown(estimate: Estimate) -> str:
    low, high = estimate.interval(0.95)
    return f"{estimate.value:.3f} [{low:.3f}, {high:.3f}]"


def _mistakes(text: Answered) -> list[str]:
    told = {copula: text.answer(copula) for copula in text.told()}
    wrong = [copula for copula, answer in told.items() if answer is None or answer.subject != copula.subject]
    missed = [answer for answer in text.answers if answer.subject is not None and answer not in told.values()]
    places = [(copula.place, "wrong") for copula in wrong] + [(answer.start, "missed") for answer in missed]
    return [
        f"{kind}: {text.text[max(0, at - 60) : at]!r} >> {text.text[at : at + 20]!r}\n" for at, kind in sorted(places)
    ]


if __name__ == "__main__":
    sys.exit(main())
