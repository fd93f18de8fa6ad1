"""`/nbextensions/`: the scripts of classic notebook extensions, from Jupyter's data folders.

VS Code loads a widget's script from there when its server is given by URL, and jupyter_server alone
does not have that address. With nbclassic it has, and then nothing is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_path
from jupyter_server.base.handlers import FileFindHandler

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


class NbextensionsHandler(FileFindHandler):
    """Serves files as Jupyter serves its own static ones: to anyone, and never from elsewhere."""

    # Where each file was found; its base keeps one such table for the files of all addresses.
    _static_paths: dict[str, str] = {}  # noqa: RUF012 - declared so in its base


def routes(app: ServerApp) -> list[tuple[str, type[NbextensionsHandler], dict[str, Any]]]:
    """Return the handler, if no other extension serves the address."""
    if app.jpserver_extensions.get("nbclassic"):
        return []
    address = f"{app.web_app.settings['base_url'].rstrip('/')}/nbextensions/(.*)"
    settings = {"path": jupyter_path("nbextensions"), "no_cache_paths": ["/"]}
    return [(address, NbextensionsHandler, settings)]
