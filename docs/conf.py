"""How Sphinx makes the pages: `make docs`. Every warning is an error there."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The extensions are `docs._ext`, and they read the package of this clone.
sys.path.insert(0, str(ROOT))

project = "qsession-widget"
copyright = "the qsession-widget authors"  # noqa: A001 - Sphinx's name
# The version stands once, there.
package = ROOT / "js" / "package.json"
version = release = json.loads(package.read_text(encoding="utf-8"))["version"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "docs._ext.diagrams",
    "docs._ext.reference",
    "docs._ext.replay",
]
exclude_patterns = ["_build", "_ext", "replay"]
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["diagrams.css"]
html_copy_source = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# A dataclass's fields are described once, in its docstring.
napoleon_use_ivar = True
napoleon_google_docstring = True
default_role = "code"
# Every reference has to lead somewhere, but for types in signatures: those of other packages and
# those that users never import have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]
# Two hyphens are the beginning of an option.
smartquotes = False
