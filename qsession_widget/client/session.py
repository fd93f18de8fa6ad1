"""Sessions and batches: a group of jobs that a service runs together."""

from __future__ import annotations

import logging
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    get_args,
)

from qsession_widget.client import display
from qsession_widget.client.backends.backend import backend_name, no_calibration
from qsession_widget.client.default_service import default_service
from qsession_widget.client.jobs.job import RuntimeJob
from qsession_widget.client.options.options import RuntimeOptions
from qsession_widget.client.resolve import (
    adopted_session,
    backend_for,
    is_backend,
    same_backend_elsewhere,
    service_for,
    service_of,
)
from qsession_widget.client.session_context import bound, enter, innermost_session, leave
from qsession_widget.client.session_info import cache_info_of, details_of
from qsession_widget.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PlanError,
    QSessionError,
    ServiceError,
    ServiceUnavailableError,
    SessionClosedError,
)
from qsession_widget.support import forking, validation, whereabouts
from qsession_widget.support.duration import parse_duration
from qsession_widget.support.handles import Shared
from qsession_widget.support.official import needed
from qsession_widget.wire import processes
from qsession_widget.wire.documents import (
    SessionDocument,
    SessionExtrasDocument,
    known,
    required,
)
from qsession_widget.wire.fields import EXTRA
from qsession_widget.wire.states import Mode, SessionState, session_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from types import TracebackType

    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import Session as OfficialSession

    from qsession_widget.client.backends.backend import Backend
    from qsession_widget.client.jobs.result_decoder import ResultDecoder
    from qsession_widget.client.service import QiskitRuntimeService
    from qsession_widget.client.session_info import CacheInfo, SessionDetails

logger = logging.getLogger(__name__)

OnError = Literal["cancel", "close", "leave"]
"""What happens to a session when an exception ends its `with` block."""

EventName = Literal["active", "inactive", "ends_soon", "job_failed", "closed"]
"""What `Session.on` reports."""

_BAD_REQUEST = 400
_FORBIDDEN = 403
_NO_SESSIONS_IN_PLAN = 1352
"""IBM's code, with status 400 and the text "You are not authorized to run a session when using the
open plan." and "Create an instance of a different plan type or use a different execution mode."
"""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Session(Shared):
    """A session: its jobs run one after another on a backend that is reserved for it.

    As a context manager, `with` or `async with`, it closes itself at the end of the block.
    `on_error` says what happens when an exception ends the block; a KeyboardInterrupt, or the
    cancellation of an asyncio task, always leaves the session open, so that an interrupted cell
    loses nothing.

    Simulators have no sessions on the service: `session_id` is None, and the jobs run outside of
    any session.

    Args:
        service: the service; None takes the backend's, else the default: a runtime that was joined,
            the saved default account, or the local runtime. As in qiskit-ibm-runtime, the backend
            may be given here, followed by `max_time`.
        backend: name or object of the backend; None takes the least busy one.
        max_time: how long the session may last from its first job on: whole seconds, text such as
            "2h 30m 40s", or a timedelta. None takes the service's maximum.
        on_error: what happens when an exception ends the `with` block: "cancel" cancels the queued
            jobs and accepts no more, "close" accepts no more, "leave" does nothing.
        tags: added to the tags of every job of the session.
        name: a name by which people recognise it. Sessions have no names at IBM (POST /sessions
            takes mode, backend, instance and max_ttl), so the name is added to the tags of every
            job: `service.jobs(job_tags=[name])` finds the jobs, and their `session_id` the session.

    Raises:
        InvalidInputError: a ValueError, for arguments that cannot be used or that the service
            refuses.
        PlanError: if the account's plan has no sessions, like IBM's open plan.
        BackendNotFoundError: also a ValueError, for an unknown backend.
    """

    _MODE: ClassVar[Mode] = Mode.DEDICATED
    _service: QiskitRuntimeService
    _device: Backend | None
    _session_id: str | None
    cell_id: str | None

    def __init__(
        self,
        service: QiskitRuntimeService | str | BackendV2 | None = None,
        backend: str | BackendV2 | None = None,
        max_time: int | str | timedelta | None = None,
        *,
        on_error: OnError = "cancel",
        tags: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        if is_backend(service):
            # As in qiskit-ibm-runtime: Session(backend, max_time).
            if is_backend(backend) and (max_time is not None or not isinstance(backend, str)):
                raise InvalidInputError(
                    f"two backends are given, service={service!r} and {backend!r}"
                )
            if backend is not None:
                max_time = parse_duration(backend)
            service, backend = None, service
        seconds = None if max_time is None else parse_duration(max_time)
        self._begin(service_for(service, backend), on_error, tags, name)
        self.cell_id = whereabouts.cell_id()
        device = self._device = backend_for(self._service, backend)
        # Of several instances of an account, the one that has the backend.
        asked, self._service = self._service, service_of(device)
        if device.simulator:
            return
        try:
            try:
                created = self._created(device, seconds)
            except ServiceError as error:
                refused = _refused(error, max_time)
                if not isinstance(refused, PlanError):
                    raise refused from error
                # Instances with a free plan are asked first, and have no sessions.
                created = self._created_elsewhere(asked, device, seconds, refused)
        except ServiceUnavailableError as error:
            error.add_note(
                "It is not known whether a session was opened: service.sessions(pending=True) "
                f"lists open sessions, and {type(self).__name__}.from_id(id).close() ends one."
            )
            raise
        self._session_id = created.id
        if self._service.heartbeat is not None:
            self._service.heartbeat.hold(self)

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
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> Self:
        """Return an existing session. Nothing is created or changed on the service.

        A closed session can be read; only `run` refuses.

        Args:
            session_id: its id.
            service: as for the constructor.
            backend: name or object of its backend, to be checked; None checks nothing.
            on_error: as for the constructor.
            tags: as for the constructor.
            name: as for the constructor.
            use_fractional_gates: as for `QiskitRuntimeService.backend`, for the session's backend.
            calibration_id: only None is allowed; accepted for programs that name it.

        Raises:
            NotFoundError: if there is no such session.
            InvalidInputError: a ValueError, if it is a batch and not a session, or the other way
                round, or if it is on another backend.
        """
        no_calibration(calibration_id)
        validation.given(validation.boolean, "use_fractional_gates", use_fractional_gates)
        meant = service_for(service, backend)
        # Values that cannot be used are refused before the service is asked.
        device = None if backend is None else backend_name(backend)
        session = super().__new__(cls)
        session._begin(meant, on_error, tags, name)
        session._service, found = session._service.find_session(session_id)
        extras = found.qsession or SessionExtrasDocument()
        session.name = session.name or extras.name or None
        mode = required(found.mode, "mode", f"GET /sessions/{session_id}")
        if mode != cls._MODE:
            hint = "Batch.from_id" if mode == Mode.BATCH else "Session.from_id"
            raise InvalidInputError(
                f"{session_id} has mode {mode!r}, and {cls.__name__} is for mode "
                f"{cls._MODE.value!r}; use {hint}"
            )
        own = known(found.backend_name)
        if device not in {None, own}:
            raise InvalidInputError(
                f"session {session_id} is on backend {own!r}, not on {device!r}"
            )
        session._session_id = found.id
        session._active = found.state != SessionState.CLOSED
        if own:
            session._device = session._service.backend(own)
        if use_fractional_gates is not None:
            session._device = session._service.backend(
                session.device.name, use_fractional_gates=use_fractional_gates
            )
        return session

    def __enter__(self) -> Self:
        enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self)
        self._end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import asyncio  # noqa: PLC0415 - 30 ms, and only who awaits needs it

        leave(self)
        await asyncio.to_thread(self._end, error)

    def __repr__(self) -> str:
        parts = [repr(self._session_id) if self._session_id else "simulator: no session"]
        known = None if self._device is None else self._device.name
        parts.append(f"backend={known!r}")
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"<{type(self).__name__}({', '.join(parts)})>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Display the session as its panel, if the widget libraries are installed."""
        try:
            panel = display.panel_of(self)
        except ImportError:
            return {"text/plain": repr(self)}, {}
        bundle: tuple[dict[str, Any], dict[str, Any]] = panel._repr_mimebundle_(
            include=include, exclude=exclude
        )
        return bundle

    def _ipython_display_(self) -> None:
        """Display the panel, in kernels as an output that is renewed until the session's end.

        Raises:
            NotImplementedError: where that is not possible; IPython then displays the MIME bundle.
        """
        try:
            panel = display.panel_of(self)
        except ImportError:
            raise NotImplementedError from None
        panel._ipython_display_()

    def __reduce__(self) -> tuple[Any, ...]:
        # By its id; on a simulator, where it has none, by its key and the jobs that it knows.
        with self._lock:
            jobs = list(self._own_jobs)
        values = {
            "key": self.key,
            "name": self.name,
            "total_jobs": self.total_jobs,
            "cell_id": self.cell_id,
            "_service": self._service,
            "_on_error": self._on_error,
            "_tags": self._tags,
            "_device": self._device,
            "_session_id": self._session_id,
            "_active": self._active,
            "_own_jobs": jobs,
        }
        return _again, (type(self), values)

    # Properties

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
        """The tags that are added to every job sent through this object; so is its name."""
        return list(self._tags)

    @property
    def simulator(self) -> bool:
        """Whether its backend is a simulator, so that there is no session on the service."""
        return self._device is not None and self._device.simulator

    @property
    def device(self) -> Backend:
        """Its backend, as an object.

        Raises:
            InvalidInputError: if the service has not said yet which backend it is.
        """
        if self.backend() is None or self._device is None:
            raise InvalidInputError(
                f"the backend of session {self._session_id} is not known yet; "
                "it is once a job has run"
            )
        return self._device

    def backend(self) -> str | None:
        """Return the name of its backend; None if the service has not said yet."""
        if self._device is None:
            name = self._document().backend_name
            self._device = self._service.backend(name) if name else None
        return None if self._device is None else str(self._device.name)

    # Its status

    def status(self) -> str | None:
        """Return its status.

        Returns:
            "Pending", "In progress, accepting new jobs", "In progress, not accepting new jobs" or
            "Closed"; None if the backend is a simulator. From `state` and `accepting_jobs` of
            GET /sessions/{id}.
        """
        if self._session_id is None:
            return None
        found = self._document()
        state = required(found.state, "state", f"GET /sessions/{self._session_id}")
        return session_status(state, accepting_jobs=bool(found.accepting_jobs))

    def details(self) -> SessionDetails | None:
        """Return everything that the service knows about it (GET /sessions/{id}).

        Returns:
            None if the backend is a simulator; else a dict with

            * id: its id.
            * backend_name: its backend.
            * interactive_timeout: seconds without a job after which it becomes inactive.
            * max_time: seconds that it may last from its first job on.
            * active_timeout: seconds that it may be active without a break.
            * state: open, active, inactive, closed, or pending_inactive, pending_closed.
            * accepting_jobs: whether it accepts jobs.
            * last_job_started, last_job_completed: times as text, RFC 3339 in UTC, or None.
            * started_at: when its first job started, in the same form.
            * closed_at: when it was closed, in the same form.
            * activated_at: when it last became active, in the same form.
            * mode: "dedicated" for a session, "batch" for a batch.
            * usage_time: as returned by `usage()`.
            * timestamps: every change of state, a list of {"status", "timestamp"}, times as above.
        """
        if self._session_id is None:
            return None
        return details_of(self._document())

    def usage(self) -> float | None:
        """Return its usage so far, in seconds (`elapsed_time` of GET /sessions/{id}).

        Returns:
            For a session the time that it was active, for a batch the device time of its jobs;
            None if the service has no figure, or if the backend is a simulator.
        """
        return None if self._session_id is None else known(self._document().elapsed_time)

    def cache_info(self) -> CacheInfo | None:
        """Return the figures of the runtime's cache, which makes the session's iterations fast.

        Returns:
            `{"hits", "misses", "seconds_saved"}`: how often its jobs found something in the cache
            (decoded circuits, transpiled circuits, noise models), how often it had to be made, and
            how many seconds it had taken to make what was found. None if the service does not say,
            or if the backend is a simulator.
        """
        if self._session_id is None:
            return None
        extras = self._document().qsession or SessionExtrasDocument()
        return cache_info_of(extras.cache) if extras.cache else None

    def jobs(self) -> list[RuntimeJob]:
        """List its jobs, the oldest first, each once, including those sent by other programs.

        If the backend is a simulator: the jobs that were sent through this object.
        """
        if self._session_id is None:
            with self._lock:
                return list(self._own_jobs)
        if "watch" in self._service.features:
            # One response holds them all, so none can be missed between two pages.
            found = self._service.api.watch(self._session_id)
            jobs = [] if found is None else found.jobs
            return [RuntimeJob(self._service, job.document.id, data=job) for job in jobs]
        return self._service.jobs(limit=None, session_id=self._session_id, descending=False)

    # Running jobs, and ending

    def run(
        self,
        program_id: str,
        inputs: Mapping[str, object],
        options: RuntimeOptions | Mapping[str, object] | None = None,
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
            callback: called on a background thread as `callback(job_id, result)`: on the local
                runtime with the result of each finished pub, and everywhere with the whole result.
            result_decoder: class with `decode(text)`, instead of the default decoder.
            optimization_level: as for `QiskitRuntimeService.run`.

        Raises:
            SessionClosedError: a RuntimeError, if it accepts no more jobs.
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
        own = self._service.active_instance()
        if given.instance not in {None, own}:
            raise InvalidInputError(
                f"options name instance {given.instance!r}, and this session is in {own!r}"
            )
        chosen = RuntimeOptions(
            device,
            given.image,
            given.log_level,
            own,
            [*self._tags, *self._name_as_tag(), *(given.job_tags or [])] or None,
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
        elif self._service.heartbeat is not None:
            self._service.heartbeat.hold(self)
        return job

    def bind(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return a function that runs as if in this session's `with` block, on any thread.

        A new thread does not know the blocks of the thread that starts it:
        `executor.map(session.bind(work), data)`. The session stays open when the function returns.

        Args:
            function: a function or a coroutine function.
        """
        return bound(self, validation.function("function", function))

    def close(self) -> str:
        """Accept no more jobs. Queued and running ones finish, then the session is closed.

        Closing it again changes nothing.

        Returns:
            A sentence that says what the session does now.
        """
        self._close()
        return self._how_it_ended()

    def cancel(self) -> str:
        """Accept no more jobs, and cancel the queued ones. Running ones finish.

        Cancelling it again changes nothing.

        Returns:
            A sentence that says what the session does now.
        """
        self._cancel()
        return self._how_it_ended()

    def cancel_queued_jobs(self) -> list[str]:
        """Cancel the queued jobs, and leave the session open.

        Returns:
            The ids of the cancelled jobs.
        """
        if self._session_id is not None and "watch" in self._service.features:
            return self._service.api.cancel_queued(self._session_id, key=str(uuid.uuid4()))
        return [job.job_id() for job in self.jobs() if job.queued() and _cancelled(job)]

    def progress(self, total: int | None) -> None:
        """Set how many jobs it will have: its panel then shows how many are left, and for how long.

        Args:
            total: all jobs of the session, those that have ended included; None clears it.

        Raises:
            InvalidInputError: for a total that is not a whole number above 0.
        """
        expected = None if total is None else validation.whole(1)("total", total)
        self.total_jobs: int | None = expected

    def on(
        self,
        event: EventName,
        function: Callable[[SessionEvent], object],
        *,
        minutes: float = 5.0,
    ) -> Callable[[], None]:
        """Call a function whenever something happens to the session, as JupyterLab's notices do.

        The function gets a `SessionEvent` (`kind`, `session`, `at`, `text`, `job_id`). All
        functions of a session are called on one thread of their own, one after the other, so they
        may take long and may use the session. What a function raises is logged, and ends nothing.

        Args:
            event: when to call it:

                * "active": the session has become active.
                * "inactive": it has become inactive, and its next job waits in the normal queue.
                * "ends_soon": no more than `minutes` are left of its maximum time; called once.
                * "job_failed": one of its jobs has failed; called for each.
                * "closed": it is closed. Not called if this process closed or cancelled it.
            function: the function.
            minutes: for "ends_soon": how many minutes before the end, by the service's clock.

        Returns:
            A function without arguments that ends this.

        Raises:
            InvalidInputError: for an unknown event, and for what is not a function.
        """
        return display.subscribe(self, event, function, minutes)

    @property
    def ended_here(self) -> bool:
        """Whether it was closed or cancelled through this object, or closed when it was found."""
        return not self._active

    def live(self) -> AbstractContextManager[object]:
        """Draw it in the terminal, live, while a `with` block runs."""
        return display.live(self)

    def ibm(self) -> OfficialSession:
        """Return a genuine `qiskit_ibm_runtime.Session`, or `Batch`, on the same id.

        It is for the primitives of qiskit-ibm-runtime, which take no other session: their jobs run
        in this one. Closing either object ends the session for both.

        Raises:
            InvalidInputError: if the backend is a simulator, which has no session on the service.
        """
        if self._session_id is None:
            raise InvalidInputError(f"{self!r} has no id that qiskit-ibm-runtime could use")
        with needed("IBM's session"):
            import qiskit_ibm_runtime

        batch = self._MODE is Mode.BATCH
        official = qiskit_ibm_runtime.Batch if batch else qiskit_ibm_runtime.Session
        return official.from_id(self._session_id, self._service.ibm())

    # Inside

    def _begin(
        self,
        service: QiskitRuntimeService,
        on_error: OnError,
        tags: Sequence[str] | None,
        name: str | None,
    ) -> None:
        """Set the state that both constructors share."""
        validation.one_of(*get_args(OnError))("on_error", on_error)
        self.key = str(uuid.uuid4())
        """Made by this client, so that sessions without an id on the service have a key, too."""
        self.name = None if name is None else validation.text("name", name)
        """A name by which people recognise it."""
        self.total_jobs = None
        """How many jobs it will have, as `progress` was told."""
        self.cell_id = None
        """The id of the notebook's cell that opened it; None if it was opened elsewhere."""
        self._service = service
        self._on_error: OnError = on_error
        self._tags = validation.tags("tags", tags) if tags is not None else []
        self._device = None
        self._session_id = None
        self._active = True
        self._lock = forking.Lock()
        self._own_jobs: list[RuntimeJob] = []

    def _created(self, device: Backend, seconds: int | None) -> SessionDocument:
        instance = service_of(device).active_account()["instance"]
        about = {
            "name": self.name,
            "place": whereabouts.notebook_or_script(),
            "process": processes.own_name(),
        }
        said = {key: value for key, value in about.items() if value}
        tells = "holders" in device.service.features
        return device.service.api.create_session(
            {
                "mode": self._MODE.value,
                "backend": device.name,
                **({"instance": instance} if instance else {}),
                **({"max_ttl": seconds} if seconds else {}),
                **({EXTRA: said} if tells else {}),
            },
            key=self.key,
        )

    def _created_elsewhere(
        self,
        asked: QiskitRuntimeService,
        device: Backend,
        seconds: int | None,
        refused: PlanError,
    ) -> SessionDocument:
        """Open it in another instance of the account whose plan has sessions.

        Raises:
            PlanError: the first refusal, if no instance has sessions.
        """
        for other in same_backend_elsewhere(asked, device):
            try:
                created = self._created(other, seconds)
            except ServiceError as error:
                if isinstance(_refused(error, None), PlanError):
                    continue
                raise
            self._device, self._service = other, service_of(other)
            return created
        raise refused

    def _closed_error(self) -> SessionClosedError:
        return SessionClosedError(
            f"{self!r} takes no more jobs; its jobs can still be read, and a new "
            f"{type(self).__name__} takes new ones"
        )

    def _name_as_tag(self) -> list[str]:
        return [self.name] if self.name and self.name not in self._tags else []

    def _document(self) -> SessionDocument:
        if self._session_id is None:
            return SessionDocument(id="")
        return self._service.api.session(self._session_id)

    def _stop(self) -> None:
        """Send no more jobs."""
        self._active = False
        if self._session_id is not None and self._service.heartbeat is not None:
            self._service.heartbeat.release(self)

    def _close(self) -> None:
        self._stop()
        if self._session_id is not None:
            with self._forgotten():
                self._service.api.close_session(self._session_id)

    def _cancel(self) -> None:
        self._stop()
        if self._session_id is None:
            self.cancel_queued_jobs()
        else:
            with self._forgotten():
                self._service.api.cancel_session(self._session_id)

    @contextmanager
    def _forgotten(self) -> Iterator[None]:
        """Treat the session as ended if the service does not know it, or no longer."""
        try:
            yield
        except NotFoundError:
            logger.info("Session %s is no longer on the service", self._session_id)

    def _end(self, error: BaseException | None) -> None:
        """End the session as `on_error` says, at the end of its `with` block."""
        if error is None:
            self._close()
        elif _is_interruption(error):
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
                # The first exception is the one that matters: this one must not replace it.
                logger.exception("%r could not be ended", self)
                error.add_note(f"{self!r} could not be ended and may be open: {problem}")

    def _how_it_ended(self) -> str:
        """Return how many jobs are left, in words. The session has ended even if this fails."""
        if self._session_id is None:
            return "takes no more jobs"
        try:
            page = self._service.api.jobs(session_id=self._session_id, pending="true", limit=1)
        except QSessionError:
            logger.info("Session %s: its jobs cannot be counted", self._session_id, exc_info=True)
            return "takes no more jobs"
        left = page.count
        if not left:
            return "closed: all its jobs are over"
        return f"takes no more jobs; {left} unfinished {'one goes' if left == 1 else 'ones go'} on"


@dataclass(frozen=True)
class SessionEvent:
    """What happened to a session, for the functions of `Session.on`.

    Attributes:
        kind: "active", "inactive", "ends_soon", "job_failed" or "closed".
        session: the session.
        at: when it was noticed, on the service's clock, in UTC.
        text: what happened, in a sentence.
        job_id: of the job that failed; None for other events.
    """

    kind: EventName
    session: Session
    at: datetime
    text: str
    job_id: str | None = None


class Batch(Session):
    """A batch: its jobs are sent to the backend together, and other users' may run in between.

    It is for jobs that do not depend on each other. Everything else is as for a Session; its usage
    is the device time of its jobs.
    """

    _MODE: ClassVar[Mode] = Mode.BATCH


def current_session() -> Session | None:
    """Return the session of the innermost `with` block that this code runs in."""
    return cast("Session | None", innermost_session())


def find_session(
    session: Session | OfficialSession | str, service: QiskitRuntimeService | None = None
) -> Session:
    """Return our session or batch for anything that names one.

    Args:
        session: its id; a session or batch of qiskit-ibm-runtime; or one of ours, which is
            returned as it is.
        service: where to look for an id; None is the default service.

    Raises:
        NotFoundError: if there is none of that id.
        InvalidInputError: for anything else, and for sessions of qiskit-ibm-runtime's local testing
            mode, which are not on a service.
    """
    if isinstance(session, Session):
        return session
    if isinstance(session, str):
        session_id, service = session, service or default_service()
    else:
        session_id, service = adopted_session(session)
    service, found = service.find_session(session_id)
    return (Batch if found.mode == Mode.BATCH else Session).from_id(session_id, service)


def _refused(error: ServiceError, max_time: int | str | timedelta | None) -> QSessionError:
    """Return the error to raise for a refused session, in the terms of the user's arguments."""
    refused = error.status_code in {_BAD_REQUEST, _FORBIDDEN}
    if error.code == _NO_SESSIONS_IN_PLAN or (refused and "open plan" in str(error).lower()):
        return PlanError(
            f"this account's plan has no sessions: {error}. Use a Batch, jobs outside of both, or "
            "an instance with another plan; the local runtime has sessions for everyone: "
            "Session(QiskitRuntimeService('local'), backend='fake_torino')",
            status_code=error.status_code,
            code=error.code,
        )
    if error.status_code != _BAD_REQUEST:
        return error
    given = "" if max_time is None else f" with max_time={max_time!r}"
    return InvalidInputError(f"the service refuses this session{given}: {error}")


def _again(kind: type[Session], values: dict[str, Any]) -> Session:
    """Make a session from its pickled values, without asking the service."""
    session = kind.__new__(kind)
    vars(session).update(values, _lock=forking.Lock())
    return session


def _is_interruption(error: BaseException) -> bool:
    """Whether an error ends a block from outside: Ctrl-C, or the end of its asyncio task."""
    # Not imported for this alone: without it, no task can have been cancelled.
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, KeyboardInterrupt) or (
        asyncio is not None and isinstance(error, asyncio.CancelledError)
    )


def _cancelled(job: RuntimeJob) -> bool:
    try:
        return job.cancel()
    except ConflictError:
        # It had ended or started before the request arrived.
        return False
