"""The executor that runs tasks on the hosts of a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import secrets
import socket
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import dask
import distributed

from qsession_widget.runtime.control.executor import HostPlace, WorkerPlace
from qsession_widget.runtime.dask import frames, worker_host
from qsession_widget.runtime.dask.host_link import HostLink
from qsession_widget.runtime.dask.lease import Lease
from qsession_widget.runtime.dask.versions import disagreement, versions
from qsession_widget.runtime.dask.worker_host import WorkerHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from qsession_widget.runtime.control.executor import OnEvent
    from qsession_widget.runtime.dask.host_link import Slot
    from qsession_widget.runtime.settings import Settings
    from qsession_widget.runtime.worker.messages import Task

log = logging.getLogger(__name__)

LOCAL = "dask"
"""The address that stands for a cluster of this machine, which the executor starts."""

_LOOK_SECONDS = 2.0
"""How often the members are asked for, though the scheduler tells of changes."""

_RECONNECT_SECONDS = 1.0
_CONNECT_SECONDS = 10.0
_JOIN_SECONDS = 30.0
_AGAIN_SECONDS = 30.0
_CLOSE_SECONDS = 3.0


# Its messages are about comms and futures. What they mean here is logged here.
for _name in ("distributed", "distributed.client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class DaskExecutor:
    """Runs tasks on hosts that join and leave.

    Args:
        settings: of the runtime; `executor` is the address of the scheduler.
        on_event: is told the events of tasks.
        on_free: is called when a slot may be free that was not.
    """

    def __init__(self, settings: Settings, on_event: OnEvent, on_free: Callable[[], None]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._on_free = on_free
        self._links: dict[str, HostLink] = {}
        self._earlier: list[HostLink] = []
        self._refused: dict[str, _Refused] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._by_job: dict[str, Slot] = {}
        self._connected = False
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        where = f"{socket.gethostname()}:{settings.store_folder(settings.home).absolute()}"
        self._name = hashlib.sha256(where.encode()).hexdigest()[:16]

    # -- what runs ------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many tasks can run at once."""
        return sum(len(link.slots) for link in self._ready())

    @property
    def free(self) -> int:
        """How many tasks can be submitted now; none while the scheduler is out of reach."""
        return sum(1 for _ in self._free_slots())

    @property
    def busy(self) -> bool:
        """Whether a slot has a task, also one that was cancelled and has not stopped yet."""
        return any(link.busy for link in self._all())

    @property
    def giving_up(self) -> bool:
        """Whether a slot will soon be free, since its task was cancelled."""
        return any(slot.given_up for link in self._ready() for slot in link.slots)

    def places(self) -> list[WorkerPlace]:
        """Return what each slot does."""
        return [
            WorkerPlace(
                "idle" if slot.task is None else "busy",
                None if slot.task is None or slot.given_up else slot.task.job_id,
                None,
                host=link.host,
            )
            for link in self._all()
            for slot in link.slots
        ]

    def hosts(self) -> list[HostPlace]:
        """Return the hosts, also those that were refused."""
        found = [
            HostPlace(link.host, link.address, link.state, len(link.slots), link.busy)
            for link in self._links.values()
        ]
        return [*found, *(each.place for each in self._refused.values())]

    def warm(self, affinity: str, device: str) -> None:
        """Prepare a free slot for tasks to come; does nothing if there is none."""
        slot = self._best(affinity, device)
        if slot is not None:
            slot.link.warm(slot, affinity, device)

    def submit(self, task: Task) -> None:
        """Submit a task to a free slot, preferably to the last one of its affinity or device."""
        slot = self._best(task.affinity, task.device or task.backend)
        if slot is None:
            raise RuntimeError("no slot is free")
        self._by_job[task.job_id] = slot
        slot.link.submit(slot, task)

    def grant_device(self, job_id: str) -> None:
        """Let a task that has asked for its device go on. Unknown jobs are ignored."""
        slot = self._by_job.get(job_id)
        if slot is not None:
            slot.link.grant_device(slot)

    def cancel(self, job_id: str) -> None:
        """Cancel a task; there are no more events of it. Unknown jobs are ignored."""
        slot = self._by_job.pop(job_id, None)
        if slot is not None:
            slot.link.cancel(slot)

    def drain(self, host: str) -> int:
        """Drain hosts: let them go once they have no more tasks.

        Args:
            host: the name or the address of a host; several Dask workers may have one name.

        Returns:
            How many hosts that are.
        """
        found = [link for link in self._links.values() if host in {link.host, link.address}]
        for link in found:
            link.drain()
        return len(found)

    def _all(self) -> Iterable[HostLink]:
        """Return all that may still run something, those of an earlier connection too."""
        return (*self._links.values(), *self._earlier)

    def _ready(self) -> Iterable[HostLink]:
        return (link for link in self._links.values() if link.ready) if self._connected else ()

    def _free_slots(self) -> Iterable[Slot]:
        return (slot for link in self._ready() for slot in link.slots if slot.task is None)

    def _best(self, affinity: str, device: str) -> Slot | None:
        return min(
            self._free_slots(),
            key=lambda slot: (slot.affinity != affinity, slot.device != device, slot.last_used),
            default=None,
        )

    def _receive(self, job_id: str, attempt: int, event: Any) -> None:
        slot = self._by_job.get(job_id)
        if slot is not None and slot.task is None:
            del self._by_job[job_id]
        self._on_event(job_id, attempt, event)

    # -- who is there ---------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and look for hosts; returns at once."""
        self._following = asyncio.create_task(self._run())

    def stop(self) -> None:
        """End the hosts' processes; no event follows. `close` waits for that."""
        for each in (self._following, *self._joining.values()):
            if each is not None:
                each.cancel()
        self._closing = asyncio.create_task(self._let_all_go())

    async def close(self) -> None:
        """Wait until the hosts have heard that they may go, for some seconds at most."""
        if self._closing is not None:
            await self._closing
        if self._following is not None:
            await asyncio.wait([self._following])

    async def _let_all_go(self) -> None:
        links = self._all()
        self._links, self._earlier = {}, []
        await asyncio.gather(*(link.close(_CLOSE_SECONDS) for link in links))

    async def _run(self) -> None:
        """Stay connected with the scheduler, and follow who joins and leaves."""
        said = False
        while True:
            try:
                async with self._client() as client:
                    said = False
                    log.info("connected with the Dask scheduler")
                    try:
                        await self._follow(client)
                    finally:
                        self._abandon_all()
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be over soon
                if not said:
                    log.warning("the Dask scheduler cannot be reached: %s", error)
                    said = True
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _abandon_all(self) -> None:
        """Use no host of this connection any more.

        A scheduler forgets the hosts of a client that it lost. They run on until their leases end,
        or until they are found again and taken anew.
        """
        self._connected = False
        for task in self._joining.values():
            task.cancel()
        for link in self._links.values():
            link.abandon()
        self._earlier += self._links.values()
        self._links.clear()
        self._refused.clear()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[distributed.Client]:
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            address: Any = settings.executor.replace("dask://", "tcp://")
            if settings.executor == LOCAL:
                address = await stack.enter_async_context(_local_cluster(settings.workers))
            client = distributed.Client(
                address,
                asynchronous=True,
                direct_to_workers=True,
                security=tls(settings.executor_ca, settings.executor_cert, settings.executor_key),
                # The proxy of an actor finds its client in this way only.
                set_as_default=True,
                timeout=_CONNECT_SECONDS,
            )
            yield await stack.enter_async_context(client)

    async def _follow(self, client: distributed.Client) -> None:
        client.subscribe_topic("all", lambda _event: self._changed.set())
        while client.status == "running":
            self._changed.clear()
            async with asyncio.timeout(_CONNECT_SECONDS):
                # `client.scheduler_info()` of an asynchronous client lists no workers.
                identity = await cast("Any", client.scheduler).identity(n_workers=-1)
            self._connected = True
            self._compare(client, set(identity["workers"]))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
        log.warning("the connection with the Dask scheduler is lost; nothing starts meanwhile")

    def _compare(self, client: distributed.Client, members: set[str]) -> None:
        now = time.monotonic()
        for address, each in list(self._refused.items()):
            if address not in members or each.until < now:
                del self._refused[address]
        for address in self._links.keys() - members:
            # Its connection with the scheduler was closed, as by the end of its process.
            self._links.pop(address).lose("it has left the cluster")
        for address in members - self._links.keys() - self._joining.keys() - self._refused.keys():
            task = asyncio.create_task(self._join(client, address))
            self._joining[address] = task
            task.add_done_callback(partial(self._has_joined, address))

    def _has_joined(self, address: str, task: asyncio.Task[None]) -> None:
        if self._joining.get(address) is task:
            del self._joining[address]

    async def _join(self, client: distributed.Client, address: str) -> None:
        """Open a host on a Dask worker that has joined."""
        lease = Lease(secrets.token_hex(8), self._settings.host_lease_seconds)
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                future = client.submit(
                    WorkerHost,
                    self._name,
                    lease,
                    key=f"qsession-host-{lease.key}",
                    workers=[address],
                    allow_other_workers=False,
                    actor=True,
                    pure=False,
                )
                actor = await future
                about = frames.decode(await actor.open())
        except Exception as error:  # noqa: BLE001 - other people's workers may lack anything
            log.warning("the Dask worker %s cannot be used: %r", address, error)
            self._refuse(address, address, f"It cannot be used: {error!r}", _AGAIN_SECONDS)
            return
        calls = _Calls(actor, future)
        problem = disagreement(versions(), about["versions"])
        if problem is not None:
            log.warning("host %s (%s) is refused. %s", about["host"], address, problem)
            self._refuse(about["host"], address, problem)
            try:
                await calls.leave(problem)
            except Exception as error:  # noqa: BLE001 - its lease ends in any case
                log.debug("host %s was not told: %r", about["host"], error)
            return
        for other in self._all():
            if other.process == about["process"]:
                other.lose("it has come back under another address")
        link = HostLink(
            address,
            about,
            lease=lease,
            calls=calls,
            on_event=self._receive,
            on_change=self._on_change,
        )
        self._links[address] = link
        log.info("host %s (%s) has joined with %d slots", link.host, address, len(link.slots))
        self._on_free()

    def _on_change(self) -> None:
        for address, link in list(self._links.items()):
            # One that was drained stays until it has left, so that it is not opened again.
            if link.over and not link.draining:
                del self._links[address]
        self._earlier = [link for link in self._earlier if not link.over]
        self._on_free()

    def _refuse(self, host: str, address: str, why: str, seconds: float = math.inf) -> None:
        place = HostPlace(host, address, "refused", 0, 0, why)
        self._refused[address] = _Refused(place, time.monotonic() + seconds)


class _Refused(NamedTuple):
    """A Dask worker that is not used, until a `time.monotonic()`."""

    place: HostPlace
    until: float


class _Calls:
    """The calls to an actor.

    Taken from the proxy once: it refuses to look a method up where the scheduler is out of reach,
    while the worker is not.
    """

    def __init__(self, actor: Any, future: distributed.Future[Any]) -> None:
        # The actor lives as long as this future.
        self._future = future
        self.open = actor.open
        self.take = actor.take
        self.tell = actor.tell
        self.leave = actor.leave


@asynccontextmanager
async def _local_cluster(workers: int) -> AsyncIterator[distributed.LocalCluster]:
    """Run a scheduler here and one worker beside it, with as many slots as there are workers."""
    changed = {"distributed.worker.daemon": False}
    with dask.config.set(changed):
        async with distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            asynchronous=True,
            env={worker_host.SLOTS: str(workers)},
        ) as cluster:
            yield cluster


def tls(authority: Path | None, certificate: Path | None, key: Path | None) -> distributed.Security:
    """Return what a connection is secured with; files that are not given are of Dask's settings.

    Args:
        authority: certificates of the authorities that are trusted.
        certificate: this side's certificate.
        key: its key; None if it is in the same file.
    """
    names = (
        "tls_ca_file",
        "tls_client_cert",
        "tls_client_key",
        "tls_worker_cert",
        "tls_worker_key",
    )
    files = (authority, certificate, key, certificate, key)
    given = {name: str(file) for name, file in zip(names, files, strict=True) if file is not None}
    return distributed.Security(**given)
