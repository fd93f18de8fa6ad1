"""The part of a session that only reads: what it is, how it is, and its jobs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from qsession_widget.client.job import RuntimeJob
from qsession_widget.client.session_info import details_of
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import forking, validation
from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import session_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsession_widget.client.backend import Backend
    from qsession_widget.client.service import QiskitRuntimeService
    from qsession_widget.client.session_info import CacheInfo, SessionDetails

OnError = Literal["cancel", "close", "leave"]
"""What an exception does that ends the `with` block of a session."""


class Readable:
    """What can be read of a session. Nothing here changes anything on the service."""

    _device: Backend | None
    _session_id: str | None

    def _set_up(
        self,
        service: QiskitRuntimeService,
        on_error: OnError,
        tags: Sequence[str] | None,
        name: str | None,
    ) -> None:
        validation.one_of(*get_args(OnError))("on_error", on_error)
        self.key = str(uuid.uuid4())
        """Made by this client, so that sessions without an id on the service have one too."""
        self.name = None if name is None else validation.text("name", name)
        """A name for people to know it by."""
        self._service = service
        self._on_error: OnError = on_error
        self._tags = validation.tags("tags", tags) if tags is not None else []
        self._device = None
        self._session_id = None
        self._active = True
        self._lock = forking.Lock()
        self._own_jobs: list[RuntimeJob] = []

    def __copy__(self) -> Self:
        # It stands for the one session of its id: a copy would be the same.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # By its id; on a simulator, which gives none, by its key and the jobs that it knows.
        with self._lock:
            jobs = list(self._own_jobs)
        values = {
            "key": self.key,
            "name": self.name,
            "_service": self._service,
            "_on_error": self._on_error,
            "_tags": self._tags,
            "_device": self._device,
            "_session_id": self._session_id,
            "_active": self._active,
            "_own_jobs": jobs,
        }
        return _again, (type(self), values)

    # What it is

    @property
    def service(self) -> QiskitRuntimeService:
        """The service that it runs on."""
        return self._service

    @property
    def session_id(self) -> str | None:
        """Its id on the service; None if the backend is a simulator."""
        return self._session_id

    @property
    def tags(self) -> list[str]:
        """What is added to the tags of every job that goes through this object; so is its name."""
        return list(self._tags)

    def _name_as_tag(self) -> list[str]:
        return [self.name] if self.name and self.name not in self._tags else []

    @property
    def simulator(self) -> bool:
        """Whether its backend is a simulator, so that there is no session on the service."""
        return self._device is not None and self._device.simulator

    @property
    def device(self) -> Backend:
        """Its backend, as an object.

        Raises:
            InvalidInputError: where the service has not said yet which one it is.
        """
        if self.backend() is None or self._device is None:
            raise InvalidInputError(
                f"the backend of session {self._session_id} is not known yet; "
                "it is once a job has run"
            )
        return self._device

    def backend(self) -> str | None:
        """Give the name of its backend; None where the service has not said yet."""
        if self._device is None:
            name = self._json().get("backend_name")
            self._device = self._service.backend(name) if name else None
        return None if self._device is None else str(self._device.name)

    def __repr__(self) -> str:
        parts = [repr(self._session_id) if self._session_id else "simulator: no session"]
        known = None if self._device is None else self._device.name
        parts.append(f"backend={known!r}")
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"<{type(self).__name__}({', '.join(parts)})>"

    # How it is

    def status(self) -> str | None:
        """Ask how it is.

        Returns:
            "Pending", "In progress, accepting new jobs", "In progress, not accepting new jobs" or
            "Closed"; None if the backend is a simulator. From `state` and `accepting_jobs` of
            GET /sessions/{id}.
        """
        if self._session_id is None:
            return None
        found = self._json()
        return session_status(found["state"], accepting_jobs=bool(found["accepting_jobs"]))

    def details(self) -> SessionDetails | None:
        """Ask for all that the service knows about it (GET /sessions/{id}).

        Returns:
            None if the backend is a simulator; else a dict with

            * id: its id.
            * backend_name: its device.
            * interactive_timeout: seconds without a job after which it becomes inactive.
            * max_time: seconds that it may last from its first job on.
            * active_timeout: seconds that it may be active at a stretch.
            * state: open, active, inactive, closed, or pending_inactive, pending_closed.
            * accepting_jobs: whether it takes jobs.
            * last_job_started, last_job_completed: when; text, RFC 3339 in UTC, or None.
            * started_at: when its first job started; likewise.
            * closed_at: when it was closed; likewise.
            * activated_at: when it became active the last time; likewise.
            * mode: "dedicated" for a session, "batch" for a batch.
            * usage_time: as `usage()`.
            * timestamps: every change of state, a list of {"status", "timestamp"}, times as above.
        """
        if self._session_id is None:
            return None
        return details_of(self._json())

    def usage(self) -> float | None:
        """Give the seconds that it has cost so far (`elapsed_time` of GET /sessions/{id}).

        Returns:
            For a session the time that it was active, for a batch the device time of its jobs;
            None where the service has no figure, and if the backend is a simulator.
        """
        return None if self._session_id is None else self._json().get("elapsed_time")

    def cache_info(self) -> CacheInfo | None:
        """Give what the runtime kept for it, so that its iterations are fast.

        Returns:
            `{"hits", "misses", "seconds_saved"}`: how often its jobs found something that was kept
            (circuits, transpiled ones, noise), how often it had to be made, and how long the making
            had taken of what was found. None at services that do not say, and if the backend is a
            simulator.
        """
        return None if self._session_id is None else (self._json().get(EXTRA) or {}).get("cache")

    def jobs(self) -> list[RuntimeJob]:
        """List its jobs, the oldest first, each once, also those that others have sent.

        If the backend is a simulator: those that went through this object.
        """
        if self._session_id is None:
            with self._lock:
                return list(self._own_jobs)
        if "watch" in self._service.features:
            # One answer holds them all, so none can be missed between two pages.
            found = self._service.api.watch(self._session_id) or {"jobs": []}
            return [RuntimeJob(self._service, job["id"], data=job) for job in found["jobs"]]
        return self._service.jobs(limit=None, session_id=self._session_id, descending=False)

    def _json(self) -> dict[str, Any]:
        if self._session_id is None:
            return {}
        return self._service.api.session(self._session_id)


def _again(kind: type[Readable], values: dict[str, Any]) -> Readable:
    """Make a session of what is known of it, without asking the service."""
    session = kind.__new__(kind)
    vars(session).update(values, _lock=forking.Lock())
    return session
