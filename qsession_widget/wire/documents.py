"""JSON documents of sessions and jobs, as the REST API sends them.

The local runtime builds and encodes these structs, its OpenAPI description is generated from them,
and clients read answers into them. Fields are encoded in the order of their declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, get_args, get_origin

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError, field
from msgspec.structs import fields

from qsession_widget.errors import CodecError, ServiceError
from qsession_widget.support import structs
from qsession_widget.wire.fields import PROGRAMS
from qsession_widget.wire.states import (
    JOB_STATUS,
    RAN_TOO_LONG,
    JobState,
    Mode,
    SessionState,
    Stage,
)

LARGEST = 2**53 - 1
"""The largest integer that every JSON parser, and the store, holds exactly."""

WORKLOAD_MODES = ("job", "session", "batch")
WORKLOAD_STATUSES = ("pending", "in_progress", "completed", "canceled", "failed")

T = TypeVar("T")
Kind = TypeVar("Kind", bound="Document")

Maybe: TypeAlias = T | UnsetType
"""A field that other services and other releases may leave out."""


def _one_of(values: Iterable[str]) -> Meta:
    """Describe the values of a field. Readers accept others too: services get new ones."""
    return Meta(extra_json_schema={"enum": [str(value) for value in values]})


Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A time as RFC 3339 in UTC."""
Count = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": LARGEST})]
Seconds = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": LARGEST})]
ModeName = Annotated[str, _one_of(Mode)]
SessionStateName = Annotated[str, _one_of(SessionState)]
JobStateName = Annotated[str, _one_of(JobState)]
StageName = Annotated[str, _one_of(Stage)]
Cursor = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,15}$"})]
Payload = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class Document(Struct):
    """A JSON object of the wire.

    Attributes:
        sometimes: keys that the local runtime leaves out too; it sends all others.
        elsewhere: keys that only other services send.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[frozenset[str]] = frozenset()


class UsageDocument(Document):
    """What a session or job has used.

    IBM's clients before release 0.48 read `quantum_seconds`, later ones the other two.
    """

    qpu_charge_time_seconds: Maybe[float] = UNSET
    quantum_seconds: Maybe[float] = UNSET
    status: Maybe[Annotated[str, _one_of(["pending", "complete"])]] = UNSET


class TransitionDocument(Document):
    """A state that a session entered, and when."""

    status: Maybe[SessionStateName] = UNSET
    timestamp: Maybe[Instant] = UNSET


class SessionUsageDocument(Document):
    """What the usage of a session consists of."""

    on_device_seconds: Maybe[float] = UNSET
    preparing_seconds: Maybe[float] = UNSET
    idle_seconds: Maybe[float] = UNSET


class CacheDocument(Document):
    """How often a session's jobs found something in the caches of its worker."""

    hits: Maybe[Count] = UNSET
    misses: Maybe[Count] = UNSET
    seconds_saved: Maybe[float] = UNSET


class HolderDocument(Document):
    """The session that has a backend to itself while others wait; only its owner sees whose it is.

    Attributes:
        mine: whether it is the requester's own. Otherwise id, name and place are null.
        place: the notebook or the script that opened it.
        until: when it gives way if no more jobs come: an idle one becomes inactive, a running one
            ends at its maximum time.
        kernel_gone: whether the program that used it is known to have ended.
    """

    mine: Maybe[bool] = UNSET
    session_id: Maybe[str | None] = UNSET
    name: Maybe[str | None] = UNSET
    place: Maybe[str | None] = UNSET
    state: Maybe[Annotated[str, _one_of(["idle", "running"])]] = UNSET
    until: Maybe[Instant | None] = UNSET
    kernel_gone: Maybe[bool] = UNSET


class SessionExtrasDocument(Document):
    """The local runtime's additions to a session.

    Attributes:
        name: by which its owner recognises it.
        place: the notebook or the script that opened it.
        kernel: whether the programs that use it run: "unknown" if none has given its process.
        gives_way: whether it gives up its backend early once its program has ended.
        workers: how many jobs the runtime can run at once at present.
        waits_for_worker: whether its jobs wait, and only for one of these workers.
        estimated_by: what `estimated_running_time_seconds` of the job is known by.
        held_by: the session for which its queued jobs wait; null if they wait for none.
    """

    now: Maybe[Instant] = UNSET
    rate: Maybe[float] = UNSET
    policy: Maybe[Annotated[str, _one_of(["dedicated", "shared"])]] = UNSET
    created_at: Maybe[Instant] = UNSET
    first_job_ttl: Maybe[Count] = UNSET
    queued: Maybe[Count] = UNSET
    running: Maybe[Count] = UNSET
    usage: Maybe[SessionUsageDocument] = UNSET
    cache: Maybe[CacheDocument] = UNSET
    name: Maybe[str | None] = UNSET
    place: Maybe[str | None] = UNSET
    kernel: Maybe[Annotated[str, _one_of(["alive", "gone", "unknown"])]] = UNSET
    gives_way: Maybe[bool] = UNSET
    held_by: Maybe[HolderDocument | None] = UNSET
    workers: Maybe[Count] = UNSET
    waits_for_worker: Maybe[bool] = UNSET


class SessionDocument(Document):
    """A session, as GET /sessions/{id} returns it."""

    id: str
    backend_name: Maybe[str] = UNSET
    mode: Maybe[ModeName] = UNSET
    state: Maybe[SessionStateName] = UNSET
    state_reason: Maybe[str] = UNSET
    accepting_jobs: Maybe[bool] = UNSET
    max_ttl: Maybe[Seconds] = UNSET
    active_ttl: Maybe[Seconds] = UNSET
    interactive_ttl: Maybe[Count] = UNSET
    elapsed_time: Maybe[float] = UNSET
    user_id: Maybe[str] = UNSET
    started_at: Maybe[Instant | None] = UNSET
    activated_at: Maybe[Instant | None] = UNSET
    closed_at: Maybe[Instant | None] = UNSET
    last_job_started: Maybe[Instant | None] = UNSET
    last_job_completed: Maybe[Instant | None] = UNSET
    timestamps: Maybe[list[TransitionDocument]] = UNSET
    qsession: Maybe[SessionExtrasDocument] = UNSET


class ProgramDocument(Document):
    """The program that a job runs."""

    id: Maybe[Annotated[str, _one_of(PROGRAMS)]] = UNSET


class JobStateDocument(Document):
    """The state of a job, and why it failed or was cancelled.

    IBM sends the code of the reason as `reason_code` or as `reasonCode`.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset({"reason", "reason_code"})
    elsewhere: ClassVar[frozenset[str]] = frozenset({"reasonCode", "reason_solution"})

    status: Maybe[JobStateName] = UNSET
    reason: Maybe[str] = UNSET
    reason_code: Maybe[Count] = UNSET
    other_reason_code: Maybe[Count] = field(default=UNSET, name="reasonCode")
    reason_solution: Maybe[str] = UNSET

    @property
    def code(self) -> int | None:
        """The code of the reason, by either name."""
        return known(self.reason_code or self.other_reason_code)


class EstimateDocument(Document):
    """When a queued job may start, in seconds from now, and what that is based on."""

    start_seconds: Maybe[float] = UNSET
    basis: Maybe[str] = UNSET


class StagesDocument(Document):
    """When each stage of a job began."""

    preparing_at: Maybe[Instant | None] = UNSET
    on_device_at: Maybe[Instant | None] = UNSET
    post_processing_at: Maybe[Instant | None] = UNSET


class ResultSummaryDocument(Document):
    """A result in few characters: its first value, or its most frequent outcomes.

    Attributes:
        value: the expectation value of a first pub that has one only.
        standard_error: of that value.
        outcomes: the share of the shots, 0 to 1, of the most frequent outcomes, by their bits.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset({"value", "standard_error", "outcomes"})

    value: Maybe[float] = UNSET
    standard_error: Maybe[float] = UNSET
    outcomes: Maybe[dict[str, float]] = UNSET


class JobExtrasDocument(Document):
    """The local runtime's additions to a job.

    Attributes:
        number: its place among all jobs by arrival, which orders jobs of the same time.
        held_by: the session for which it waits; null if it waits for none.
        role: what the quantum program of an executor job stands for, such as "estimator".
        result_summary: its result in few characters; left out where there is none, and for private
            jobs.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset(
        {"pubs", "number", "estimated_by", "role", "result_summary"}
    )

    queue_position: Maybe[Count | None] = UNSET
    estimate: Maybe[EstimateDocument | None] = UNSET
    sub_status: Maybe[StageName | None] = UNSET
    stages: Maybe[StagesDocument] = UNSET
    running_at: Maybe[Instant | None] = UNSET
    finished_at: Maybe[Instant | None] = UNSET
    attempts: Maybe[Count] = UNSET
    pubs: Maybe[Count] = UNSET
    number: Maybe[Count] = UNSET
    estimated_by: Maybe[str] = UNSET
    held_by: Maybe[HolderDocument | None] = UNSET
    role: Maybe[str] = UNSET
    result_summary: Maybe[ResultSummaryDocument] = UNSET


class JobDocument(Document):
    """A job, as GET /jobs/{id} returns it."""

    sometimes: ClassVar[frozenset[str]] = frozenset(
        {"session_id", "cost", "runtime", "private", "params", "estimated_running_time_seconds"}
    )

    id: str
    backend: Maybe[str] = UNSET
    program: Maybe[ProgramDocument] = UNSET
    created: Maybe[Instant] = UNSET
    state: Maybe[JobStateDocument] = UNSET
    status: Maybe[JobStateName] = UNSET
    user_id: Maybe[str] = UNSET
    tags: Maybe[list[str]] = UNSET
    usage: Maybe[UsageDocument] = UNSET
    qsession: Maybe[JobExtrasDocument] = UNSET
    session_id: Maybe[str] = UNSET
    cost: Maybe[Seconds] = UNSET
    runtime: Maybe[str] = UNSET
    private: Maybe[bool] = UNSET
    params: Maybe[Payload] = UNSET
    estimated_running_time_seconds: Maybe[float | None] = UNSET


class CreatedJobDocument(Document):
    """A new job, as POST /jobs returns it."""

    sometimes: ClassVar[frozenset[str]] = frozenset({"session_id", "private"})

    id: str
    backend: Maybe[str] = UNSET
    session_id: Maybe[str] = UNSET
    private: Maybe[Annotated[bool, Meta(extra_json_schema={"const": True})]] = UNSET


class JobTimesDocument(Document):
    """When a job was created, when it started and when it ended."""

    created: Maybe[Instant] = UNSET
    running: Maybe[Instant | None] = UNSET
    finished: Maybe[Instant | None] = UNSET


class JobMetricsDocument(Document):
    """Metrics of a job, as GET /jobs/{id}/metrics returns them."""

    timestamps: Maybe[JobTimesDocument] = UNSET
    usage: Maybe[UsageDocument] = UNSET
    qiskit_version: Maybe[str] = UNSET
    position_in_queue: Maybe[Count | None] = UNSET


class WorkloadExtrasDocument(Document):
    """The local runtime's additions to a session or batch in a list.

    Attributes:
        idle: whether nothing of it is queued or runs.
    """

    name: Maybe[str | None] = UNSET
    state: Maybe[SessionStateName] = UNSET
    idle: Maybe[bool] = UNSET


class WorkloadDocument(Document):
    """A session, a batch or a job outside of both, as GET /workloads lists it."""

    sometimes: ClassVar[frozenset[str]] = frozenset({"accepting_jobs", "qsession"})

    id: str
    mode: Maybe[Annotated[str, _one_of(WORKLOAD_MODES)]] = UNSET
    status: Maybe[Annotated[str, _one_of(WORKLOAD_STATUSES)]] = UNSET
    status_reason: Maybe[str] = UNSET
    backend: Maybe[str] = UNSET
    instance: Maybe[str] = UNSET
    user_id: Maybe[str] = UNSET
    created: Maybe[Instant] = UNSET
    ended: Maybe[Instant | None] = UNSET
    tags: Maybe[list[str]] = UNSET
    usage: Maybe[UsageDocument] = UNSET
    accepting_jobs: Maybe[bool] = UNSET
    qsession: Maybe[WorkloadExtrasDocument] = UNSET


class WorkloadsDocument(Document):
    """A page of GET /workloads.

    Attributes:
        next: cursor of the following page.
        previous: cursor of the page before.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset({"next", "previous"})

    workloads: Maybe[list[WorkloadDocument]] = UNSET
    total_count: Maybe[Count] = UNSET
    limit: Maybe[Count] = UNSET
    next: Maybe[Cursor] = UNSET
    previous: Maybe[Cursor] = UNSET


class JobsDocument(Document):
    """A page of GET /jobs."""

    jobs: Maybe[list[JobDocument]] = UNSET
    count: Maybe[Count] = UNSET
    limit: Maybe[Count] = UNSET
    offset: Maybe[Count] = UNSET


class WatchDocument(Document):
    """A session and those of its jobs that changed, as GET /qsession/watch returns them.

    Attributes:
        revision: for the next request.
        more: whether more jobs have changed than one answer holds.
        deleted: ids of the jobs that were deleted.
    """

    revision: Maybe[Count] = UNSET
    session: Maybe[SessionDocument] = UNSET
    jobs: Maybe[list[JobDocument]] = UNSET
    more: Maybe[bool] = UNSET
    deleted: Maybe[list[str]] = UNSET
    now: Maybe[Instant] = UNSET


class InterimDocument(Document):
    """Results of pubs of an unfinished job, as GET /qsession/jobs/{id}/interim returns them.

    Attributes:
        interim: each an encoded result.
        next: how many there are so far, for the next request.
        final: whether the job will never change again.
    """

    interim: Maybe[list[str]] = UNSET
    next: Maybe[Count] = UNSET
    final: Maybe[bool] = UNSET


class OutcomeDocument(Document):
    """A final job with its result, as GET /qsession/jobs/{id}/outcome returns it."""

    job: Maybe[JobDocument] = UNSET
    etag: Maybe[str] = UNSET
    result: Maybe[str | None] = UNSET


def read(kind: type[Kind], found: Mapping[str, Any]) -> Kind:
    """Read decoded JSON as a document, tolerantly.

    Fields that are not known here are ignored, and those that cannot be read count as left out: an
    answer of another service, or of a newer release, is read as far as possible.

    Raises:
        CodecError: if it has no id, or is not an object.
    """
    try:
        return structs.convert(found, kind)
    except ValidationError as error:
        if not isinstance(found, Mapping):
            raise CodecError(f"a {kind.__name__} that is not an object: {error}") from error
        values = {
            name: _read_value(wanted, found[key])
            for key, (name, wanted) in _types(kind).items()
            if key in found
        }
        if values.get("id", UNSET) is UNSET and "id" in kind.__struct_fields__:
            raise CodecError(f"a {kind.__name__} without an 'id': {error}") from error
        return kind(**values)


@cache
def _types(kind: type[Document]) -> dict[str, tuple[str, Any]]:
    """Return the name and the type of each of a document's fields, by its key in the JSON."""
    return {each.encode_name: (each.name, each.type) for each in fields(kind)}


def _read_value(wanted: Any, value: Any) -> Any:
    """Read the value of a field; `UNSET` where that is impossible."""
    try:
        return structs.convert(value, wanted)
    except ValidationError:
        pass
    for choice in get_args(wanted) or (wanted,):
        if isinstance(choice, type) and issubclass(choice, Document) and isinstance(value, Mapping):
            return read(choice, value)
        if get_origin(choice) is list and isinstance(value, list):
            items = (_read_value(get_args(choice)[0], item) for item in value)
            return [item for item in items if item is not UNSET]
        text = choice is str or get_args(choice)[:1] == (str,)
        if text and isinstance(value, (int, float)):
            return str(value)
    return UNSET


def known(value: T | UnsetType) -> T | None:
    """Return the value of a field; None where it was left out."""
    return None if value is UNSET else value


def required(value: T | UnsetType | None, field: str, request: str) -> T:
    """Return the value of a field that cannot be done without.

    Args:
        value: the value, as it was read.
        field: the path of the field in the answer, for the message.
        request: what was asked for, such as "GET /jobs/ID", for the message.

    Raises:
        ServiceError: if the answer left it out, or had a value that cannot be read.
    """
    if value is UNSET or value is None:
        raise ServiceError(
            f"{request}: the answer has no {field!r}, or one that cannot be read",
            status_code=HTTPStatus.OK,
        )
    return value


_JOB_STATES = {state.lower(): state for state in JobState}
_ENDINGS = {
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "canceled": JobState.CANCELLED,
}


def job_status(job: JobDocument) -> str:
    """Return the value of `RuntimeJob.status()` for a job.

    Returns:
        "QUEUED", "RUNNING", "DONE", "ERROR" or "CANCELLED". For an unknown state, the final one
        that the top-level `status` names ("Cancelled - Ran too long"), so that no client waits for
        a job that has ended; else the unknown state in capitals, which is not final.

    Raises:
        ServiceError: if the service does not say in which state the job is.
    """
    state = job.state or JobStateDocument()
    text = required(state.status or job.status or None, "state.status", f"GET /jobs/{job.id}")
    summary = (job.status or text).lower()
    found = _JOB_STATES.get(text.lower()) or _ENDINGS.get(summary.split(" ")[0])
    if found is None:
        return text.upper()
    too_long = state.code == RAN_TOO_LONG
    if found is JobState.CANCELLED and (too_long or "ran too long" in summary):
        return JOB_STATUS[JobState.FAILED]
    return JOB_STATUS[found]
