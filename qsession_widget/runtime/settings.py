"""What an operator can choose about a local runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from qsession_widget.runtime import clock
from qsession_widget.runtime.machine import memory_bytes, processors
from qsession_widget.wire import discovery
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


Policy = Literal["dedicated", "shared"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True)
class Settings:
    """Settings of a local runtime. Times are in seconds.

    Attributes:
        home: folder that holds all its files.
        host: address at which others can reach it too; None is nobody but this machine.
        port: TCP port at that address, or else on the loopback interface; 0 takes the previous
            one there, or any that is free.
        tls_cert: file with the certificate for that address, in PEM, with those of its issuers.
        tls_key: file with the certificate's key; None where it is in the same file.
        workers: processes that run jobs. By default one for each processor that the runtime may
            use, but two at least, so that a long job is not in everybody's way.
        max_session_seconds: longest `max_ttl` of a session, and the default (IBM: 8 hours).
        interactive_seconds: how long an active session may idle (IBM: one minute).
        batch_interactive_seconds: the same of a batch (IBM: one minute in the text, one second in
            the sample beside it); None is as long as a session may.
        stop_at_max_time: whether running jobs are stopped when their session reaches its maximum
            time (IBM: they go on; of the cost limit one page says so, and another that they stop).
        first_job_seconds: how long a session without any job stays open (IBM: 30 minutes).
        max_job_seconds: longest time that a job may run (IBM: 3 hours).
        min_job_seconds: shortest time that a job lasts, by the runtime's clock, so that a lesson
            can watch it. Under a virtual clock it is how long each job lasts.
        idle_exit_seconds: the runtime ends after so long without request, session or job;
            0 means never.
        max_body_bytes: largest request body.
        max_circuits: most circuits (pubs, items) of a job.
        max_qubits: most qubits that a circuit may use; 0 is what its device has.
        max_shots: most shots of a circuit; 0 is what its device takes.
        max_job_memory_bytes: most memory that a job may take in its worker (on Linux); 0 is no
            limit. By default half of what the runtime may have, see `machine`.
        max_result_bytes: largest result of a job; 0 is what the store takes, a thousand million.
        max_pending_jobs: most jobs of one owner that have not ended.
        max_pending_jobs_in_total: most jobs of all owners that have not ended.
        max_open_sessions: most sessions of one owner that are not closed.
        retention_days: how long the params and results of jobs that have ended are kept; 0 is for
            ever.
        max_store_bytes: size of the store from which on the oldest of them go; 0 is none.
        hold_quick_polls: whether the second and later polls of an unfinished job, by a client
            that cannot ask for it, are answered when the job changes, or after a second.
        clock: of sessions and jobs: "real", "60x" (or any other number of times as fast), or
            "virtual", which stands still until it is advanced.
        policy: whether an active session has its device to itself ("dedicated", as at IBM) or only
            goes first ("shared"); None is "shared" while the runtime has several owners.
        lanes: how many jobs of one device may be in work at once, one of them on the device and the
            others before it or after it (IBM: 5).
        hold_new_jobs_seconds: how long the answer to a new job that can start at once may wait for
            the job's end, for a client that cannot ask for it and pauses for longer than this
            after its first poll; 0 means not at all.
        devices: the only devices to serve, besides copies and aliases; without any, all.
        copies: how many there are of a device, where it is not one.
        aliases: further names of devices.
    """

    home: Path = field(default_factory=discovery.home)
    host: str | None = None
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    workers: int = field(default_factory=lambda: max(2, processors()))
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
    lanes: int = 1
    hold_new_jobs_seconds: float = 0.05
    devices: tuple[str, ...] = ()
    copies: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def interactive_limit(self, mode: Mode) -> int:
        """Say how long an active session of a kind may idle, in seconds."""
        if mode is Mode.BATCH and self.batch_interactive_seconds is not None:
            return self.batch_interactive_seconds
        return self.interactive_seconds
