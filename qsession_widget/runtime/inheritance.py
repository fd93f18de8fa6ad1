"""What the runtime's processes and files inherit of the process that starts it: little."""

from __future__ import annotations

import os

from qsession_widget.wire import environment, private_files


def limit() -> None:
    """Keep files from other users, and secrets in the environment from workers.

    To be called before any file is created and any process is started.
    """
    os.umask(private_files.UMASK)
    wanted = environment.for_runtime(os.environ)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
