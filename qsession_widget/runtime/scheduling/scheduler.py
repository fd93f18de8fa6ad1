"""Chooses which waiting job starts next, and knows the position of each. No clock, no I/O.

Rules (IBM: execution modes; fair-share queue), for each device by itself:

- An active session goes first. A dedicated one has the device to itself; with the policy `shared`
  it only goes first. A batch goes first and reserves nothing.
- All other jobs wait in the normal queue, those of a session together at the place of the oldest:
  once that has started, the others go first.
- Both queues are fair between owners: the least usage in 28 days goes first, and of one owner the
  oldest job. Equal owners take turns in order of arrival. `ladder` limits how long that may delay
  an owner.
- Several jobs of a device may be in work (`lanes`), being prepared or read out; one of them is on
  the device.

Where workers are few, devices without a job in work go before further jobs of other devices. Then
owners with fewer workers and less usage go first, but neither delays another owner by more than
some seconds of device time (`WORKER_US`, `LEAD_US`).

Usage is the time that jobs are in work, on the device or not: they occupy a worker.

A decision costs a few heap operations, however many jobs wait.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.scheduling.estimates import LEAST, StartEstimate, estimate
from qsession_widget.runtime.scheduling.fairshare import Usage
from qsession_widget.runtime.scheduling.forecast import Forecast
from qsession_widget.runtime.scheduling.ladder import choose
from qsession_widget.runtime.scheduling.queues import DeviceQueues, Group, Item, Rank, Share
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from qsession_widget.runtime.model.lifecycle import Session

LEAD_US = 10_000_000
"""Between devices, the largest lead in usage that counts."""

WORKER_US = 10_000_000
"""Between devices, each worker that an owner has counts as so much more usage."""

FIRST_US = 5_000_000
"""Between devices, an active session counts as so much less usage: its user is working."""

_SPARE = 64
"""How many outdated entries a heap may hold, however few are valid."""


class Scheduler:
    """The queues of all devices.

    Args:
        lanes: how many jobs of one device may be in work at once; one of them is on the device.
        shared: whether an active session only goes first instead of having its device to itself.
        entry: makes a heap entry from its parts; entries are compared with each other.
    """

    def __init__(
        self, *, lanes: int = 1, shared: bool = False, entry: Callable[[Any], Any] = tuple
    ) -> None:
        self._lanes = lanes
        self._shared = shared
        self._entry = entry
        self._usage = Usage()
        self._today: date | None = None
        self._devices: dict[str, DeviceQueues] = {}
        self._jobs: dict[str, Item] = {}
        self._by_number: dict[int, Item] = {}
        self._groups: dict[int, Group] = {}
        self._sessions: dict[str, Group] = {}
        self._shares: dict[str, dict[Share, None]] = {}
        self._may_start: dict[DeviceQueues, None] = {}
        self._workers: Counter[str] = Counter()
        self._served_us = 0
        self._count = 0

    # -- events ----------------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether an active session only goes first instead of having its device to itself."""
        return self._shared

    @shared.setter
    def shared(self, shared: bool) -> None:
        if shared != self._shared:
            self._shared = shared
            self._forget_forecasts()
            self._may_start.update(dict.fromkeys(self._devices.values()))

    def charge(self, owner: str, seconds: float, day: date) -> None:
        """Add past usage of an owner; that of present jobs and sessions is added by itself.

        Args:
            owner: the owner.
            seconds: how much.
            day: the day, in UTC.
        """
        # The owner's heap entries are too low from now on, and are corrected when they come up.
        self._usage.add(owner, seconds, day)
        self._forget_forecasts()

    def update(self, session: Session, now: datetime, *, counted: bool = False) -> None:
        """Take over a session that is new or has changed.

        Args:
            session: the session.
            now: the time.
            counted: its usage until it was last inactive has been charged already.
        """
        group = self._sessions.get(session.id)
        if group is not None:
            group.device.forecast = None
        if group is None:
            if session.closed_at is not None:
                return
            group = self._group(self._device(session.backend), session.owner, session)
        used = session.usage_seconds(now)
        if session.mode is Mode.DEDICATED and not self._shared and not counted:
            # Batches, and jobs that run without a reservation, are charged job by job.
            self.charge(session.owner, max(0.0, used - group.charged_seconds), now.date())
        group.charged_seconds = session.used_seconds if counted else used
        if session.closed_at is not None:
            group.device.holders.pop(session.id, None)
            self._drop(group)
        else:
            if session.holds_device:
                group.device.holders[session.id] = group
            else:
                group.device.holders.pop(session.id, None)
            rank = _rank(session)
            if rank is not group.rank:
                self._leave_line(group)
                left, group.rank = group.share, rank
                self._enter_line(group)
                self._sort(left)
        self._may_start[group.device] = None

    def wait(self, job_id: str, *, device: str, owner: str, session_id: str | None = None) -> None:
        """Add a job to its queue.

        Raises:
            ValueError: it is queued already, or its session is unknown.
        """
        if job_id in self._jobs:
            raise ValueError(f"job {job_id} is in its queue already")
        if session_id is not None and session_id not in self._sessions:
            raise ValueError(f"job {job_id} is of session {session_id}, which is not known")
        self._count += 1
        job = Item(job_id, self._count, self._device(device), owner, session_id)
        self._jobs[job_id] = self._by_number[job.number] = job
        self._put(job)

    def start_next(self, now: datetime) -> str | None:
        """Choose the job to start now, and count it as in work. None if no job may start."""
        self._roll(now)
        group = self._best(self._candidates())
        if group is None:
            return None
        job = self._by_number[group.waiting.take_first()]
        self._begin_to_wait(group.share, group.device)
        self._changed(group, -1)
        job.started_at = now
        job.device.in_work[job.id] = job
        job.device.turns += 1
        self._workers[job.owner] += 1
        if len(job.device.in_work) >= self._lanes:
            self._may_start.pop(job.device, None)
        return job.id

    def displaced(self) -> str | None:
        """Return a job that occupies a worker and only waits for its device, if another is idle.

        Its worker is better used for the idle device. None if there is no such device or job.
        """
        devices = [each for each in self._devices.values() if each.prepared]
        if not devices or all(each.in_work for each, _ in self._candidates()):
            return None
        return max(devices, key=lambda each: len(each.in_work)).prepared[-1]

    def requeue(self, job_id: str) -> str | None:
        """Put a job in work back to its old place; returns the job that gets its device, if any."""
        job = self._jobs[job_id]
        if job.started_at is None:
            return None
        following = self._out_of_work(job)
        job.started_at = None
        self._put(job)
        return following

    def leave(
        self,
        job_id: str,
        now: datetime,
        *,
        used_seconds: float = 0.0,
        completed: bool = False,
    ) -> str | None:
        """Remove a job that has ended, from wherever it is. Unknown jobs are ignored.

        Args:
            job_id: the job.
            now: the time.
            used_seconds: how long it had a worker.
            completed: whether it completed, so that estimates can be based on it.

        Returns:
            The job that gets the device, if this one had it and another waits for it.
        """
        job = self._jobs.pop(job_id, None)
        if job is None:
            return None
        del self._by_number[job.number]
        group = self._sessions.get(job.session_id or "")
        if job.started_at is None:
            group = group or job.device.singles[job.owner]
            job.device.forecast = None
            group.waiting.remove(job.number)
            self._changed(group, -1)
            return None
        if completed:
            seconds = (now - job.started_at).total_seconds()
            job.device.durations.add(seconds)
            if group is not None:
                group.durations.add(seconds)
        if group is None or not group.dedicated or self._shared:
            self.charge(job.owner, used_seconds, now.date())
        used_us = round(used_seconds * 1e6)
        job.device.served_us += used_us
        self._served_us += used_us
        group = group or job.device.singles.get(job.owner)
        if group is not None:
            self._begin_to_wait(group.share, job.device)
            self._sort(group.share)
        return self._out_of_work(job)

    def ask_device(self, job_id: str) -> bool:
        """Ask for the device for a prepared job; returns True if the job gets it.

        If not, `release`, `leave` or `requeue` of another job returns this one in its turn.
        """
        device = self._jobs[job_id].device
        if device.on_device is None:
            device.on_device = job_id
        elif device.on_device != job_id and job_id not in device.prepared:
            device.prepared.append(job_id)
        return device.on_device == job_id

    def release(self, job_id: str) -> str | None:
        """Release a job's device; returns the job that gets it, None if no job waits for it."""
        device = self._jobs[job_id].device
        if device.on_device != job_id:
            return None
        device.on_device = device.prepared.popleft() if device.prepared else None
        return device.on_device

    # -- queries ---------------------------------------------------------------------------

    def length(self, device: str) -> int:
        """Return how many jobs of a device wait or are in work."""
        known = self._devices.get(device)
        return 0 if known is None else len(known.in_work) + sum(line.count for line in known.lines)

    def waiting(self, device: str) -> int:
        """Return how many jobs of a device wait."""
        known = self._devices.get(device)
        return 0 if known is None else sum(line.count for line in known.lines)

    def on_device(self, device: str) -> str | None:
        """Return the job that is on a device."""
        known = self._devices.get(device)
        return None if known is None else known.on_device

    def in_work(self, device: str) -> list[str]:
        """Return the jobs of a device that are in work."""
        known = self._devices.get(device)
        return [] if known is None else list(known.in_work)

    def holder(self, device: str) -> str | None:
        """Return the session that has a device to itself."""
        known = self._devices.get(device)
        if known is None or self._shared:
            return None
        return next(iter(known.holders), None)

    def contested(self) -> list[str]:
        """Return the sessions that have a device to themselves for which other jobs wait."""
        if self._shared:
            return []
        return [
            session_id
            for device in self._devices.values()
            for session_id, group in device.holders.items()
            if sum(line.count for line in device.lines) > len(group.waiting)
        ]

    def used_seconds(self, owner: str) -> float:
        """Return an owner's usage of the last 28 days."""
        return self._usage.of(owner) / 1e6

    def position(self, job_id: str) -> int | None:
        """Return the position of a waiting job on its device, 1 being the next to start.

        It is the position in the order in which the jobs start if no others come and each takes
        as long as the median of the last jobs of this device. None for a job that does not wait.
        """
        job = self._jobs.get(job_id)
        if job is None or job.started_at is not None:
            return None
        device, group = job.device, self._group_of(job)
        if device.forecast is None:
            device.forecast = Forecast(
                device, self._holding(device), shared=self._shared, used_us=self._usage.of
            )
        return device.forecast.place(job.number, group.rank)

    def estimate(self, job_id: str, now: datetime) -> StartEstimate | None:
        """Estimate when a waiting job starts, and say what that is based on.

        None where there is no basis: too few jobs have run, or another session has the device to
        itself, or will have it before this job, and it is unknown for how long.
        """
        position = self.position(job_id)
        if position is None:
            return None
        job = self._jobs[job_id]
        device, group = job.device, self._group_of(job)
        if any(each is not group for each in self._holding(device)):
            return None
        if position > 1 and not self._shared and group.rank is not Rank.FIRST:
            others = (each for each in device.lines[Rank.NORMAL].groups() if each is not group)
            if any(each.dedicated and each.waiting for each in others):
                return None
        running = max(
            (
                (now - each.started_at).total_seconds()
                for each in device.in_work.values()
                if each.started_at is not None
            ),
            default=None,
        )
        own = group.rank is Rank.FIRST and group.session_id is not None
        if own and group.durations.count >= LEAST:
            return estimate(group.durations, "of this session", position - 1, running)
        if device.durations.count >= LEAST:
            return estimate(device.durations, f"on {device.name}", position - 1, running)
        return None

    # -- choosing --------------------------------------------------------------------------

    def _candidates(self) -> list[tuple[DeviceQueues, Group]]:
        """Return the group that would start now, for each device on which one may."""
        found = []
        for device in list(self._may_start):
            group = self._candidate(device)
            if group is None:
                del self._may_start[device]
            else:
                found.append((device, group))
        return found

    def _best(self, candidates: list[tuple[DeviceQueues, Group]]) -> Group | None:
        """Choose between devices: which group gets a worker."""
        if len(candidates) <= 1:
            return candidates[0][1] if candidates else None
        use = self._usage.of
        least_us = min(use(group.owner) for _, group in candidates)

        def key(candidate: tuple[DeviceQueues, Group]) -> tuple[bool, int, int]:
            device, group = candidate
            lead_us = min(use(group.owner) - least_us, LEAD_US)
            lead_us += WORKER_US * self._workers.get(group.owner, 0)
            if group.rank is Rank.FIRST:
                lead_us -= FIRST_US
            return bool(device.in_work), group.share.since_all_us + lead_us, _oldest(group)

        return min(candidates, key=key)[1]

    def _candidate(self, device: DeviceQueues) -> Group | None:
        """Return the group that would start on a device now."""
        if len(device.in_work) >= self._lanes:
            return None
        if device.holders and not self._shared:
            ready = [each for each in self._holding(device) if each.rank is Rank.FIRST]
            return min((each for each in ready if each.waiting), key=_oldest, default=None)
        turn = choose(
            [line.ladder for line in device.lines[: Rank.HELD_BACK]],
            turns=device.turns,
            served_us=device.served_us,
            used_us=self._usage.of,
        )
        if turn is None:
            return None
        share = device.lines[turn.line].shares[turn.owner]
        group = self._groups[share.heap[0][1]]
        return None if self._must_be_alone(group) else group

    def _must_be_alone(self, group: Group) -> bool:
        """Whether a dedicated session would begin while a job of another is still in work."""
        return (
            group.dedicated
            and not self._shared
            and any(each.session_id != group.session_id for each in group.device.in_work.values())
        )

    def _begin_to_wait(self, share: Share, device: DeviceQueues) -> None:
        share.since_us, share.since_all_us = device.served_us, self._served_us

    def _forget_forecasts(self) -> None:
        for device in self._devices.values():
            device.forecast = None

    def _sort(self, share: Share) -> None:
        """Update the place of an owner's share in its line."""
        heap = share.heap
        while heap:
            oldest, index = heap[0]
            group = self._groups.get(index)
            if group is not None and group.share is share and group.waiting.first == oldest:
                break
            heapq.heappop(heap)
        else:
            if not share.groups:
                share.line.shares.pop(share.owner, None)
                lines = self._shares[share.owner]
                lines.pop(share, None)
                if not lines:
                    del self._shares[share.owner]
            share.line.ladder.remove(share.owner)
            return
        share.line.ladder.put(
            share.owner,
            since_us=share.since_us,
            number=oldest,
            used_us=self._usage.of(share.owner),
        )

    def _resort(self, owner: str) -> None:
        for share in list(self._shares.get(owner, ())):
            self._sort(share)

    def _roll(self, now: datetime) -> None:
        """Drop usage that leaves the window at midnight."""
        today = now.date()
        if today != self._today:
            self._today = today
            self._forget_forecasts()
            for owner in self._usage.roll(today):
                self._resort(owner)

    # -- queues ----------------------------------------------------------------------------

    def _device(self, name: str) -> DeviceQueues:
        device = self._devices.get(name)
        if device is None:
            device = self._devices[name] = DeviceQueues(name, self._entry)
        return device

    def _group(self, device: DeviceQueues, owner: str, session: Session | None) -> Group:
        self._count += 1
        group = Group(
            self._count,
            device,
            owner,
            session_id=None if session is None else session.id,
            dedicated=session is not None and session.mode is Mode.DEDICATED,
            rank=Rank.NORMAL if session is None else _rank(session),
        )
        self._groups[group.index] = group
        if session is None:
            device.singles[owner] = group
        else:
            self._sessions[session.id] = group
        self._enter_line(group)
        return group

    def _drop(self, group: Group) -> None:
        del self._groups[group.index]
        if group.session_id is None:
            del group.device.singles[group.owner]
        else:
            del self._sessions[group.session_id]
        self._leave_line(group)
        self._sort(group.share)

    def _group_of(self, job: Item) -> Group:
        if job.session_id is not None:
            return self._sessions[job.session_id]
        return job.device.singles.get(job.owner) or self._group(job.device, job.owner, None)

    def _put(self, job: Item) -> None:
        group = self._group_of(job)
        group.waiting.add(job.number)
        self._changed(group, 1)

    def _changed(self, group: Group, by: int) -> None:
        """Update all counts and orders after a change of the number of jobs in a group."""
        share = group.share
        group.device.forecast = None
        if not share.count:
            self._begin_to_wait(share, group.device)
        share.count += by
        share.line.count += by
        if group.waiting.first != group.offered:
            self._offer(group)
            self._sort(share)
        if group.session_id is None and group.waiting.first is None:
            self._drop(group)
        self._may_start[group.device] = None

    def _offer(self, group: Group) -> None:
        first = group.offered = group.waiting.first
        if first is not None:
            heap = group.share.heap
            heapq.heappush(heap, self._entry((first, group.index)))
            if len(heap) > 2 * len(group.share.groups) + _SPARE:
                waiting = (each for each in group.share.groups if each.offered is not None)
                heap[:] = [self._entry((each.offered, each.index)) for each in waiting]
                heapq.heapify(heap)

    def _enter_line(self, group: Group) -> None:
        line = group.device.lines[group.rank]
        share = line.shares.get(group.owner)
        if share is None:
            share = line.shares[group.owner] = Share(line, group.owner)
            self._shares.setdefault(group.owner, {})[share] = None
        group.share = share
        if not share.count:
            self._begin_to_wait(share, group.device)
        share.groups[group] = None
        share.count += len(group.waiting)
        line.count += len(group.waiting)
        self._offer(group)
        self._sort(share)

    def _leave_line(self, group: Group) -> None:
        del group.share.groups[group]
        group.share.count -= len(group.waiting)
        group.line.count -= len(group.waiting)

    def _out_of_work(self, job: Item) -> str | None:
        device = job.device
        device.forecast = None
        if device.in_work.pop(job.id, None) is not None:
            self._workers[job.owner] -= 1
            if not self._workers[job.owner]:
                del self._workers[job.owner]
        self._may_start[device] = None
        if device.on_device == job.id:
            device.on_device = device.prepared.popleft() if device.prepared else None
            return device.on_device
        if job.id in device.prepared:
            device.prepared.remove(job.id)
        return None

    def _holding(self, device: DeviceQueues) -> list[Group]:
        return [] if self._shared else list(device.holders.values())


def _rank(session: Session) -> Rank:
    if not lifecycle.may_start(session):
        return Rank.HELD_BACK
    return Rank.FIRST if session.prioritised else Rank.NORMAL


def _oldest(group: Group) -> int:
    return group.waiting[0]
