"""Route of the runtime's status: workers, backends, sessions, store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import parsing, serializers
from qsession_widget.runtime.http.requester import is_administrator
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.store.retention import used_bytes
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.store.store import Store


@dataclass(frozen=True)
class StatusRoutes:
    """The endpoint `/qsession/status`.

    Attributes:
        version: of the package.
    """

    clock: Clock
    store: Store
    coordinator: Coordinator
    version: str

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/status", self.read_status)]

    async def read_status(self, request: Request) -> Response:
        """GET /qsession/status: read what the runtime does. Users see their own part of it.

        All users see how long the queues are; whose jobs are in them only the administrator.
        """
        owner = parsing.owner(request)
        sees_all = is_administrator(request)
        now = self.clock.now()
        size = await self.store.read(used_bytes)
        sessions = self.coordinator.sessions(None if sees_all else owner)
        shown = sorted(sessions, key=lambda each: each.created_at)[-bounds.PAGE :]
        return JsonAnswer(
            {
                "version": self.version,
                "now": serializers.instant(now),
                "rate": self.clock.rate,
                "policy": self.coordinator.policy,
                "workers": self._workers(None if sees_all else owner),
                "hosts": [asdict(each) for each in self.coordinator.hosts()] if sees_all else [],
                "devices": self._devices(None if sees_all else owner),
                "sessions": [
                    serializers.session_document(
                        session,
                        now=now,
                        rate=self.clock.rate,
                        policy=self.coordinator.policy,
                        abandoned=self.coordinator.is_abandoned(session),
                    )
                    for session in shown
                ],
                "session_count": len(sessions),
                "store": {"bytes": size},
            }
        )

    def _workers(self, owner: str | None) -> list[dict[str, Any]]:
        """Describe the workers. Jobs are named to their owner only; None stands for all owners."""
        found = []
        for place in self.coordinator.workers():
            job = self.coordinator.job(place.job_id or "")
            named = job is not None and owner in {None, job.owner}
            found.append(
                {
                    "state": place.state,
                    "job_id": job.id if named and job else None,
                    "device": job.backend if job else None,
                    "pid": place.pid if owner is None else None,
                    "host": (place.host or None) if owner is None else None,
                }
            )
        return found

    def _devices(self, owner: str | None) -> list[dict[str, Any]]:
        """Count the jobs of each backend that has any, or whose session is open."""
        counts = self.coordinator.counts()
        reserves = self.coordinator.policy == "dedicated"
        holders = {
            each.backend: each
            for each in self.coordinator.sessions()
            if reserves and each.holds_device
        }
        names = {name for name, _ in counts} | {
            each.backend for each in self.coordinator.sessions(owner)
        }
        found = []
        for name in sorted(names | holders.keys()):
            holder = holders.get(name)
            named = holder is not None and owner in {None, holder.owner}
            found.append(
                {
                    "name": name,
                    "queued": counts[name, JobState.QUEUED],
                    "running": counts[name, JobState.RUNNING],
                    "session_id": holder.id if named and holder else None,
                }
            )
        return found
