"""How Sphinx builds the documentation; `make docs` turns warnings into errors."""

from __future__ import annotations

import sys
from pathlib import Path

import ctdenoise

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ctdenoise"
author = "The ctdenoise authors"
copyright = "the ctdenoise authors"
release = ctdenoise.__version__

extensions = ["generated_reference", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "changes"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in ("HuArray", "FloatArray", "DoubleArray", "BoolArray", "LabelArray")
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"  # docstrings are written with single backticks

html_theme = "furo"
html_title = f"ctdenoise {release}"
html_static_path: list[str] = []
