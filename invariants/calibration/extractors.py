"""python -m invariants.calibration.extractors --into docs/extractors.md: what each example extractor meets.

Every extractor of examples/extractors is put to the properties of extraction, by pytest and `--ace-extractor` as a user
would, and to claims on two small subjects: the stored models of a Markov chain, and the first of the
smallest stored language models. A few minutes of one core.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ace.errors import AceError
from ace.extract import Extractor, checked
from ace.files import default_cache
from ace.imports import load_attribute
from ace.study.subject import LazySubject
from ace.verify import Verdict, verify_claim
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.named import ModelSource, lazy_model
from ace.zoo.obtain import Store
from invariants.calibration.table import table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "extractors"
EXTRACTORS = {"ACE": "balanced", "PCA": "pca", "gradients alone": "gradients", "mean difference": "mean_difference"}
MODULES = ("test_extract", "test_balance")  # properties of the span, and of sigma and readers
MARKOV = ("rank", "sufficiency", "necessity", "alignment", "spectrum", "transplant")
AGREEMENT = ("one_dimension", "sufficiency", "necessity", "flip", "mirror", "knob", "dose", "attractor", "transfer")
HEAD = """# Extractors: which properties and claims each meets

Written by `python -m invariants.calibration.extractors --into docs/extractors.md`, with the four functions of
`examples/extractors`. `--ace-extractor=module:function` puts any other to the same.

An extractor is a function of states and sensitivities and a rule for the rank; one with a parameter `labels` is also
given the class of each state (of agreement the number of the head, of a chain the next token). Claims that ask for no
core come out the same whatever the extractor.

A property or claim that is met by another extractor as well does not speak for ACE: see
[alternatives](alternatives.md) for the methods beside each other on one model.

Systems are planted so that the dimensions of a core differ. States alone, or sensitivities alone, may be alike in
several directions there, or lead where nothing reads: a method that looks at one of them is then free to choose, and
fails.

The language model is asked the prompts of `--ace-task=agreement`, which begin with a capital. The stored verdicts of
agreement-small are of `agreement-lower-case`, the same sentences as that model's own text has them, so that values
differ a little from theirs.
"""


def properties(module: str) -> dict[str, str]:
    """Property -> passed, fails or not asked, of an example extractor; parameters of one property taken together."""
    names = [f"invariants/properties/{name}.py" for name in MODULES]
    options = ["-v", "-p", "no:cacheprovider", "--tb=no", f"--ace-extractor={module}:extract"]
    path = os.pathsep.join((str(FOLDER), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path, "HYPOTHESIS_PROFILE": "outcomes"}
    command = [sys.executable, "-m", "pytest", *names, *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    for name, outcome in re.findall(r"::test_(\w+)\S* (PASSED|FAILED|SKIPPED|ERROR)", done.stdout):
        found.setdefault(name, set()).add(outcome)
    if not found or done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"expected outcomes of all properties, got\n{done.stdout}{done.stderr}")
    return {name: _worst(outcomes) for name, outcomes in found.items()}


def _worst(outcomes: set[str]) -> str:
    if outcomes & {"FAILED", "ERROR"}:
        return "**fails**"
    return "holds" if "PASSED" in outcomes else "not asked"


def subjects(extractor: Extractor) -> Iterator[tuple[LazySubject, tuple[str, ...]]]:
    """The subjects, with the claims that are put to each."""
    stored = StoredFixtures(Store(ROOT / "fixtures", default_cache()), extractor)
    yield next(one for one in stored.subjects() if one.name == "markov-compact"), tuple(f"markov.{n}" for n in MARKOV)
    (folder,) = (ROOT / "fixtures" / "weights").glob("agreement-small-*")
    model = ModelSource(str(folder / "0"), task="agreement", label="agreement-small, model 0")
    yield lazy_model(model, extractor=extractor), tuple(f"agreement.{name}" for name in AGREEMENT)


def verdicts(module: str) -> dict[tuple[str, str], str]:
    """(subject, claim) -> verdict and value with an example extractor, or what stopped it."""
    extractor = checked(load_attribute(f"{module}:extract"))
    found = {}
    for subject, claims in subjects(extractor):
        for claim in claims:
            try:
                found[subject.name, claim] = _told(verify_claim(claim, subject))
            except AceError as error:
                found[subject.name, claim] = f"no core: {str(error).splitlines()[0]}"
        subject.memory.clear()
    return found


def _told(verdict: Verdict) -> str:
    return f"{verdict.status}, {verdict.estimate:.3g}" if verdict.seeds else f"{verdict.status}: {verdict.reason}"


def page(met: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[tuple[str, str], str]]) -> str:
    """The page, of properties and verdicts by extractor."""
    lines = [HEAD, "## Properties of extraction\n"]
    names = list(dict.fromkeys(name for each in met.values() for name in each))
    properties_met = [(name.replace("_", " "), *(met[e].get(name, "-") for e in EXTRACTORS)) for name in names]
    lines += table(("property", *EXTRACTORS), properties_met)
    lines.append("\n*Not asked*: of an extractor that asks for labels, which these do not have.\n")
    keys = next(iter(found.values())).keys()
    for subject in dict.fromkeys(subject for subject, _ in keys):
        lines.append(f"\n## Claims on {subject}\n")
        rows = [(claim, *(found[e][subject, claim] for e in EXTRACTORS)) for name, claim in keys if name == subject]
        lines += table(("claim", *EXTRACTORS), rows)
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m invariants.calibration.extractors")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the page here")
    chosen = parser.parse_args(arguments)
    sys.path.insert(0, str(FOLDER))
    met, found = {}, {}
    for name, module in EXTRACTORS.items():
        sys.stderr.write(f"{name}\n")
        met[name], found[name] = properties(module), verdicts(module)
    text = page(met, found)
    if chosen.into is None:
        sys.stdout.write(text)
    else:
        chosen.into.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
