"""How Sphinx builds the site: sphinx-build -W --keep-going -b html docs build/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "ace-invariants"
author = "The ace-invariants authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["__pycache__", "package.md"]  # package.md: what a package index shows

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # signatures stay as they are written
autodoc_use_legacy_class_based = False
default_role = "code"  # docstrings have names between single backticks
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "ace-invariants"
html_show_sphinx = False
html_copy_source = False
