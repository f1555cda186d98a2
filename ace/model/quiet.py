"""transformers and the hub without what they print: loaders raise what matters of it as an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR


@contextmanager
def quiet_transformers(*, bars: bool = False) -> Iterator[None]:
    """Inside, transformers and the hub show no warning, and no progress bar unless `bars`; what matters is raised."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity(ERROR)
    if not bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if shown:
            logging.enable_progress_bar()
