"""Administration of a running local runtime: the client of `qsession user` and other commands."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qsession_widget.errors import ConflictError
from qsession_widget.local import process
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.rest import RuntimeApi
from qsession_widget.wire.fields import API_PREFIX, EXTRA

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = 200
"""How many jobs are asked for at once."""


class Administration:
    """Connects to the running runtime of a folder; it is not started for this.

    Args:
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        ServiceUnavailableError: if it is not running.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        found = process.endpoint(start=False, folder=folder)
        self.pid = found.pid
        """The id of its process."""
        self.url = found.public_url or found.url
        """The root of its HTTP server, as clients reach it."""
        self.certificate = found.certificate
        """The path of its certificate for other machines; empty if it has none."""
        auth = BearerAuth(found.token)
        self._transport = _transport(f"{found.url}{API_PREFIX}/{EXTRA}", auth)
        self.api = RuntimeApi(_transport(f"{found.url}{API_PREFIX}", auth))
        """The REST API, one method for each endpoint."""

    @property
    def features(self) -> frozenset[str]:
        """What the runtime can do beyond IBM's REST API."""
        return frozenset(self.api.about()["features"])

    def status(self) -> dict[str, Any]:
        """Return the status of the runtime: the JSON of GET /qsession/status.

        Raises:
            ServiceUnavailableError: if it no longer answers.
        """
        found: dict[str, Any] = self._transport.request("GET", "/status").json()
        return found

    def pending_jobs(self) -> list[str]:
        """List the administrator's own unfinished jobs, dry runs included, the newest first."""
        found: dict[str, None] = {}
        offset = 0
        while True:
            page = self.api.jobs(
                pending="true", include_mocks="true", limit=_PAGE, offset=offset
            ).jobs
            found.update(dict.fromkeys(job.document.id for job in page))
            if len(page) < _PAGE:
                return list(found)
            offset += len(page)

    def open_sessions(self) -> list[str]:
        """List the ids of the administrator's own open sessions and batches, the newest first."""
        found: dict[str, None] = {}
        more: dict[str, Any] = {}
        while True:
            page = self.api.workloads(
                mode=["session", "batch"], status=["pending", "in_progress"], limit=_PAGE, **more
            )
            found.update(dict.fromkeys(each.id for each in page.workloads or []))
            if not page.next:
                return list(found)
            more = {"next": page.next}

    def cancel_job(self, job_id: str) -> bool:
        """Cancel a job, and return whether it was cancelled: final jobs cannot be.

        Raises:
            NotFoundError: if there is no job of that id.
        """
        try:
            self.api.cancel_job(job_id)
        except ConflictError:
            return False
        return True

    def collect_garbage(
        self, *, retention_days: float | None = None, max_store_bytes: int | None = None
    ) -> dict[str, Any]:
        """Remove params and results of final jobs.

        Args:
            retention_days: remove those of jobs that ended at least so many days ago; None is the
                value with which the runtime was started.
            max_store_bytes: remove the oldest until the store is no larger than this; None
                likewise. If either is 0, all are removed.

        Returns:
            The numbers of `jobs` and `characters` that were removed, the size of the store in
            `store_bytes`, and the bounds that were used.

        Raises:
            ServiceError: for a bound that is not allowed; the message says what is.
        """
        bounds = {"retention_days": retention_days, "max_store_bytes": max_store_bytes}
        answer = self._transport.request("POST", "/gc", body=bounds, key=str(uuid.uuid4()))
        found: dict[str, Any] = answer.json()
        return found

    def drain(self, host: str) -> int:
        """Drain a host of the cluster: it leaves once the jobs that it has are over.

        Args:
            host: its name or its address.

        Returns:
            How many Dask workers are meant by that.

        Raises:
            NotFoundError: if no host of that name has joined.
        """
        answer = self._transport.request("POST", "/hosts/drain", body={"host": host})
        return int(answer.json()["hosts"])

    def add_user(self, name: str) -> str:
        """Add a user.

        Returns:
            The user's token, which the runtime shows only this once.

        Raises:
            ConflictError: if there is a user of that name.
            ServiceError: for a name that is not allowed; the message says what is.
        """
        key = str(uuid.uuid4())
        answer = self._transport.request("POST", "/users", body={"name": name}, key=key)
        return str(answer.json()["token"])

    def users(self) -> list[dict[str, Any]]:
        """List the users: `name` and `created_at` of each."""
        found: list[dict[str, Any]] = self._transport.request("GET", "/users").json()["users"]
        return found

    def remove_user(self, name: str) -> None:
        """Revoke a user's token, and cancel the user's sessions and unfinished jobs.

        Raises:
            NotFoundError: if there is no user of that name.
        """
        self._transport.request("DELETE", f"/users/{quote(name, safe='')}", gone_is_done=True)


def _transport(url: str, auth: BearerAuth) -> Transport:
    return Transport(Endpoint(url, auth), honours_keys=True, proven=True)
