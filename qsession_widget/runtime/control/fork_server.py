"""The process that workers are forked from: it has imported Qiskit and Aer already."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

_PRELOADED = "qsession_widget.runtime.worker.primitives"


def context() -> ForkServerContext:
    """Return the way in which workers are started."""
    # Spinning OpenMP threads slow each other down badly where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([_PRELOADED])
    return found


def start() -> None:
    """Start the process, which takes a second to import all; returns at once.

    Otherwise it starts with the first worker. It inherits the environment as it is now.
    """
    context()
    forkserver.ensure_running()
