"""Sessions and batches: a group of jobs that a service runs together."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Self, TypeVar, cast, get_args

from qsession_widget import checked
from qsession_widget.backend import Backend, backend_name
from qsession_widget.duration import parse_duration
from qsession_widget.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PlanError,
    QSessionError,
    ServiceError,
    SessionClosedError,
)
from qsession_widget.job import RuntimeJob
from qsession_widget.options import RuntimeOptions
from qsession_widget.service import (
    QiskitRuntimeService,
    adopted_service,
    default_service,
    local_service,
)
from qsession_widget.wire.states import Mode, SessionState, session_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from types import TracebackType

    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import Session as OfficialSession

    from qsession_widget.job import ResultDecoder

logger = logging.getLogger(__name__)

OnError = Literal["cancel", "close", "leave"]

_BAD_REQUEST = 400
_NO_SESSIONS_IN_PLAN = 1352
"""IBM's error code: "You are not authorized to run a session when using the open plan"."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_DETAILS = {
    "id": "id",
    "backend_name": "backend_name",
    "interactive_timeout": "interactive_ttl",
    "max_time": "max_ttl",
    "active_timeout": "active_ttl",
    "state": "state",
    "accepting_jobs": "accepting_jobs",
    "last_job_started": "last_job_started",
    "last_job_completed": "last_job_completed",
    "started_at": "started_at",
    "closed_at": "closed_at",
    "activated_at": "activated_at",
    "mode": "mode",
    "usage_time": "elapsed_time",
}
"""Key of `details()`, and where it stands in the JSON of GET /sessions/{id}."""


def details_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Read the JSON of GET /sessions/{id} into the dict of `Session.details()`."""
    return {
        **{key: found.get(field) for key, field in _DETAILS.items()},
        "timestamps": found.get("timestamps") or [],
    }


_surrounding: contextvars.ContextVar[tuple[Session, ...]] = contextvars.ContextVar(
    "qsession_widget_sessions", default=()
)
"""The sessions of the `with` blocks that this code runs in, the innermost last."""


def surrounding_session() -> Session | None:
    """Give the session of the innermost `with` block that this code runs in."""
    return next(reversed(_surrounding.get()), None)


class Session:
    """A session: its jobs run one after another on a device that nobody else uses meanwhile.

    As a context manager, `with` or `async with`, it closes itself at the end of the block. What
    happens when an exception ends the block is `on_error`; a KeyboardInterrupt, or the
    cancellation of an asyncio task, always leaves the session open, so that an interrupted cell
    loses nothing.

    On a simulator there is no session on the service: `session_id` is None, and the jobs run
    without one.

    Args:
        service: the service; None takes the backend's, else the saved default account, else the
            local runtime.
        backend: name or object of the device; None takes the least busy one.
        max_time: how long the session may last from its first job on: whole seconds, text such as
            "2h 30m 40s", or a timedelta. None takes the service's maximum.
        on_error: what an exception does that ends the `with` block: "cancel" cancels queued jobs
            and takes no more, "close" takes no more, "leave" does nothing.
        tags: added to the tags of every job of the session.
        name: a name for people to know it by; the service does not see it.

    Raises:
        InvalidInputError: a ValueError, for arguments that cannot be used, and where the service
            refuses them.
        PlanError: where the account's plan has no sessions, as IBM's open plan.
        BackendNotFoundError: also a ValueError, for an unknown backend.
    """

    _MODE: ClassVar[Mode] = Mode.DEDICATED
    _device: Backend | None
    _session_id: str | None

    def __init__(
        self,
        service: QiskitRuntimeService | None = None,
        backend: str | BackendV2 | None = None,
        max_time: int | str | timedelta | None = None,
        *,
        on_error: OnError = "cancel",
        tags: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        seconds = None if max_time is None else parse_duration(max_time)
        self._set_up(_service_for(service, backend), on_error, tags, name)
        device = self._device = _device_for(self._service, backend)
        if device.simulator:
            return
        body = {"mode": self._MODE.value, "backend": device.name}
        instance = self._service.active_account()["instance"]
        try:
            created = self._service.api.create_session(
                {
                    **body,
                    **({"instance": instance} if instance else {}),
                    **({"max_ttl": seconds} if seconds else {}),
                },
                key=self.key,
            )
        except ServiceError as error:
            raise self._refused(error, max_time) from error
        self._session_id = str(created["id"])

    @classmethod
    def from_id(
        cls,
        session_id: str,
        service: QiskitRuntimeService | None = None,
        backend: str | BackendV2 | None = None,
        *,
        on_error: OnError = "cancel",
        tags: Sequence[str] | None = None,
        name: str | None = None,
    ) -> Self:
        """Give a session that exists. This creates nothing, and changes nothing on the service.

        A closed session can be read; only `run` refuses.

        Args:
            session_id: its id.
            service: as for the constructor.
            backend: name or object of its device, to be checked; None checks nothing.
            on_error: as for the constructor.
            tags: as for the constructor.
            name: as for the constructor.

        Raises:
            NotFoundError: where there is no such session.
            InvalidInputError: a ValueError, where it is a batch and not a session, or the other
                way round, and where its device is another one.
        """
        session = cls.__new__(cls)
        session._adopt(  # noqa: SLF001 - a second constructor, which must not create anything
            session_id, _service_for(service, backend), backend, on_error, tags, name
        )
        return session

    def _adopt(  # noqa: PLR0917 - the arguments of from_id
        self,
        session_id: str,
        service: QiskitRuntimeService,
        backend: str | BackendV2 | None,
        on_error: OnError,
        tags: Sequence[str] | None,
        name: str | None,
    ) -> None:
        self._set_up(service, on_error, tags, name)
        found = service.api.session(session_id)
        mode = found["mode"]
        if mode != self._MODE:
            hint = "Batch.from_id" if mode == Mode.BATCH else "Session.from_id"
            raise InvalidInputError(
                f"{session_id} has mode {mode!r}, and {type(self).__name__} is for mode "
                f"{self._MODE.value!r}; use {hint}"
            )
        own = found.get("backend_name")
        if backend is not None and backend_name(backend) != own:
            raise InvalidInputError(
                f"session {session_id} is on backend {own!r}, not on {backend_name(backend)!r}"
            )
        self._session_id = str(found["id"])
        self._device = service.backend(own) if own else None
        self._active = found["state"] != SessionState.CLOSED

    def _set_up(
        self,
        service: QiskitRuntimeService,
        on_error: OnError,
        tags: Sequence[str] | None,
        name: str | None,
    ) -> None:
        if on_error not in get_args(OnError):
            raise InvalidInputError(
                f"on_error={on_error!r} is not known; allowed are {', '.join(get_args(OnError))}"
            )
        self.key = str(uuid.uuid4())
        """Made by this client, so that sessions without an id on the service have one too."""
        self.name = name
        """A name for people to know it by."""
        self._service = service
        self._on_error: OnError = on_error
        self._tags = checked.tags("tags", tags) if tags is not None else []
        self._device = None
        self._session_id = None
        self._active = True
        self._lock = threading.Lock()
        self._own_jobs: list[RuntimeJob] = []

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
        """What is added to the tags of every job that goes through this object."""
        return list(self._tags)

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
        if self._device is None:
            found = self._json().get("backend_name")
            if not found:
                raise InvalidInputError(
                    f"the backend of session {self._session_id} is not known yet; "
                    "it is once a job has run"
                )
            self._device = self._service.backend(found)
        return self._device

    def backend(self) -> str | None:
        """Give the name of its backend; None where the service has not said yet."""
        return None if self._device is None else str(self._device.name)

    def __repr__(self) -> str:
        parts = [repr(self._session_id) if self._session_id else "simulator: no session"]
        parts.append(f"backend={self.backend()!r}")
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"<{type(self).__name__}({', '.join(parts)})>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Display as the panel, where the widget libraries are there."""
        try:
            # Panels import sessions; this is the one import in the other direction.
            from qsession_widget.panel import panel_of  # noqa: PLC0415
        except ImportError:
            return {"text/plain": repr(self)}, {}
        bundle: tuple[dict[str, Any], dict[str, Any]] = panel_of(self)._repr_mimebundle_(
            include=include, exclude=exclude
        )
        return bundle

    def live(self) -> AbstractContextManager[object]:
        """Draw it in the terminal, live, as long as a `with` block runs."""
        # Panels import sessions, as above.
        from qsession_widget.panel.terminal import live  # noqa: PLC0415

        return live(self)

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

    def details(self) -> dict[str, Any] | None:
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
            * timestamps: every change of state, a list of {"status", "timestamp"}.
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

    def ibm(self) -> OfficialSession:
        """Give a genuine `qiskit_ibm_runtime.Session`, or `Batch`, on the same id.

        For the primitives of qiskit-ibm-runtime, which take no other: jobs that they send run in
        this session. Either object ends it for both.

        Raises:
            InvalidInputError: if the backend is a simulator, which has no session on the service.
        """
        if self._session_id is None:
            raise InvalidInputError(f"{self!r} has no id that qiskit-ibm-runtime could use")
        import qiskit_ibm_runtime  # noqa: PLC0415 - takes more than a second

        batch = self._MODE is Mode.BATCH
        official = qiskit_ibm_runtime.Batch if batch else qiskit_ibm_runtime.Session
        return official.from_id(self._session_id, self._service.ibm())

    # What to do with it

    def run(
        self,
        program_id: str,
        inputs: Mapping[str, Any],
        options: RuntimeOptions | Mapping[str, Any] | None = None,
        callback: Callable[[str, Any], object] | None = None,
        result_decoder: type[ResultDecoder] | ResultDecoder | None = None,
        *,
        optimization_level: int | None = None,
    ) -> RuntimeJob:
        """Run a program in the session. Most users want a Sampler or an Estimator instead.

        Args:
            program_id: the program, for example "sampler".
            inputs: its inputs: JSON values, circuits, arrays and observables.
            options: how to run it, RuntimeOptions or a dict of the same names.
            callback: called on a thread of ours as `callback(job_id, result)`: on the local runtime
                with the result of each pub as it is finished, and everywhere once with the whole.
            result_decoder: class with `decode(text)`, in the place of the wire's own.
            optimization_level: as for `QiskitRuntimeService.run`.

        Raises:
            SessionClosedError: a RuntimeError, where it takes no more jobs.
            InvalidInputError: for options or inputs that cannot be used.
            NotFoundError: for an unknown program.
        """
        if not self._active:
            raise self._closed_error()
        given = RuntimeOptions.of(options)
        device = self.device.name
        if given.backend is not None and backend_name(given.backend) != device:
            raise InvalidInputError(
                f"options name backend {backend_name(given.backend)!r}, and this session is on "
                f"{device!r}"
            )
        chosen = RuntimeOptions(
            device,
            given.image,
            given.log_level,
            given.instance,
            [*self._tags, *(given.job_tags or [])] or None,
            given.max_execution_time,
            given.session_time,
            private=given.private,
        )
        try:
            job = self._service.run(
                program_id,
                inputs,
                chosen,
                callback,
                result_decoder,
                self._session_id,
                optimization_level=optimization_level,
            )
        except ConflictError as error:
            raise self._closed_error() from error
        if self._session_id is None:
            with self._lock:
                self._own_jobs.append(job)
        return job

    def close(self) -> str:
        """Take no more jobs. Queued and running ones finish, then the session is over.

        Doing it again changes nothing.

        Returns:
            What became of it, in words.
        """
        self._close()
        return self._how_it_ended()

    def _close(self) -> None:
        self._active = False
        if self._session_id is None:
            return
        try:
            self._service.api.close_session(self._session_id)
        except NotFoundError:
            # The service forgets sessions that are long over.
            logger.info("Session %s is not on the service any more", self._session_id)

    def cancel(self) -> str:
        """Take no more jobs, and cancel the queued ones. Running ones finish.

        Doing it again changes nothing.

        Returns:
            What became of it, in words.
        """
        self._cancel()
        return self._how_it_ended()

    def _cancel(self) -> None:
        self._active = False
        if self._session_id is None:
            self.cancel_queued_jobs()
        else:
            self._service.api.cancel_session(self._session_id)

    def cancel_queued_jobs(self) -> list[str]:
        """Cancel the queued jobs, and leave the session open.

        Returns:
            Ids of the jobs that this cancelled.
        """
        if self._session_id is not None and "watch" in self._service.features:
            return self._service.api.cancel_queued(self._session_id)
        return [job.job_id() for job in self.jobs() if job.queued() and _cancelled(job)]

    def bind(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Give a function that runs as if in this session's `with` block, on whatever thread.

        A new thread does not know the blocks of the one that starts it:
        `executor.map(session.bind(work), data)`. The session is not closed at its end.

        Args:
            function: a function or a coroutine function.
        """
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def bound_coroutine(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with self._surrounding():
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", bound_coroutine)

        @functools.wraps(function)
        def bound(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self._surrounding():
                return function(*args, **kwargs)

        return bound

    @contextmanager
    def _surrounding(self) -> Iterator[None]:
        token = _surrounding.set((*_surrounding.get(), self))
        try:
            yield
        finally:
            _surrounding.reset(token)

    def __enter__(self) -> Self:
        _surrounding.set((*_surrounding.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave_block()
        self._end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave_block()
        await asyncio.to_thread(self._end, error)

    def _leave_block(self) -> None:
        stack = _surrounding.get()
        if self in stack:
            # The innermost of its own: a generator's block may end after that of its caller.
            place = len(stack) - 1 - stack[::-1].index(self)
            _surrounding.set((*stack[:place], *stack[place + 1 :]))

    def _end(self, error: BaseException | None) -> None:
        """Do what the end of the block means for the session."""
        if error is None:
            self._close()
        elif isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            error.add_note(
                f"{self!r} stays open, and its jobs go on. Its cancel() or close() ends it"
                + (
                    "."
                    if self._session_id is None
                    else f", {type(self).__name__}.from_id finds it."
                )
            )
        elif self._on_error != "leave":
            try:
                self._cancel() if self._on_error == "cancel" else self._close()
            except QSessionError as problem:
                # The first exception is the one that matters; this one must not hide it.
                logger.exception("%r could not be ended", self)
                error.add_note(f"{self!r} could not be ended and may be open: {problem}")

    # Inside

    def _json(self) -> dict[str, Any]:
        if self._session_id is None:
            return {}
        return self._service.api.session(self._session_id)

    def _refused(
        self, error: ServiceError, max_time: int | str | timedelta | None
    ) -> QSessionError:
        """Say what a refused session means in the words of who asked for it."""
        if error.code == _NO_SESSIONS_IN_PLAN or "open plan" in str(error).lower():
            return PlanError(
                f"this account's plan has no sessions: {error}. A Batch, or jobs without either, "
                "may do; and the local runtime has sessions for everybody: "
                "Session(QiskitRuntimeService('local'), backend='fake_torino')",
                status_code=error.status_code,
                code=error.code,
            )
        if error.status_code != _BAD_REQUEST:
            return error
        given = "" if max_time is None else f" with max_time={max_time!r}"
        return InvalidInputError(f"the service refuses this session{given}: {error}")

    def _how_it_ended(self) -> str:
        """Count the jobs that are left. The ending itself stands, whether this works or not."""
        if self._session_id is None:
            return "takes no more jobs"
        try:
            page = self._service.api.jobs(session_id=self._session_id, pending="true", limit=1)
        except QSessionError:
            logger.info("Session %s: its jobs cannot be counted", self._session_id, exc_info=True)
            return "takes no more jobs"
        left = int(page["count"])
        if not left:
            return "closed: all its jobs are over"
        return f"takes no more jobs; {left} of them {'goes' if left == 1 else 'go'} on to the end"

    def _closed_error(self) -> SessionClosedError:
        return SessionClosedError(
            f"{self!r} takes no more jobs; its jobs can still be read, and a new "
            f"{type(self).__name__} takes new ones"
        )


class Batch(Session):
    """A batch: its jobs are given to the device together, and others may come in between.

    For jobs that do not depend on each other. Everything else is as for a Session; its usage is
    the device time of its jobs.
    """

    _MODE: ClassVar[Mode] = Mode.BATCH


def find_session(
    session: Session | OfficialSession | str, service: QiskitRuntimeService | None = None
) -> Session:
    """Give the session or batch that is meant, whichever of the two it is.

    Args:
        session: its id; or a session or batch of qiskit-ibm-runtime, opened by whomever; or one
            of ours, which is given back.
        service: where to look for an id; None is the default service.

    Raises:
        NotFoundError: where there is none of that id.
        InvalidInputError: for anything else, and for sessions of qiskit-ibm-runtime's local testing
            mode, which are on no service.
    """
    if isinstance(session, Session):
        return session
    if isinstance(session, str):
        session_id, service = session, service or default_service()
    else:
        session_id, service = _adopted(session)
    batch = service.api.session(session_id)["mode"] == Mode.BATCH
    return (Batch if batch else Session).from_id(session_id, service)


def _adopted(official: OfficialSession) -> tuple[str, QiskitRuntimeService]:
    """Read id and service of a session of qiskit-ibm-runtime."""
    session_id = getattr(official, "session_id", None)
    if not type(official).__module__.startswith("qiskit_ibm_runtime.") or session_id is None:
        raise InvalidInputError(
            f"{official!r} is no session on a service; allowed are an id, a Session or Batch of "
            "qsession_widget, and one of qiskit-ibm-runtime that is not in local testing mode"
        )
    return str(session_id), adopted_service(official.service, getattr(official, "_instance", None))


def service_of(backend: str | BackendV2 | None) -> QiskitRuntimeService:
    """Give the service that a backend is on, where nobody names one.

    Args:
        backend: of ours; of qiskit-ibm-runtime, whose servers are used; of its fake provider, which
            the local runtime serves under the same name. A name, or None, is on the default one.
    """
    if isinstance(backend, Backend):
        return backend.service
    module = type(backend).__module__
    if module.startswith("qiskit_ibm_runtime.fake_provider"):
        return local_service()
    official = getattr(backend, "service", None) if module.startswith("qiskit_ibm_") else None
    if official is not None:
        return adopted_service(official, getattr(backend, "_instance", None))
    return default_service()


def _service_for(
    service: QiskitRuntimeService | None, backend: str | BackendV2 | None
) -> QiskitRuntimeService:
    if service is None:
        return service_of(backend)
    if not isinstance(service, QiskitRuntimeService):
        raise InvalidInputError(
            f"service={service!r} is not a QiskitRuntimeService of qsession_widget; "
            "a backend is given as Session(backend=...)"
        )
    return service


def _device_for(service: QiskitRuntimeService, backend: str | BackendV2 | None) -> Backend:
    if backend is None:
        return service.least_busy(simulator=False)
    if isinstance(backend, Backend) and backend.service is service:
        return backend
    return service.backend(backend_name(backend))


def _cancelled(job: RuntimeJob) -> bool:
    try:
        return job.cancel()
    except ConflictError:
        # It was over, or had begun, before this reached it.
        return False
