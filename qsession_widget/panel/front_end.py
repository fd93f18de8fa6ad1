"""Says under a cell what to install, where no front end answers that could draw the panel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Callable

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
