"""The figures of a report that the pages show, made small: a palette suffices for lines and dots."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from ace.files import write_atomic

COLOURS = 256
SHOWN = (
    "agreement-large-depth.png",
    "agreement-medium-alternatives.png",
    "agreement-medium-knob.png",
    "gemma3-270m-depth.png",
    "grokking-compact.png",
    "grokking-paper.png",
    "markov-paper.png",
    "modadd-paper.png",
    "smollm2-135m-depth.png",
    "smollm2-135m-dose.png",
    "smollm2-135m-texts.png",
)


def take(drawn: Iterable[Path], folder: Path) -> list[Path]:
    """Write those of the drawn figures that the pages show into a folder; return their paths there.

    Raises:
        LookupError: the reports lack one.
    """
    by_name = {path.name: path for path in drawn}
    missing = [name for name in SHOWN if name not in by_name]
    if missing:
        raise LookupError(f"figures: expected {', '.join(missing)} among what the reports drew, got {sorted(by_name)}")
    folder.mkdir(exist_ok=True)
    for name in SHOWN:
        write_atomic(folder / name, smaller(by_name[name].read_bytes()))
    return [folder / name for name in SHOWN]


def smaller(picture: bytes) -> bytes:
    """A PNG with a palette, of the same size in pixels.

    By an octree, which keeps the colours of thin lines: where a median is cut, lines of like brightness come out alike.
    """
    content = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(content, "PNG", optimize=True)
    return content.getvalue()
