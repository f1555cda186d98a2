"""Names of subjects as parts of file names and of anchors in a page."""

from __future__ import annotations

import hashlib
import re

LONGEST = 100  # characters of a subject's name that a file name keeps


def file_stem(subject: str) -> str:
    """A subject's name as a file name without its ending, different for different subjects.

    A name of letters, digits and the characters . _ + - that starts with a letter or digit stays as it is. In any
    other, such as a path, the rest is replaced, it is cut to its last characters, and a digest of it is added.
    """
    if re.fullmatch(r"[A-Za-z0-9][\w.+-]*", subject, re.ASCII) and len(subject) <= LONGEST:
        return subject
    plain = re.sub(r"[^\w.+-]+", "_", subject, flags=re.ASCII)[-LONGEST:].strip("._+-")
    return f"{plain or 'subject'}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"
