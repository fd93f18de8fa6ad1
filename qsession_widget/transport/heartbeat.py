"""Reports to a runtime on another machine that this program lives, while it uses sessions there.

A runtime on the same machine sees that by itself.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING

from qsession_widget.errors import QSessionError
from qsession_widget.support import forking
from qsession_widget.transport.http import unattended
from qsession_widget.wire import processes

if TYPE_CHECKING:
    from qsession_widget.transport.rest import RuntimeApi

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 10.0
"""Pause until the runtime has said how long it should be."""


class Heartbeat:
    """Reports in a thread of its own, as long as this program has open sessions.

    Args:
        api: the runtime's API.
    """

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._sessions: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = forking.Lock()
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        forking.heed(self)

    @property
    def beating(self) -> bool:
        """Whether it reports at present."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def after_fork(self) -> None:
        """Start anew with the child's next job: it is another process, without this thread."""
        self._thread = None
        self._woken = threading.Event()

    def hold(self, session: object) -> None:
        """Report while this session lives, held weakly, and is not released."""
        with self._lock:
            self._sessions.add(session)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="qsession-heartbeat", daemon=True
                )
                self._thread.start()

    def release(self, session: object) -> None:
        """Report no longer for a session, which is closed."""
        with self._lock:
            self._sessions.discard(session)
        self._woken.set()

    @unattended()
    def _run(self) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            self._woken.clear()
            used = 1
            try:
                pause_seconds, used = self._api.beat(processes.own_name())
            except QSessionError as error:
                # The next one may arrive, and the user sees from their own requests what is wrong.
                logger.debug("the runtime could not be told that this program lives: %s", error)
            with self._lock:
                if not used or not self._sessions or self._api.transport.closed:
                    self._thread = None
                    return
            self._woken.wait(pause_seconds)
