"""What runs the jobs, as the rest of `control/` sees it: worker processes here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qsession_widget.runtime.worker.messages import Event

if TYPE_CHECKING:
    from qsession_widget.runtime.worker.messages import Task

OnEvent = Callable[[str, int, Event], None]
"""Is called in the event loop with a job's id, the number of its attempt, and an event of that."""


@dataclass(frozen=True)
class WorkerPlace:
    """What a worker does at present.

    Attributes:
        state: "starting", "idle" or "busy".
        job_id: the job that it runs, if any.
        pid: the id of its process, if there is one and it is known.
        host: the name of its machine; empty for this one.
    """

    state: str
    job_id: str | None
    pid: int | None
    host: str = ""


@dataclass(frozen=True)
class HostPlace:
    """A machine that lends workers.

    Attributes:
        host: its name.
        address: where it is reached; several of these may have one name.
        state: "ready", "draining", "drained" or "refused".
        slots: how many tasks it can run at once.
        busy: how many it runs.
        reason: why it is refused.
    """

    host: str
    address: str
    state: str
    slots: int
    busy: int
    reason: str = ""


class Executor(Protocol):
    """Runs tasks, one at a time on each of its workers, and reports what happens to them.

    All methods but `close` return at once, and are called in the event loop. After Done, Failed,
    Lost or HostLost, the worker of the task is free. There are no more events of a task that was
    cancelled.
    """

    @property
    def slots(self) -> int:
        """How many tasks can run at once; machines may join and leave."""

    @property
    def free(self) -> int:
        """How many tasks can be submitted now."""

    @property
    def busy(self) -> bool:
        """Whether a worker has a task, also one that was cancelled and has not stopped yet."""

    @property
    def giving_up(self) -> bool:
        """Whether a worker will soon be free, since its task was cancelled."""

    def places(self) -> list[WorkerPlace]:
        """Return what each worker does."""

    def hosts(self) -> list[HostPlace]:
        """Return the machines that lend workers, besides this one."""

    def drain(self, host: str) -> int:
        """Drain a machine: let it go once the tasks that it has are over.

        Args:
            host: its name or its address.

        Returns:
            How many are meant by it; 0 if it is unknown.
        """

    def start(self) -> None:
        """Start the workers, or look for them."""

    def stop(self) -> None:
        """End the workers' tasks; no event follows."""

    async def close(self) -> None:
        """Wait until other machines have heard of `stop`, for some seconds at most."""

    def warm(self, affinity: str, device: str) -> None:
        """Prepare a free worker for tasks to come, if there is one.

        Args:
            affinity: affinity of the tasks.
            device: name under which their device was recorded.
        """

    def submit(self, task: Task) -> None:
        """Submit a task to a free worker, preferably to the last one of its affinity."""

    def grant_device(self, job_id: str) -> None:
        """Let a task that has asked for its device go on. Unknown jobs are ignored."""

    def cancel(self, job_id: str) -> None:
        """Cancel a task; there are no more events of it. Unknown jobs are ignored."""


MakeExecutor = Callable[[OnEvent, Callable[[], None]], Executor]
"""Makes an executor, given where its events go, and what to call when a cancelled task's worker is
free again."""
