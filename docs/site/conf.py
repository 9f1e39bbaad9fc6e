"""Sphinx's settings for the documentation site; `docs/site/build.py` runs it."""

from __future__ import annotations

from limbeck.version import __version__

project = "Limbeck"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

html_theme = "furo"
html_title = "Limbeck"
html_static_path: list[str] = []
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f766e", "color-brand-content": "#0f766e"},
    "dark_css_variables": {"color-brand-primary": "#5eead4", "color-brand-content": "#5eead4"},
}

myst_enable_extensions = ["smartquotes", "replacements"]
myst_heading_anchors = 3
# Prompts and outputs are not copied.
copybutton_exclude = ".linenos, .gp, .go"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Shape", "params_style"),
    ("Settings", "params_style"),
    ("Source", "notes_style"),
]
