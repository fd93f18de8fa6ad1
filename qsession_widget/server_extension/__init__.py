"""The extension of the Jupyter server: the local runtime's sessions, for pages without a kernel.

It runs in the server's process, for the user of that process. It reaches the runtime over HTTP, and
never imports Qiskit, which would take seconds of the server's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return where the Jupyter server finds the extension."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Add the extension's addresses to a Jupyter server."""
    # The kernel imports this package too, and Jupyter's server need not be installed there.
    from qsession_widget.server_extension import handlers, nbextensions  # noqa: PLC0415 - see above

    base_url = app.web_app.settings["base_url"]
    found = [*handlers.routes(base_url), *nbextensions.routes(app)]
    app.web_app.add_handlers(".*$", found)  # type: ignore[no-untyped-call] # tornado's own
