"""How Sphinx makes the pages: `make docs`. Every warning is an error there."""

import json
from pathlib import Path

project = "qsession-widget"
copyright = "the qsession-widget authors"  # noqa: A001 - Sphinx's name
# The version stands once, there.
package = Path(__file__).parent.parent / "js" / "package.json"
version = release = json.loads(package.read_text(encoding="utf-8"))["version"]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"{project} {version}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# A dataclass's fields are described once, in its docstring.
napoleon_use_ivar = True
napoleon_google_docstring = True
default_role = "code"
