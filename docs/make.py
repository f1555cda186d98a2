"""python -m docs.make [RECORD] [--real RECORD] ...: everything in the documentation that records decide.

Without arguments the stored records are read and all that hangs on them is written anew: the rows of the README,
tables, numbers in prose (`docs.marks`), figures. With a fresh record of `pytest invariants -m claim --ace-json RECORD`,
one of the two real models, one of `examples/own_runs` read at both sites, or those of a model on the files of
`examples/contrasts`, that record is first stored in place of the old one, its numbers rounded.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ace.cli.glossary import TERMS
from ace.files import write_atomic
from ace.report.folder import write_report
from ace.report.methods import LEGEND, methods
from ace.report.readme import BEGIN, with_table
from ace.report.record import SHOWN, read_document
from ace.report.replication import replication
from ace.report.table import WHERE, markdown_lines, number, rows, tally, where
from ace.study.control_words import COMMON_CONTROLS
from ace.verdict import MEANINGS
from docs import pictures
from docs.marks import filled
from invariants.bench.compared import recorded

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = ROOT / "fixtures/verdicts.json"
REAL = ROOT / "fixtures/models/real-models.json"
OWN = ROOT / "fixtures/own-runs.json"
CONTRASTS = ROOT / "fixtures/models/contrasts.json"
SPEED = ROOT / "fixtures/speed.json"
DIGITS, DIGITS_OF_DETAILS = 6, 5  # significant ones; details are drawn, not judged
OF_PROMPTS = "agreement."
FAMILIES = ("markov", "hidden_markov", "modadd", "agreement", "core", "law")
# The README's rows: what holds, what is empty and what fails, on models trained here and on those of others.
ROWS = (
    ("markov.necessity", "markov-paper"),
    ("markov.alignment", "markov-paper"),
    ("hidden_markov.inner_belief", "hidden-markov-deep-2"),
    ("modadd.necessity", "modadd-paper"),
    ("modadd.rotation", "modadd-paper"),
    ("modadd.inflation", "modadd-paper"),
    ("law.omega", "grokking-paper"),
    ("agreement.mirror", "smollm2-135m"),
    ("agreement.mirror", "gemma3-270m"),
    ("agreement.one_dimension", "gemma3-270m"),
    ("agreement.depth", "smollm2-135m"),
    ("agreement.advantage", "smollm2-135m"),
)
Result = Mapping[str, Any]


def slim(value: Any, digits: int = DIGITS) -> Any:
    """A result with its numbers rounded: all that tables and figures show, in half of the size."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {k: slim(inner, DIGITS_OF_DETAILS if k == "details" else digits) for k, inner in value.items()}
    return [slim(inner, digits) for inner in value] if isinstance(value, list) else value


def stored(document: Mapping[str, Any]) -> bytes:
    """A record as it is stored: one line a result, so that a change shows where it is."""
    head = {key: value for key, value in document.items() if key != "results"}
    lines = ",\n".join(json.dumps(slim(result), separators=(",", ":")) for result in document["results"])
    return f'{json.dumps(head)[:-1]}, "results": [\n{lines}\n]}}\n'.encode()


def joined(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Records of one model on several files of prompts as one, whose subjects are named after model and file.

    Raises:
        ValueError: two records of one file.
    """
    results, subjects = list[Result](), dict[str, Any]()
    for document in documents:
        names = {name: f"{name}, {found['task']}" for name, found in document["subjects"].items()}
        twice = sorted(set(names.values()) & set(subjects))
        if twice:
            raise ValueError(f"contrasts: expected a record for each file, got {', '.join(twice)} twice")
        subjects |= {names[name]: found for name, found in document["subjects"].items()}
        results += [{**result, "subject": names[result["subject"]]} for result in document["results"]]
    head = {name: value for name, value in documents[0].items() if name not in ("run", "subjects", "results")}
    return {**head, "subjects": subjects, "results": results}


def pages(
    embedded: Sequence[Result], real: Sequence[Result], own: Sequence[Result], contrasts: Sequence[Result] = ()
) -> dict[Path, str]:
    """Every page, with whatever in it is made as the records have it: those of three kinds of models, and of files."""
    every = [*embedded, *real, *own]
    by_name = {(result["claim"], result["subject"]): result for result in every}
    of_prompts = [result for result in embedded if result["claim"].startswith(OF_PROMPTS)]
    of_sequences = [result for result in embedded if not result["claim"].startswith(OF_PROMPTS)]
    tables: dict[str, Callable[[], str]] = {
        "rows": lambda: _rows(by_name),
        "replication": lambda: replication(embedded).rstrip(),
        "alternatives": lambda: methods(of_prompts).rstrip(),
        "alternatives, sequences": lambda: methods([*of_sequences, *own]).rstrip(),
        "alternatives, real models": lambda: methods(real).removeprefix(LEGEND).strip(),
        "replication, real models": lambda: replication(real).rstrip(),
        "replication, own runs": lambda: replication(own).rstrip(),
        "verdicts": lambda: "\n".join(markdown_lines(("verdict", "means"), MEANINGS.items())),
        "contrasts": lambda: _contrasts(contrasts),
        "glossary": _glossary,
        "speed": _speed,
        "seconds of real models": lambda: _seconds(real),
        "tally": lambda: f"On the models trained here, {_tally(embedded)}. On the two others, {_tally(real)}.",
    }
    for family in FAMILIES:
        of_family = [result for result in every if result["claim"].partition(".")[0] == family]
        tables[f"claims {family}"] = lambda chosen=of_family: _claims(chosen)  # type: ignore[misc]
    made = {}
    examples = sorted((ROOT / "examples").glob("*/README.md"))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *examples]:
        text = path.read_text(encoding="utf-8")
        made[path] = filled(text, by_name, tables, path.name)
        if path.name == "changed-verdicts.md":
            made[path] = _with_changes(made[path], by_name)
        if BEGIN in text:
            made[path] = with_table(made[path], real if path.name == "real-models.md" else embedded)
    return made


def _glossary() -> str:
    """Words and the controls that several families share, as `ace explain` tells them."""
    lines = ["```{glossary}"]
    for word, text in {**TERMS, **COMMON_CONTROLS}.items():
        sentence = f"{text[0].upper()}{text[1:].removesuffix('.')}."
        lines += [word, *textwrap.wrap(sentence, 120, initial_indent="  ", subsequent_indent="  "), ""]
    return "\n".join([*lines[:-1], "```"])


def _speed() -> str:
    """One line a work and naive way: how long the fast way takes, and how many times as long the other."""
    cells, processors = [], dict[str, None]()
    for row, processor in recorded(SPEED):
        fast, *naive = row.seconds
        processors[processor] = None
        for way in naive:
            ratios = row.times_longer(way)
            clock = "processor" if row.processor_time else "wall"
            first = f"{median(row.seconds[fast]) * 1e3:,.1f} ms"
            times = f"{median(ratios):.1f}" if len(ratios) == 1 else _with_ends(ratios)
            cells.append([row.work, fast, first, clock, way, times])
    headings = ("work", "fast way", "median", "time", "other way", "times as long")
    return "\n".join([*markdown_lines(headings, cells), "", f"Timed on {' and '.join(processors)}."])


def _with_ends(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def _seconds(results: Sequence[Result]) -> str:
    """One line a subject: how many claims, and the seconds that they took in the stored record."""
    taken: dict[str, list[float]] = {}
    for result in results:
        taken.setdefault(result["subject"], []).append(result["seconds"])
    cells = [[subject, str(len(each)), f"{sum(each):.0f}"] for subject, each in taken.items()]
    return "\n".join(markdown_lines(("model", "claims", "seconds"), cells))


def _tally(results: Iterable[Result]) -> str:
    return tally(results).removeprefix("verdicts: ")


def _rows(by_name: Mapping[tuple[str, str], Result]) -> str:
    headings = ("the sentence", "on", WHERE, "value and interval", "bound", "nearest control", "verdict")
    chosen = [by_name[name] for name in ROWS]
    cells = [
        [
            f"{found['statement']} `{claim}`",
            subject,
            where(found),
            _worst_part(found, value),
            bound,
            control,
            found["verdict"],
        ]
        for found, (claim, subject, value, bound, control, _) in zip(chosen, rows(chosen), strict=True)
    ]
    return "\n".join(markdown_lines(headings, cells))


def _worst_part(found: Result, value: str) -> str:
    """A value, or of a claim with several parts a seed the worst part's own value, interval and name."""
    labels = [str(label).partition(", ")[2] for label in found["seeds"]]
    if not any(labels) or found["estimate"] is None:
        return value
    worst = min(range(len(labels)), key=lambda part: abs(found["values"][part] - found["estimate"]))
    low, high = found["intervals"][worst]
    return f"{number(found['estimate'])} [{number(low)}, {number(high)}], {labels[worst]}"


def _claims(results: Sequence[Result]) -> str:
    """One line a claim: its id, kind, sentence and bound, and the verdict on each subject."""
    cells = []
    for claim in dict.fromkeys(result["claim"] for result in results):
        of_claim = [result for result in results if result["claim"] == claim]
        verdicts = ", ".join(f"{result['subject']}: {result['verdict']}" for result in of_claim)
        first = of_claim[0]
        cells.append([f"`{claim}`", first["kind"], first["statement"], first["bound_rule"], verdicts])
    return "\n".join(markdown_lines(("claim", "kind", "sentence", "bound", "verdicts"), cells))


def _contrasts(results: Sequence[Result]) -> str:
    """One line a file of prompts: value, interval and verdict of each claim."""
    claims = list(dict.fromkeys(result["claim"] for result in results))
    by_subject: dict[str, dict[str, Result]] = {}
    for result in results:
        by_subject.setdefault(result["subject"], {})[result["claim"]] = result
    headings = (
        "model, file",
        *(f"`{claim}` {by_subject[next(iter(by_subject))][claim]['bound_rule']}" for claim in claims),
    )
    cells = [[subject, *(_with_verdict(found[claim]) for claim in claims)] for subject, found in by_subject.items()]
    return "\n".join(markdown_lines(headings, cells))


def _with_verdict(found: Result) -> str:
    if found["estimate"] is None:
        return str(found["verdict"])
    return f"{number(found['estimate'])} [{number(found['low'])}, {number(found['high'])}] {found['verdict']}"


def _with_changes(text: str, by_name: Mapping[tuple[str, str], Result]) -> str:
    """The page of changed verdicts with its column "new" from the records; rows of results that are gone stay."""
    lines = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        found = by_name.get((cells[0], cells[1])) if line.startswith("| ") and len(cells) == 5 else None
        if found and found["estimate"] is not None:
            ((_, _, value, bound, _, _),) = rows([found])
            cells[3] = f"{found['verdict']}: {value}, {bound}"
            line = "| " + " | ".join(cells) + " |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Store the records that are given and write all that hangs on them."""
    parser = argparse.ArgumentParser(prog="python -m docs.make", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("record", type=Path, nargs="?", help="a fresh record of the models trained here")
    parser.add_argument("--real", type=Path, help="a fresh record of the two real models")
    parser.add_argument("--own", type=Path, help="a fresh record of examples/own_runs")
    parser.add_argument("--contrasts", type=Path, nargs="+", help="fresh records of a model, one a file of contrasts")
    parser.add_argument("--no-figures", action="store_true", help="tables and numbers alone")
    chosen = parser.parse_args(arguments)
    for fresh, path in ((chosen.record, EMBEDDED), (chosen.real, REAL), (chosen.own, OWN)):
        if fresh is not None:
            write_atomic(path, stored(read_document(fresh, SHOWN)))
    if chosen.contrasts:
        write_atomic(CONTRASTS, stored(joined([read_document(path, SHOWN) for path in chosen.contrasts])))
    documents = [read_document(path, SHOWN) for path in (EMBEDDED, REAL, OWN, CONTRASTS)]
    for path, text in pages(*(document["results"] for document in documents)).items():
        if text != path.read_text(encoding="utf-8"):
            write_atomic(path, text.encode())
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    if not chosen.no_figures:
        with TemporaryDirectory() as folder:
            for place, document in enumerate(documents[:3]):  # figures of files would be of one model, three times
                write_report(Path(folder) / str(place), document)
            for written in pictures.take(sorted(Path(folder).glob("*/*.png")), ROOT / "docs/figures"):
                sys.stdout.write(f"{written.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
