"""How the documents become web pages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from emberline import __version__

project = "Emberline"
author = "The Emberline developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "emberline_reference",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
default_role = "code"
python_use_unqualified_type_names = True
# A name such as `Archive` is to be had from `emberline` and from `emberline.archive`: either will do.
suppress_warnings = ["ref.python"]

exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = f"Emberline {release}"
html_static_path = ["_static"]
html_css_files = ["emberline.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#b3361b", "color-brand-content": "#a23118"},
    "dark_css_variables": {"color-brand-primary": "#ff8a65", "color-brand-content": "#ff9e7d"},
}
