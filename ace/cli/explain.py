"""`ace explain`: what a claim says, what it is held against, what its verdicts mean, and how to verify it again.

All of it comes from the claim's own record and the documented verdicts, so that no second text can go stale.
"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.cli.words import write_json

if TYPE_CHECKING:
    from ace.report.documented import Expectation
    from ace.study.claim import Claim
    from ace.study.subject import LazySubject

SUMMARY = "Explain a claim, a verdict or a word: what it says, what it is held against, how to verify it again."
EXAMPLE = """ace explain
  ace explain agreement.mirror
  ace explain 'core.*' --json
  ace explain VACUOUS
  ace explain the rest"""
INDENT = "  "
OWN = {
    "agreement": "ace verify --model ./checkpoint -k {claim}",
    "agreement_family": "ace verify --model ./one --model ./other -k {claim}",
}
OWN_RUNS = "ace verify --subject mypackage.runs:subject -k {claim}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="CLAIM",
        help="a claim's id, a pattern such as 'core.*', a verdict, a control or a word; without, all claims are listed",
    )
    parser.add_argument("--json", action="store_true", help="a JSON list, one object a claim or word")
    parser.add_argument(
        "--expected",
        type=Path,
        metavar="FILE",
        help="documented verdicts (default ./invariants/expected.toml)",
    )
    parser.add_argument(
        "--fixtures", type=Path, metavar="DIR", help="folder with records of real models (default ./fixtures)"
    )


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Write the explanation to stdout.

    Raises:
        InputError: nothing of that name; the message names what is near. Or no records in the folder that was given.
    """
    from ace.errors import InputError
    from ace.families.family import registry

    fixtures = chosen.fixtures or Path("fixtures")
    if chosen.fixtures is not None and not (fixtures / "models").is_dir():
        raise InputError(f"fixtures: expected a folder with models/, records of real models, got {fixtures.absolute()}")
    claims, asked = registry(), " ".join(chosen.what)
    if not asked:
        rows = [
            {"id": claim.id, "kind": claim.kind, "statement": claim.statement, "bound": str(claim.bound)}
            for claim in claims.values()
        ]
        _write(chosen, rows, _listed)
        return 0
    named = [claims[asked]] if asked in claims else [claims[name] for name in fnmatch.filter(claims, asked)]
    if named:
        from ace.cli.documented import EXPECTED, documented_verdicts, recorded_results

        documented = documented_verdicts(chosen.expected or (EXPECTED if EXPECTED.is_file() else None))
        recorded, stored = recorded_results(fixtures), _stored_subjects(fixtures)
        _write(chosen, [explained(claim, documented, recorded, stored) for claim in named], _told, "\n")
    else:
        _write(chosen, [_word(asked, list(claims))], lambda entry: f"{entry['word']}: {entry['meaning']}\n")
    return 0


def _write(
    chosen: argparse.Namespace, entries: Sequence[Mapping[str, Any]], text: Callable[[Any], str], between: str = ""
) -> None:
    if chosen.json:
        write_json(entries)
    else:
        sys.stdout.write(between.join(map(text, entries)))


def explained(
    claim: Claim,
    documented: Sequence[Expectation],
    recorded: Sequence[Mapping[str, Any]],
    stored: Sequence[LazySubject],
) -> dict[str, Any]:
    """All that is known of a claim before it is verified, as plain values.

    Args:
        documented, recorded: as `ace.cli.documented` reads them.
        stored: the project's own subjects.
    """
    from ace.cli.glossary import SOURCES
    from ace.families.family import control_meanings
    from ace.study.claim import KINDS
    from ace.verdict import MEANINGS

    known = [vars(entry) for entry in documented if entry.claim == claim.id]
    subjects = [subject.name for subject in stored if subject.about == claim.about]
    selected = _selects_alone(claim.id)
    return {
        "id": claim.id,
        "statement": claim.statement,
        "kind": claim.kind,
        "kind_meaning": KINDS[claim.kind],
        "source": claim.source,
        "about": claim.about,
        "quantity": claim.quantity,
        "bound": str(claim.bound),
        "bound_source": claim.bound_source,
        "bound_source_meaning": SOURCES[claim.bound_source],
        "rationale": claim.rationale,
        "controls": dict(control_meanings(claim)),
        "rest_level": claim.rest_level,
        "paper": None if claim.replication is None else claim.replication.paper,
        "differs": None if claim.replication is None else claim.replication.differs,
        "verdicts": {status.value: meaning for status, meaning in MEANINGS.items()},
        "documented": [{name: value for name, value in entry.items() if name != "claim"} for entry in known],
        "recorded": [entry for entry in recorded if entry["claim"] == claim.id],
        "stored_subjects": subjects,
        "rerun_stored": f'pytest invariants -m claim -k "{selected}"' if subjects else None,
        "rerun_own": OWN.get(claim.about, OWN_RUNS).format(claim=selected),
    }


def _stored_subjects(fixtures: Path) -> tuple[LazySubject, ...]:
    """The project's own subjects; none of them is loaded."""
    from ace.files import default_cache
    from ace.zoo.fixtures import StoredFixtures
    from ace.zoo.obtain import Store

    return StoredFixtures(Store(fixtures, default_cache())).subjects()


def _selects_alone(identifier: str) -> str:
    """What -k must be told so that no other claim's tests match, whose ids are claim-subject."""
    from ace.families.family import registry

    return f"{identifier}-" if any(identifier in other for other in registry() if other != identifier) else identifier


def _word(asked: str, claims: Sequence[str]) -> dict[str, str]:
    """The verdict, word or control of that name.

    Raises:
        InputError: there is none.
    """
    from ace.cli.glossary import SOURCES, TERMS
    from ace.errors import InputError
    from ace.families.family import families
    from ace.study.claim import KINDS
    from ace.study.control_words import COMMON_CONTROLS
    from ace.verdict import MEANINGS

    words = {status.value: meaning for status, meaning in MEANINGS.items()}
    words |= {**KINDS, **SOURCES, **COMMON_CONTROLS, **{k: v for one in families() for k, v in one.controls.items()}}
    words |= TERMS
    folded = {name.casefold(): name for name in words}
    for name in (asked, f"the {asked}"):
        if name.casefold() in folded:
            word = folded[name.casefold()]
            return {"word": word, "meaning": words[word]}
    plain = {name.casefold(): name for name in (*claims, *words)}
    near = [plain[name] for name in get_close_matches(asked.casefold(), plain, n=4, cutoff=0.5)]
    families_known = sorted({claim.partition(".")[0] for claim in claims})
    hint = f"near it: {', '.join(near)}" if near else f"families of claims: {', '.join(families_known)}"
    raise InputError(
        f"claim: expected a claim's id, a pattern, a verdict or a word, got {asked!r}; {hint}; `ace explain` lists all"
    )


def _listed(entry: Mapping[str, Any]) -> str:
    return f"{entry['id']:30} {entry['kind']}  {entry['statement']}\n"


def _told(entry: Mapping[str, Any]) -> str:
    """One claim's explanation in words, as wide as the terminal, at most 100 columns."""
    width = max(40, min(shutil.get_terminal_size().columns, 100))

    def lines(label: str, text: str, indent: str = "") -> str:
        first = f"{indent}{label}: " if label else indent
        return (
            textwrap.fill(
                text,
                width,
                initial_indent=first,
                subsequent_indent=f"{indent}{INDENT}",
                break_long_words=False,
                break_on_hyphens=False,
            )
            + "\n"
        )

    parts = [
        f"{entry['id']}\n",
        lines("", entry["statement"], INDENT),
        "\n",
        lines("kind", f"{entry['kind']}, {entry['kind_meaning']}; source: {entry['source']}"),
        lines("measured", entry["quantity"]),
        lines("bound", f"{entry['bound']}, from {entry['bound_source']}: {entry['bound_source_meaning']}"),
        lines("why this bound", entry["rationale"]),
    ]
    if entry["paper"] is not None:
        parts.append(lines("in the paper", f"{entry['paper']}; ours differs: {entry['differs']}"))
    parts.append("controls, each of which must lie outside the bound:\n" if entry["controls"] else "controls: none\n")
    parts += [lines(name, meaning, INDENT) for name, meaning in entry["controls"].items()]
    parts += ["verdicts:\n", *(lines(name, meaning, INDENT) for name, meaning in entry["verdicts"].items())]
    if entry["documented"]:
        parts.append("documented, other than HOLDS:\n")
        for one in entry["documented"]:
            figures = f" ({one['figures']})" if one["figures"] else ""
            parts.append(lines(one["subject"], f"{' or '.join(one['verdicts'])}: {one['reason']}{figures}", INDENT))
    if entry["recorded"]:
        parts.append("recorded on real models:\n")
        parts += [lines(one["subject"], _measured(one), INDENT) for one in entry["recorded"]]
    parts.append("verify it:\n")
    if entry["rerun_stored"]:
        parts.append(lines("in a clone, on the stored models", ", ".join(entry["stored_subjects"]), INDENT))
        parts.append(f"{INDENT * 2}{entry['rerun_stored']}\n")
    whose = "a model of your own" if entry["about"] in OWN else f"a subject of your own, about {entry['about']}"
    parts.append(f"{INDENT}on {whose}:\n{INDENT * 2}{entry['rerun_own']}\n")
    return "".join(parts)


def _measured(entry: Mapping[str, Any]) -> str:
    if entry["estimate"] is None:
        return f"{entry['verdict']}, {entry['reason']}"
    interval = f"{entry['estimate']:.3g} [{entry['low']:.3g}, {entry['high']:.3g}]"
    return f"{entry['verdict']}, {interval}, bound {entry['bound_rule']}"
