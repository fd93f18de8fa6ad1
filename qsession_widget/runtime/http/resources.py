"""Finds what a request names: its session, its job, a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsession_widget.runtime.http import errors, parsing

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.device_catalog import Catalog, Device
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.store.store import Store


@dataclass(frozen=True)
class Resources:
    """Looks up resources, and raises a 404 for those that do not exist.

    Other users' sessions and jobs return 404 as well.
    """

    catalog: Catalog
    store: Store

    def backend(self, name: str) -> Device:
        """Return the backend of a name."""
        device = self.catalog.get(name)
        if device is None:
            raise errors.backend_not_found(name, self.catalog.names())
        return device

    async def session(self, request: Request, session_id: str | None = None) -> Session:
        """Return the session in the request's path, or the one of an id."""
        session_id = session_id or request.path_params["session_id"]
        session = await self.store.session(parsing.owner(request), session_id)
        if session is None:
            raise errors.session_not_found(session_id)
        return session

    async def job(self, request: Request) -> Job:
        """Return the job in the request's path."""
        job_id = request.path_params["job_id"]
        job = await self.store.job(parsing.owner(request), job_id)
        if job is None:
            raise errors.job_not_found(job_id)
        return job
