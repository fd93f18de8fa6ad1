"""What widgets have to know of front ends, and what to install where none answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
from IPython.core.getipython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Callable

STATIC = Path(__file__).with_name("static")
"""The folder of what browsers load."""

FRONT_END = anywidget.__version__.split(".")[0]
"""The releases of anywidget's front end that can draw a widget: any of the kernel's major version.

Asking for the kernel's own would fail on hubs, where the server has another; asking for any would
let hosts with a CDN (VS Code, pages of nbconvert) take the newest of all.
"""

PATIENCE_SECONDS = 5.0
"""How long a front end may take to load the panel's code and to answer."""

_GRACE_SECONDS = 1.0
"""After a long cell the kernel runs this check before it reads the messages that have come."""

TEXT = (
    "No front end has answered for {seconds:.0f} s, so the panel above is not live. In the "
    "environment of the Jupyter server (not of this kernel, if they differ) run\n"
    "    pip install jupyterlab_widgets anywidget\n"
    "then restart the server and load the page again. "
    "session.live() draws the session as text in a terminal."
)


def take_messages_on_any_shell(widget: anywidget.AnyWidget) -> None:
    """Let ipykernel 7.4 handle clicks while a cell runs.

    It routes a comm's messages to the shell that last published on it, which for a widget made in a
    cell is the busy one; without the attribute it uses the comm's own subshell.
    """
    if widget.comm is not None:
        widget.comm._reply_subshell_for = None  # noqa: SLF001 - ipykernel has no public switch


def expect_answer(answered: Callable[[], bool]) -> None:
    """Write a hint under the running cell if no front end answers in time.

    Elsewhere than in a cell of ipykernel nothing happens.

    Args:
        answered: whether one has.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if kernel is None or answered():
        return
    parent = kernel.get_parent()

    def check(again: bool) -> None:
        if answered():
            return
        if again:
            loop.call_later(_GRACE_SECONDS, check, False)
        else:
            _write(kernel, parent)

    loop.call_later(PATIENCE_SECONDS, check, True)


def _write(kernel: Any, parent: dict[str, Any]) -> None:
    """Write the hint below the cell of a request, which may have ended long ago."""
    content = {
        "data": {"text/plain": TEXT.format(seconds=PATIENCE_SECONDS)},
        "metadata": {},
        "transient": {},
    }
    kernel.session.send(
        kernel.iopub_socket,
        "display_data",
        content,
        parent=parent,
        ident=f"kernel.{kernel.ident}.display_data".encode(),
    )
