"""Programs that only wait until they are ended: real processes that use a session, or used one."""

from __future__ import annotations

import subprocess
import sys

_SAYS_ITS_NAME = """
import sys
from qsession_widget.wire import processes
print(processes.own_name(), flush=True)
sys.stdin.read()
"""


class Program:
    """A process that does nothing.

    Attributes:
        name: by which the runtime knows it (`wire/processes`).
    """

    def __init__(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", _SAYS_ITS_NAME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        self.name = self._child.stdout.readline().strip()

    @property
    def pid(self) -> int:
        return self._child.pid

    def kill(self) -> None:
        """Kill it and leave a zombie: its exit status is not collected."""
        self._child.kill()

    def kill_and_reap(self) -> None:
        """Kill it and collect its exit status, so that nothing is left of it."""
        self._child.kill()
        self._child.communicate()
