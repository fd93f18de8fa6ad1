"""A job on a service: its status, its result, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qsession_widget.client import display
from qsession_widget.client.jobs import async_wait
from qsession_widget.client.jobs.base_job import PolledJob
from qsession_widget.client.jobs.result_decoder import decode, decode_result
from qsession_widget.errors import (
    ConflictError,
    JobCancelledError,
    JobFailedError,
    NotFoundError,
    QSessionError,
)
from qsession_widget.support import validation, whereabouts
from qsession_widget.support.handles import Shared
from qsession_widget.transport.rest import ReceivedJob
from qsession_widget.wire.documents import (
    EstimateDocument,
    JobDocument,
    JobMetricsDocument,
    JobStateDocument,
    ProgramDocument,
    UsageDocument,
    job_status,
    known,
    read,
    required,
)
from qsession_widget.wire.states import FINAL_JOB_STATUS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from qsession_widget.client.backends.backend import Backend
    from qsession_widget.client.backends.backend_record import Record
    from qsession_widget.client.jobs.result_decoder import ResultDecoder
    from qsession_widget.client.protocols import Service


_CANCEL_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses before cancelling is tried again, if a refusal and the status contradict each other."""
_UNFINISHED = frozenset({"QUEUED", "RUNNING"})


@dataclass(frozen=True)
class Estimate:
    """When a queued job may start, and how the service estimated that.

    Attributes:
        start_seconds: seconds from now, on the service's clock.
        basis: what it is based on, such as "12 jobs of this session took 0.8 s each (median)".
    """

    start_seconds: float
    basis: str


class RuntimeJob(Shared, PolledJob):
    """A job on a service. Made by `run` of a primitive or session, or by `service.job(id)`.

    A final job never changes, so its status and result are kept and not asked for again.

    Args:
        service: the service that it runs on.
        job_id: its id.
        data: JSON of GET /jobs/{id}, if it is known already, alone or as the API has read it.
        result_decoder: class with `decode(text)`, instead of the default decoder.
    """

    JOB_FINAL_STATES = ("DONE", "CANCELLED", "ERROR")
    ERROR = "ERROR"

    def __init__(
        self,
        service: Service,
        job_id: str,
        *,
        data: Mapping[str, Any] | ReceivedJob | None = None,
        result_decoder: type[ResultDecoder] | ResultDecoder | None = None,
    ) -> None:
        if data is not None and not isinstance(data, ReceivedJob):
            data = ReceivedJob(read(JobDocument, data), data)
        super().__init__(service, job_id, data)
        self._decoder = result_decoder
        self._result: tuple[object, Any] | None = None
        self._sent_at: tuple[str, int] | None = None

    def __repr__(self) -> str:
        parts = [repr(self._job_id)]
        if self._received is not None:
            document = self._received.document
            program, state = document.program, document.state
            parts.extend([repr(program.id)] if program and program.id else [])
            parts.extend([job_status(document)] if state and state.status else [])
        return f"<{type(self).__name__}({', '.join(parts)})>"

    def _repr_mimebundle_(self, **_kinds: object) -> dict[str, str]:
        """Display the job as a card: its states with times, result, circuit, and line of code."""
        try:
            return display.card_of(self)
        except ImportError:
            return {"text/plain": repr(self)}

    def _ipython_display_(self) -> None:
        """Display the card in a notebook; while the job goes on, one that follows and cancels it.

        Raises:
            NotImplementedError: where that is not possible; IPython then displays the MIME bundle.
        """
        try:
            follows = display.follow(self)
        except (ImportError, QSessionError):
            follows = False
        if not follows:
            raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        # By its id: its state is fetched again where it is unpickled.
        return _again, (self._service, self._job_id, self._decoder)

    # Properties

    @property
    def service(self) -> Service:
        """The service that it runs on."""
        return self._service

    @property
    def data(self) -> Mapping[str, Any]:
        """Its last known JSON (GET /jobs/{id}), without its inputs."""
        return self._known().json

    @property
    def program_id(self) -> str:
        """Its program, for example "sampler" (`program.id`)."""
        program = self.document.program or ProgramDocument()
        return required(program.id, "program.id", self._request)

    @property
    def primitive_id(self) -> str:
        """Another name for `program_id`."""
        return self.program_id

    @property
    def image(self) -> str:
        """The runtime image that was asked for; empty for the service's own (`runtime`)."""
        return self.document.runtime or ""

    @property
    def private(self) -> bool:
        """Whether the service deletes its inputs, and returns its result only once (`private`)."""
        return bool(self.document.private)

    @property
    def instance(self) -> str | None:
        """CRN of the instance that it runs in; None on the local runtime."""
        return self._service.active_instance()

    @property
    def usage_estimation(self) -> dict[str, float | None]:
        """How long it may take: `quantum_seconds` of device time, None if the service gives none.

        The local runtime gives one for jobs that will run for ten minutes and more, once some of
        their shots or parts are done: the time that they run in all.

        Source: `estimated_running_time_seconds`.
        """
        return {"quantum_seconds": known(self.document.estimated_running_time_seconds)}

    @property
    def session_id(self) -> str | None:
        """Its session; None outside of sessions (`session_id`)."""
        return known(self.document.session_id)

    @property
    def tags(self) -> list[str]:
        """Its tags (`tags`)."""
        return list(self.document.tags or [])

    @property
    def creation_date(self) -> datetime:
        """When the service took it, in UTC (`created`)."""
        created = datetime.fromisoformat(required(self.document.created, "created", self._request))
        return created if created.tzinfo else created.replace(tzinfo=UTC)

    @property
    def inputs(self) -> dict[str, Any]:
        """Its inputs, decoded; empty if the service keeps none (`params`)."""
        found: dict[str, Any] = decode(self._service.api.job_with_inputs(self._job_id))
        return found.get("params") or {}

    def backend(self, timeout: float | None = None) -> Backend:
        """Return the backend that it runs on.

        Args:
            timeout: has no effect; accepted for programs that name one.

        Raises:
            BackendNotFoundError: if the service no longer has it.
        """
        validation.timeout("timeout", timeout)
        name = required(self.document.backend, "backend", self._request)
        found: Backend = self._service.backend(name)
        return found

    def properties(self, refresh: bool = False) -> Record | None:
        """Return the properties that its backend had when it was sent, as `Backend.properties`.

        Args:
            refresh: has no effect, since nothing is kept and they are always fetched.
        """
        validation.boolean("refresh", refresh)
        return self.backend().properties(datetime=self.creation_date)

    @property
    def submitted_by(self) -> str | None:
        """The line of the user's code that sent it; None for a job of another process.

        In a notebook with the number of its cell: "In[5], line 3: job = sampler.run([bell])".
        """
        return None if self._sent_at is None else whereabouts.described(*self._sent_at)

    def sent_from_here(self) -> None:
        """Note the line of the user's code that runs now as the one that sent the job."""
        self._sent_at = whereabouts.users_line()

    # Its status

    def status(self) -> str:
        """Return its status.

        Returns:
            "QUEUED", "RUNNING", "DONE", "ERROR" or "CANCELLED"; any other state of the service is
            returned in capitals (`state.status`).
        """
        if not self._over():
            self._refresh()
        return job_status(self.document)

    def queued(self) -> bool:
        """Return whether it waits for its backend."""
        return self.status() == "QUEUED"

    def running(self) -> bool:
        """Return whether it is running."""
        return self.status() == "RUNNING"

    def done(self) -> bool:
        """Return whether it ended with a result."""
        return self.status() == "DONE"

    def errored(self) -> bool:
        """Return whether it failed, or was stopped at its time limit."""
        return self.status() == "ERROR"

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.status() == "CANCELLED"

    def in_final_state(self) -> bool:
        """Return whether it is final: done, failed or cancelled."""
        return self.status() in FINAL_JOB_STATUS or self._ended_unheard_of()

    @property
    def queue_position(self) -> int | None:
        """Its place in the queue, 1 for the next job to start; None if the service gives none.

        Source: `qsession.queue_position` of the local runtime's jobs. IBM gives none.
        """
        return known(self._extras().queue_position)

    @property
    def estimate(self) -> Estimate | None:
        """When it may start, while it is queued; None if the service gives no estimate.

        Source: `qsession.estimate` of the local runtime's jobs. IBM gives none, and the client
        makes no estimate of its own.
        """
        found = self._extras().estimate or EstimateDocument()
        seconds = known(found.start_seconds)
        return None if seconds is None else Estimate(seconds, found.basis or "")

    @property
    def sub_status(self) -> str | None:
        """What a running job is doing; None if the service does not say.

        "preparing", "on_device" or "post_processing": `qsession.sub_status` of the local runtime's
        jobs. IBM has no sub-status: its RUNNING also covers classical preparation.
        """
        return known(self._extras().sub_status)

    def error_message(self) -> str | None:
        """Return why it failed, with the service's reason and code; None if it did not fail."""
        if self.status() != "ERROR":
            return None
        state = self.document.state or JobStateDocument()
        reason = state.reason or self._traceback() or "the service gives no reason"
        code = f"Error code {state.code};" if state.code else ""
        return " ".join(filter(None, [code, reason, known(state.reason_solution)])).strip()

    def metrics(self) -> dict[str, Any]:
        """Return the service's metrics: timestamps, usage, versions (GET /jobs/{id}/metrics)."""
        return self._service.api.metrics(self._job_id)

    def usage(self, partial: bool = False) -> float | None:
        """Return the seconds of device time that it used; None while the service has no figure.

        Source: `usage.qpu_charge_time_seconds` of GET /jobs/{id}/metrics.

        Args:
            partial: whether to return a figure that may still grow.
        """
        wanted_now = validation.boolean("partial", partial)
        usage = read(JobMetricsDocument, self.metrics()).usage or UsageDocument()
        open_still = usage.status == "pending" and not wanted_now
        return None if open_still else known(usage.qpu_charge_time_seconds)

    def logs(self) -> str:
        """Return its log; empty if there is none (GET /jobs/{id}/logs)."""
        try:
            return self._service.api.logs(self._job_id)
        except NotFoundError:
            return ""

    # Its result, and changes

    def result(
        self,
        timeout: float | None = None,
        decoder: type[ResultDecoder] | ResultDecoder | None = None,
        poll_interval: float | None = None,
    ) -> Any:
        """Wait for its result.

        A KeyboardInterrupt ends the waiting, not the job; a note on it says how to get the job
        back.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.
            decoder: class with `decode(text)`; None takes the decoder given to `run`, else the
                default one.
            poll_interval: as for `wait_for_final_state`.

        Returns:
            For sampler and estimator a PrimitiveResult with one PubResult for each pub. None if the
            service no longer has the result (a private job's is returned once).

        Raises:
            JobFailedError: if it failed; the message holds the service's reason. Also if it ended
                in a state that this version does not know.
            JobCancelledError: if it was cancelled.
            JobTimeoutError: if it is unfinished after the timeout. It goes on.
            CodecError: if the result cannot be decoded.
            InvalidInputError: for a timeout or decoder that cannot be used.
        """
        validation.given(validation.decoder, "decoder", decoder)
        self.wait_for_final_state(timeout, poll_interval)
        self._check_success()
        wanted = decoder or self._decoder
        kept = self._result
        if kept is None or kept[0] is not wanted:
            # No lock is held: decoders are the user's code, and may use this job.
            text = self._result_text()
            kept = (wanted, None if text is None else self.decode(text, wanted))
            if not self._known_to_be_private():
                self._service.summaries.note(self.document, kept[1])
            with self._lock:
                if self._result is None or self._result[0] is not wanted:
                    self._result = kept
                kept = self._result
                if not self._known_to_be_private():
                    # It is large, and can be fetched again.
                    self._text = None
        return kept[1]

    def final_text(self) -> str | None:
        """Wait for the text that `result` decodes; None if the service no longer has it.

        Raises:
            JobFailedError, JobCancelledError: as for `result`.
        """
        self.wait_for_final_state()
        self._check_success()
        return self._result_text()

    def cancel(self) -> bool:
        """Cancel it. A running job may take a moment to end.

        Returns:
            True: it is cancelled, or soon will be; also if it had been cancelled before.

        Raises:
            ConflictError: if it is done or failed already.
        """
        for pause in (*_CANCEL_PAUSES_SECONDS, None):
            try:
                self._service.api.cancel_job(self._job_id)
            except ConflictError as error:
                status = self.status()
                if status == "CANCELLED":
                    return True
                if pause is not None and status in _UNFINISHED:
                    # It is ending at this moment: the status does not yet show why it was refused.
                    self._service.api.transport.pause(pause)
                    continue
                raise ConflictError(
                    f"job {self._job_id} cannot be cancelled: it is {status}",
                    status_code=error.status_code,
                    code=error.code,
                ) from error
            break
        return True

    def update_tags(self, new_tags: Sequence[str]) -> list[str]:
        """Replace its tags (PUT /jobs/{id}/tags).

        Args:
            new_tags: the new tags.

        Returns:
            Its tags as the service has them now.

        Raises:
            InvalidInputError: if they are not a list of texts.
        """
        self._service.api.update_tags(self._job_id, validation.tags("new_tags", new_tags))
        # A final job never changes, except for its tags.
        self._refresh(changed_only=False, anew=True)
        return self.tags

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for its result like `result()`, and let other asyncio tasks run meanwhile.

        Cancelling the task ends the waiting at once, not the job.
        """
        return self._awaited().__await__()

    def decode(self, text: str, decoder: type[ResultDecoder] | ResultDecoder | None = None) -> Any:
        """Decode a text from the service as this job's results are decoded.

        Args:
            text: the text.
            decoder: class or object with `decode(text)`; None takes the job's own.

        Raises:
            InvalidInputError: for a decoder that cannot be used.
        """
        validation.given(validation.decoder, "decoder", decoder)
        return decode_result(text, self.program_id, decoder or self._decoder)

    # Inside

    def _check_success(self) -> None:
        """Raise the error of `result` if the job has no result."""
        match job_status(self.document):
            case "DONE":
                pass
            case "ERROR":
                raise JobFailedError(
                    f"job {self._job_id} failed: {self.error_message()}", job_id=self._job_id
                )
            case "CANCELLED":
                raise JobCancelledError(
                    f"job {self._job_id} was cancelled and has no result", job_id=self._job_id
                )
            case unknown:
                raise JobFailedError(
                    f"job {self._job_id} ended as {unknown}, which is not a state with a result",
                    job_id=self._job_id,
                )

    def _known_to_be_private(self) -> bool:
        return self._received is not None and bool(self._received.document.private)

    @property
    def _request(self) -> str:
        """The request for its JSON, for messages about answers that do not fit."""
        return f"GET /jobs/{self._job_id}"

    async def _awaited(self) -> Any:
        await self._over_in_the_end()
        return await async_wait.in_thread(self.result, f"qsession-await-{self._job_id}")

    def _traceback(self) -> str:
        """Return the last traceback of a failed job, which IBM sends instead of a result."""
        text = self._service.api.results(self._job_id) or ""
        return text[text.rfind("Traceback") :] if "Traceback" in text else text


def _again(
    service: Service,
    job_id: str,
    decoder: type[ResultDecoder] | ResultDecoder | None,
) -> RuntimeJob:
    return RuntimeJob(service, job_id, result_decoder=decoder)
