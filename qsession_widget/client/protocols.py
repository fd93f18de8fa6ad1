"""Protocols that name classes of higher modules by what lower modules use of them.

A service makes backends and jobs, and each of these keeps its service. A session runs jobs on a
service, and the service asks for the current session. With protocols, imports still go one way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from qsession_widget.client.jobs.job_contents import KnownContents
    from qsession_widget.client.jobs.result_summary import Summaries
    from qsession_widget.client.session_info import SessionSummary
    from qsession_widget.transport.rest import RuntimeApi


class Service(Protocol):
    """The service of a backend or job: a `QiskitRuntimeService`, which documents each name.

    Its methods return `Backend` and `RuntimeJob`, which cannot be named here: their modules import
    this one.
    """

    api: RuntimeApi

    @property
    def channel(self) -> str:
        """The kind of service."""

    @property
    def is_local(self) -> bool:
        """Whether it is a local runtime."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""

    @property
    def features(self) -> frozenset[str]:
        """What the service can do beyond IBM's REST API."""

    def known_to_offer(self, feature: str) -> bool:
        """Return whether the service is already known to have a feature."""

    def runs(self, program_id: str) -> bool:
        """Return whether the service runs a program, as far as it has said."""

    def note_missing(self, program_id: str) -> None:
        """Note that the service has refused a job because it does not run its program."""

    @property
    def summaries(self) -> Summaries:
        """What is known of results that were fetched."""

    @property
    def contents(self) -> KnownContents:
        """What is known of jobs that were sent, or whose inputs were read."""

    def active_instance(self) -> str | None:
        """Return the CRN of the instance; None on the local runtime."""

    def server_time(self) -> datetime:
        """Return the present time of the service."""

    def backend(
        self,
        name: str,
        instance: str | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> Any:
        """Return a backend."""

    def job(self, job_id: str) -> Any:
        """Return a job."""

    def jobs(
        self,
        limit: int | None = 10,
        skip: int = 0,
        backend_name: str | None = None,
        pending: bool | None = None,
    ) -> Sequence[Any]:
        """Return jobs."""

    def sessions(self, limit: int | None = 10) -> list[SessionSummary]:
        """Return sessions and batches."""

    def run(
        self,
        program_id: str,
        inputs: Mapping[str, object],
        options: Any = None,
        *,
        callback: Callable[[str, Any], object] | None = None,
        result_decoder: Any = None,
        session_id: str | None = None,
        optimization_level: int | None = None,
    ) -> Any:
        """Run a program, and return its job."""

    def close(self) -> None:
        """Close the connections."""


class OpenSession(Protocol):
    """A session whose `with` block is running: a `Session` or `Batch`."""

    @property
    def session_id(self) -> str | None:
        """Its id on the service; None on a simulator."""
