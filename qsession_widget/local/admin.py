"""What the administrator of a running local runtime can ask of it: `qsession user` and others."""

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
    """The runtime of a folder, which has to run; it is not started for this.

    Args:
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        ServiceUnavailableError: where it does not run.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        found = process.endpoint(start=False, folder=folder)
        self.pid = found.pid
        """Its process."""
        self.url = found.public_url or found.url
        """Root of its HTTP server, as others reach it."""
        auth = BearerAuth(found.token)
        self._transport = _transport(f"{found.url}{API_PREFIX}/{EXTRA}", auth)
        self._api = RuntimeApi(_transport(f"{found.url}{API_PREFIX}", auth))

    def status(self) -> dict[str, Any]:
        """Say what the runtime does: the JSON of GET /qsession/status.

        Raises:
            ServiceUnavailableError: where it does not answer any more.
        """
        found: dict[str, Any] = self._transport.request("GET", "/status").json()
        return found

    def pending_jobs(self) -> list[str]:
        """List the administrator's own jobs that wait or run, dry runs too, the newest first."""
        found: dict[str, None] = {}
        offset = 0
        while True:
            page = self._api.jobs(pending="true", include_mocks="true", limit=_PAGE, offset=offset)[
                "jobs"
            ]
            found.update(dict.fromkeys(job["id"] for job in page))
            if len(page) < _PAGE:
                return list(found)
            offset += len(page)

    def cancel_job(self, job_id: str) -> bool:
        """Cancel a job, and say whether it was: one that is over cannot be.

        Raises:
            NotFoundError: where there is none of that id.
        """
        try:
            self._api.cancel_job(job_id)
        except ConflictError:
            return False
        return True

    def collect_garbage(
        self, *, retention_days: float | None = None, max_store_bytes: int | None = None
    ) -> dict[str, Any]:
        """Remove params and results of jobs that have ended.

        Args:
            retention_days: where they ended so long ago; None is what the runtime was started with.
            max_store_bytes: the oldest, until the store is no larger; None likewise. With 0 of
                either, all of them go.

        Returns:
            `jobs` and `characters` that were removed, the store's size `store_bytes`, and the
            bounds that were used.

        Raises:
            ServiceError: for a bound that cannot be; the message says what can.
        """
        bounds = {"retention_days": retention_days, "max_store_bytes": max_store_bytes}
        answer = self._transport.request("POST", "/gc", body=bounds, key=str(uuid.uuid4()))
        found: dict[str, Any] = answer.json()
        return found

    def add_user(self, name: str) -> str:
        """Let somebody in.

        Returns:
            His token, which the runtime shows this once.

        Raises:
            ConflictError: where there is a user of that name.
            ServiceError: for a name that cannot be; the message says what can.
        """
        key = str(uuid.uuid4())
        answer = self._transport.request("POST", "/users", body={"name": name}, key=key)
        return str(answer.json()["token"])

    def users(self) -> list[dict[str, Any]]:
        """List who was added: `name` and `created_at` of each."""
        found: list[dict[str, Any]] = self._transport.request("GET", "/users").json()["users"]
        return found

    def remove_user(self, name: str) -> None:
        """Make somebody's token void, and cancel his sessions and unfinished jobs.

        Raises:
            NotFoundError: where there is no user of that name.
        """
        self._transport.request("DELETE", f"/users/{quote(name, safe='')}", gone_is_done=True)


def _transport(url: str, auth: BearerAuth) -> Transport:
    return Transport(Endpoint(url, auth), honours_keys=True, proven=True)
