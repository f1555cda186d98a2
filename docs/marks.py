"""What stands between marks in a page: tables, and single numbers in prose.

A table stands between `<!-- made: NAME -->` and `<!-- end of NAME -->`, each on a line of its own. A number stands
behind the mark that says where in the records it comes from, and before an empty one:

    by <!-- n: markov.spectrum markov-paper ; values ; max .3f -->0.029<!-- / --> at most

is the largest of the result's `values` with three decimals; several subjects stand with commas between them. The second
part is a path through the result, keys and places of lists divided by `/`, `*` for all of them; of a mapping at its end
the keys count. The third is one of `first`, `min`, `max`, `median`, `range` or `each`, and a format; or `word`, for a
verdict. Marks are comments, so that a page reads the same as text, on a forge and on the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

Results = Mapping[tuple[str, str], Mapping[str, Any]]
NUMBER = re.compile(r"<!-- n: ([^>]+?) -->(.*?)<!-- / -->", re.DOTALL)
TABLE = re.compile(r"<!-- made: (.+?) -->\n(.*?)<!-- end of \1 -->", re.DOTALL)
SHAPES: Mapping[str, Callable[[list[float], str], str]] = {
    "first": lambda values, form: format(values[0], form),
    "min": lambda values, form: format(min(values), form),
    "max": lambda values, form: format(max(values), form),
    "median": lambda values, form: format(median(values), form),
    "range": lambda values, form: _range(format(min(values), form), format(max(values), form)),
    "each": lambda values, form: ", ".join(format(value, form) for value in values),
}


class MarkError(ValueError):
    """A mark that cannot be read, or that points to nothing in the records."""


def filled(text: str, results: Results, tables: Mapping[str, Callable[[], str]], name: str) -> str:
    """The text with every table and number made anew.

    Args:
        results: (claim, subject) -> result of a record.
        tables: name -> what makes a table, as lines of markdown.
        name: of the page, for errors.

    Raises:
        MarkError: a mark left open, at the head of a line (where it would make the line a block of HTML), of a table
            that nobody makes, or of a number that the records lack.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(("<!-- n:", "<!-- / -->")):
            raise MarkError(f"{name}:{number}: expected words before the mark of a number, got the head of a line")

    def table(found: re.Match[str]) -> str:
        if found[1] not in tables:
            raise MarkError(f"{name}: expected one of {', '.join(tables)}, got a table {found[1]!r}")
        return f"<!-- made: {found[1]} -->\n{tables[found[1]]()}\n<!-- end of {found[1]} -->"

    def number_at(found: re.Match[str]) -> str:
        return f"<!-- n: {found[1]} -->{value_of(found[1], results, name)}<!-- / -->"

    made, in_tables = TABLE.subn(table, text)
    made, in_prose = NUMBER.subn(number_at, made)
    if (in_tables, in_prose) != (text.count("<!-- made:"), text.count("<!-- n:")):
        raise MarkError(f"{name}: a mark is left open, or none of what it should be: {text.count('<!-- n:')} numbers")
    return made


def value_of(mark: str, results: Results, name: str = "mark") -> str:
    """The number that a mark asks for, as text."""
    try:
        where, path, shape = (part.strip() for part in mark.split(";"))
        claim, _, subjects = where.partition(" ")
        kind, _, form = shape.partition(" ")
        steps = path.split("/")
        values = [value for subject in subjects.split(", ") for value in _followed(results[claim, subject], steps)]
        if kind == "word":
            return ", ".join(dict.fromkeys(map(str, values)))
        return SHAPES[kind]([float(value) for value in values], form or "g")
    except (LookupError, ValueError, TypeError) as error:
        raise MarkError(f"{name}: expected `claim subject ; path ; shape format`, got {mark!r}: {error!r}") from error


def _followed(value: Any, path: list[str]) -> Iterator[Any]:
    """The numbers at the end of a path; of lists at its end every one, of mappings every key."""
    if not path:
        yield from value if isinstance(value, list | Mapping) else [value]
    elif path[0] == "*":
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _followed(inner, path[1:])
    else:
        yield from _followed(value[int(path[0])] if isinstance(value, list) else value[path[0]], path[1:])


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
