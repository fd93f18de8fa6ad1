"""The settings of a local runtime, which an operator chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from qsession_widget.runtime import clock
from qsession_widget.runtime.machine import memory_bytes, processors
from qsession_widget.wire import discovery
from qsession_widget.wire.fields import PROGRAMS
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


Policy = Literal["dedicated", "shared"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

LOCAL_EXECUTOR = "local"
"""The executor that runs jobs in processes of this machine."""


@dataclass(frozen=True)
class Settings:
    """Settings of a local runtime. Times are in seconds.

    Attributes:
        home: folder for all of its files.
        store: URL of a database of PostgreSQL for sessions and jobs,
            postgresql://USER@HOST:PORT/DATABASE; None keeps them in a file in that folder. It may
            contain a password, and is not part of the repr.
        host: address for other machines; None serves this machine only.
        port: TCP port at that address, or else on the loopback interface; 0 takes the previous
            port, or any free one.
        tls_cert: file with the certificate chain for that address, in PEM.
        tls_key: file with the certificate's key; None if it is in the same file.
        self_signed: whether to make a certificate for that address in the folder, instead.
        workers: processes that run jobs. By default one for each processor that the runtime may
            use, but at least two, so that one long job does not block all others.
        executor: what runs the jobs: "local", processes on this machine; "dask", a Dask cluster of
            this machine; "dask://HOST:PORT" or "tls://HOST:PORT", the scheduler of another one.
        executor_ca: file with the authorities that are trusted with "tls://".
        executor_cert: file with the runtime's certificate for that.
        executor_key: file with its key; None if it is in the same file.
        host_lease_seconds: how long a host of a cluster goes on without hearing from the runtime.
        max_session_seconds: longest `max_ttl` of a session, and the default (IBM: 8 hours).
        interactive_seconds: how long an active session may idle (IBM: one minute).
        batch_interactive_seconds: the same for a batch (IBM: one minute in the text, one second in
            the example beside it); None is the same as for a session.
        stop_at_max_time: whether running jobs are stopped when their session reaches its maximum
            time (IBM: they go on; for the cost limit, IBM's pages contradict each other).
        first_job_seconds: how long a session stays open before its first job (IBM: 30 minutes).
        max_job_seconds: how long a job may run (IBM: 3 hours).
        min_job_seconds: how long a job lasts at least, by the runtime's clock, so that it can be
            watched in a lesson. Under a virtual clock, each job lasts exactly this long.
        idle_exit_seconds: the runtime ends after this time without requests, open sessions and
            unfinished jobs; 0 means never.
        max_body_bytes: largest request body.
        max_circuits: largest number of circuits (pubs, items) of a job.
        max_qubits: largest number of qubits of a circuit; 0 means as many as its backend has.
        max_shots: largest number of shots of a circuit; 0 means the limit of its backend.
        max_job_memory_bytes: memory that a job may use in its worker (on Linux); 0 means no
            limit. By default half of the runtime's memory, see `machine`.
        max_result_bytes: largest result of a job; 0 means the limit of the store, 1,000,000,000.
        max_pending_jobs: largest number of unfinished jobs of one owner.
        max_pending_jobs_in_total: largest number of unfinished jobs of all owners.
        max_open_sessions: largest number of open sessions of one owner.
        retention_days: how long payloads and results of finished jobs are kept; 0 means forever.
        max_store_bytes: size of the store above which the oldest of them are removed; 0 means no
            limit.
        hold_quick_polls: whether the second and later quick polls of an unfinished job are held
            until the job changes, or for a second, for clients that cannot ask for this.
        clock: the clock of sessions and jobs: "real", "60x" (or any other factor), or "virtual",
            which stands still until it is advanced.
        policy: whether an active session has its backend to itself ("dedicated", as at IBM) or
            only goes first ("shared"); None is "shared" while the runtime has several owners.
        yield_abandoned: whether an idle session whose programs have ended becomes inactive as soon
            as another job waits for its backend (IBM: only after `interactive_seconds`).
        beat_seconds: how often a program that the runtime cannot see, such as one on another
            machine, reports that it lives. After three intervals without a report it has ended.
        lanes: how many jobs of one backend may be in work at once, one of them on the device and
            the others before or after that (IBM: 5).
        hold_new_jobs_seconds: how long the request of a new job that can start at once is held for
            the job's end, for clients that cannot ask for this and that would pause for longer
            after their first poll; 0 means not at all.
        programs: the only programs to run. Without "sampler" and "estimator" it is like a service
            that takes primitives in the form of `executor` jobs only.
        devices: the only backends to serve, besides copies and aliases; empty means all.
        copies: how many backends to serve for one recorded device, if more than one.
        aliases: further names of backends.
    """

    home: Path = field(default_factory=discovery.home)
    store: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    self_signed: bool = False
    workers: int = field(default_factory=lambda: max(2, processors()))
    executor: str = LOCAL_EXECUTOR
    executor_ca: Path | None = None
    executor_cert: Path | None = None
    executor_key: Path | None = None
    host_lease_seconds: float = 15.0
    max_session_seconds: int = 28_800
    interactive_seconds: int = 60
    batch_interactive_seconds: int | None = None
    stop_at_max_time: bool = False
    first_job_seconds: int = 1_800
    max_job_seconds: int = 10_800
    min_job_seconds: float = 0.0
    idle_exit_seconds: int = 3_600
    max_body_bytes: int = 64 * 2**20
    max_circuits: int = 1_000
    max_qubits: int = 0
    max_shots: int = 0
    max_job_memory_bytes: int = field(default_factory=lambda: memory_bytes() // 2)
    max_result_bytes: int = 256 * 2**20
    max_pending_jobs: int = 10_000
    max_pending_jobs_in_total: int = 100_000
    max_open_sessions: int = 1_000
    retention_days: float = 0.0
    max_store_bytes: int = 0
    hold_quick_polls: bool = True
    clock: str = clock.REAL
    policy: Policy | None = None
    yield_abandoned: bool = True
    beat_seconds: float = 10.0
    lanes: int = 1
    hold_new_jobs_seconds: float = 0.05
    programs: tuple[str, ...] = PROGRAMS
    devices: tuple[str, ...] = ()
    copies: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def store_folder(self, home: Path) -> Path:
        """Return the folder of the store: one for each clock, so that no lesson moves the real one.

        Args:
            home: the folder below which it lies, on a disk of this machine.
        """
        return home if self.clock == clock.REAL else home / f"clock-{self.clock}"

    def interactive_limit(self, mode: Mode) -> int:
        """Return how long an active session of a mode may idle, in seconds."""
        if mode is Mode.BATCH and self.batch_interactive_seconds is not None:
            return self.batch_interactive_seconds
        return self.interactive_seconds
