"""How the site of docs/ is built: `make docs`, or sphinx-build with this folder as its source."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for docs.extensions

project = "Hotspot monitor"
release = version = installed_version("hotspot-monitor")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docs.extensions.mathml",
    "docs.extensions.navigation",
    "docs.extensions.reference",
]
exclude_patterns = ["examples", "extensions"]

# Pages are read in repository browsers too: only what these show, or pass over in silence, is used.
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
toc_object_entries = False
python_use_unqualified_type_names = True
smartquotes = False  # two hyphens begin an option
default_role = "code"  # docstrings mark code as Markdown does

html_theme = "furo"
html_title = "Hotspot monitor"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_math_renderer = "mathml"  # no script, no font
html_static_path = ["extensions/static"]
html_css_files = ["site.css"]
_NAVY, _SKY = "#12436d", "#8fc7f0"  # the government analysis palette's blue, and a light one of it
html_theme_options = {
    "light_css_variables": {"color-brand-primary": _NAVY, "color-brand-content": _NAVY},
    "dark_css_variables": {"color-brand-primary": _SKY, "color-brand-content": _SKY},
}
