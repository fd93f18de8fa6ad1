"""A runtime behind a relay that cuts responses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qsession_widget import (
    Batch,
    ConflictError,
    QiskitRuntimeService,
    RuntimeJob,
    Sampler,
    Session,
)
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.client.relays import Cut, listening
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.transport.rest import RuntimeApi

PARTS = (0.0, 0.02, 0.98)
"""How much arrives: nothing, a part of the head, all but the end of the body."""


@dataclass
class Place:
    """A runtime behind a relay.

    Attributes:
        service: sends through the relay.
        direct: sends to the runtime itself.
        cut: the relay.
    """

    service: QiskitRuntimeService
    direct: QiskitRuntimeService
    cut: Cut

    @property
    def api(self) -> RuntimeApi:
        return self.service.api

    def session(self) -> Session:
        """Open a session, and return it as seen through the relay."""
        opened = Session(self.direct, "fake_manila")
        return Session.from_id(str(opened.session_id), self.service)

    def job(self, **options: Any) -> RuntimeJob:
        """Run a job to its end, and return it as seen through the relay."""
        job = Sampler(self.direct.backend("aer_simulator"), options).run(bell(), shots=7)
        job.wait_for_final_state()
        return RuntimeJob(self.service, job.job_id())

    def waiting(self) -> tuple[Session, list[RuntimeJob]]:
        """Return a session with queued jobs, as seen through the relay."""
        session = self.session()
        sampler = Sampler(Session.from_id(str(session.session_id), self.direct))
        jobs = [sampler.run(bell()) for _ in range(3)]
        eventually(lambda: any(job.running() for job in jobs))
        return session, [RuntimeJob(self.service, job.job_id()) for job in jobs if job.queued()]


def place(folder: Path) -> Iterator[Place]:
    found = process.endpoint(folder=folder)
    cut = Cut(found.url)
    with listening(cut.serve) as port:
        service = QiskitRuntimeService("local", found.token, f"http://127.0.0.1:{port}")
        direct = QiskitRuntimeService("local", found.token, found.url)
        # The features are known, as after any earlier request.
        assert service.features
        yield Place(service, direct, cut)
        # An open session would reserve its device.
        for left in direct.sessions(limit=None, pending=True):
            kind = Batch if left.mode == "batch" else Session
            kind.from_id(left.id, direct).cancel()
        for job in direct.jobs(limit=None, pending=True):
            with suppress(ConflictError):
                job.cancel()
        service.close()
        direct.close()


def credentials(place: Place) -> tuple[str, str]:
    account = place.service._account
    assert account.token is not None
    assert account.url is not None
    return account.token, account.url
