"""One service that is kept for the whole process."""

from __future__ import annotations

from typing import Generic, TypeVar

from qsession_widget.client.protocols import Service
from qsession_widget.support import forking

_S = TypeVar("_S", bound=Service)


class KeptService(Generic[_S]):
    """Keeps a service until it is closed. Threads may share it."""

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._service: _S | None = None

    def get(self) -> _S | None:
        """Return the service; None if there is none, or it was closed."""
        with self._lock:
            return None if self._service is None or self._service.closed else self._service

    def keep(self, made: _S) -> _S:
        """Keep a new service, made without holding a lock, unless another thread was faster.

        Returns:
            The service that is kept. The new one is closed if it is not that.
        """
        with self._lock:
            if self._service is not None and not self._service.closed:
                made.close()
                return self._service
            self._service = made
            return made

    def replace(self, service: _S) -> None:
        """Replace the kept service, which stays open."""
        with self._lock:
            self._service = service
