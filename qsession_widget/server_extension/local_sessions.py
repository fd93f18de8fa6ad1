"""The sessions of the local runtime of this process's user: lists them, and acts on them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from qsession_widget.errors import NotAuthorizedError, ServiceUnavailableError
from qsession_widget.local import process
from qsession_widget.server_extension import cards
from qsession_widget.support import forking
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport, hurried
from qsession_widget.transport.rest import RuntimeApi
from qsession_widget.wire.discovery import Discovery, home
from qsession_widget.wire.documents import SessionDocument, SessionExtrasDocument, read
from qsession_widget.wire.fields import ADMINISTRATOR, API_PREFIX, EXTRA

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

MOST_SESSIONS = 100
"""How many sessions a list holds: the newest."""

MOST_JOBS = 20
"""How many jobs the details of a session hold: the newest."""

READ_SECONDS = 3.0
"""How long one answer of the runtime may take."""


class LocalSessions:
    """Asks the local runtime. It is found anew each time, and never started.

    Its methods wait for the runtime, and may be called from several threads.
    """

    def __init__(self) -> None:
        self._lock = forking.Turn()
        self._found: Discovery | None = None
        self._api: RuntimeApi | None = None
        self._finished: dict[str, tuple[object, int]] = {}

    def list(self) -> dict[str, Any]:
        """Return the runtime's clock, and the open sessions of its administrator, oldest first.

        Where no runtime runs, `runtime` is None.

        Raises:
            ServiceUnavailableError: if it runs and does not answer.
            ServiceError: if it refuses.
        """
        if self._connected() is None:
            return {"runtime": None, "sessions": []}
        try:
            return self._asked(self._list)
        except ServiceUnavailableError:
            process.refuse_elsewhere()
            # It may have ended without removing its file.
            if process.running(home()) is not None:
                raise
            return {"runtime": None, "sessions": []}

    def details(self, session_id: str) -> dict[str, Any]:
        """Return a session with its newest jobs, oldest first.

        Raises:
            NotFoundError: if there is no such session.
            ServiceUnavailableError: if no runtime answers.
        """

        def ask(api: RuntimeApi) -> dict[str, Any]:
            session = api.session(session_id)
            jobs = api.jobs(session_id=session_id, limit=MOST_JOBS).jobs
            lines = [cards.job_line(job.document) for job in reversed(jobs)]
            return {**cards.card(session, self._count(api, session)), "jobs": lines}

        return self._asked(ask)

    def close(self, session_id: str) -> None:
        """Close a session: it takes no new jobs and finishes those that it has."""
        self._asked(lambda api: api.close_session(session_id))

    def cancel_queued(self, session_id: str) -> None:
        """Cancel the queued jobs of a session, and leave it open."""
        key = str(uuid.uuid4())
        self._asked(lambda api: api.cancel_queued(session_id, key=key))

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job.

        Raises:
            ConflictError: if it has ended.
        """
        self._asked(lambda api: api.cancel_job(job_id))

    def hang_up(self) -> None:
        """End the requests that wait for the runtime, as soon as they notice."""
        with self._lock:
            self._disconnect()

    def _list(self, api: RuntimeApi) -> dict[str, Any]:
        status = api.transport.request("GET", f"/{EXTRA}/status").json()
        # An administrator's status has the sessions of all users.
        found = [read(SessionDocument, each) for each in status["sessions"]]
        own = [each for each in found if each.user_id == ADMINISTRATOR][-MOST_SESSIONS:]
        sessions = [cards.card(each, self._count(api, each)) for each in own]
        kept = {each.id for each in own}
        self._finished = {key: value for key, value in self._finished.items() if key in kept}
        return {
            "runtime": cards.runtime(status["now"], float(status["rate"])),
            "sessions": sessions,
        }

    def _count(self, api: RuntimeApi, session: SessionDocument) -> int:
        """Return how many jobs of a session have ended; asked again only after a change."""
        extras = session.qsession or SessionExtrasDocument()
        said = (session.state, session.last_job_completed, extras.queued, extras.running)
        known = self._finished.get(session.id)
        if known is not None and known[0] == said:
            return known[1]
        count = api.jobs(session_id=session.id, pending="false", limit=1).count
        self._finished[session.id] = (said, count)
        return count

    def _asked(self, ask: Callable[[RuntimeApi], _T]) -> _T:
        """Ask the runtime; once more if it was restarted meanwhile."""
        api = self._connected()
        if api is None:
            raise ServiceUnavailableError("No local runtime runs.")
        try:
            with hurried():
                return ask(api)
        except (NotAuthorizedError, ServiceUnavailableError):
            hung_up = api.transport.closed
            again = self._connected()
            if hung_up or again is None or again is api:
                raise
            with hurried():
                return ask(again)

    def _connected(self) -> RuntimeApi | None:
        """Return the API of the runtime that runs now, as far as its file says; None if none."""
        folder = home()
        try:
            found = Discovery.read(folder)
        except OSError as error:
            raise ServiceUnavailableError(
                f"The folder of the local runtime, {folder}, cannot be read: {error.strerror}."
            ) from error
        with self._lock:
            if found != self._found:
                self._disconnect()
            if found is not None and self._api is None:
                endpoint = Endpoint(f"{found.url}{API_PREFIX}", BearerAuth(found.token))
                self._found = found
                self._api = RuntimeApi(
                    Transport(endpoint, honours_keys=True, proven=True, read_seconds=READ_SECONDS)
                )
            return self._api

    def _disconnect(self) -> None:
        """Forget the runtime; the lock is held."""
        if self._api is not None:
            self._api.transport.close()
        self._found, self._api, self._finished = None, None, {}
