"""The way to a service: its devices, its jobs, and programs to run on it."""

from __future__ import annotations

import difflib
import threading
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from qsession_widget import accounts, connection
from qsession_widget.accounts import IBM_CHANNELS, LOCAL, Account, find_account
from qsession_widget.backend import Backend, backend_name
from qsession_widget.errors import (
    BackendNotFoundError,
    InvalidInputError,
    NotFoundError,
)
from qsession_widget.follow import follow
from qsession_widget.job import RuntimeJob
from qsession_widget.options import RuntimeOptions
from qsession_widget.sessions import SessionSummary
from qsession_widget.transport.api import RuntimeApi
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX, EXTRA
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    import qiskit_ibm_runtime as official_package

    from qsession_widget.job import ResultDecoder
    from qsession_widget.transport.http import Transport

_PAGE = 100
_FIRST_CHOICE = "fake_manila"
"""Which of equally busy devices is taken first: the small one, whose jobs are over soonest."""


class QiskitRuntimeService:
    """A connection to the local runtime, or to IBM Quantum. It may be shared by threads.

    Without arguments: the account of the `QISKIT_IBM_*` variables; else the default account that
    qiskit-ibm-runtime saved in `~/.qiskit/qiskit-ibm.json`; else the local runtime, which is
    started where it does not run.

    Args:
        channel: "local", "ibm_quantum_platform" or "ibm_cloud". None: "ibm_quantum_platform" where
            a token is given, else as above.
        token: API key of IBM; for channel "local" with a url, somebody else's runtime's token.
        url: root of the service, for example "http://127.0.0.1:41234".
        instance: CRN or name of the instance at IBM. None, and "auto", take the first that fits
            the arguments below, free plans before others.
        name: the saved account of this name.
        filename: another file of saved accounts than qiskit-ibm-runtime's.
        verify: whether to check the server's certificate; None is the account's choice.
        proxies: addresses of proxies by scheme, such as {"https": "http://proxy:3128"}; also in
            qiskit-ibm-runtime's form, {"urls": {...}}.
        private_endpoint: whether to use IBM's private network.
        region: only an instance in this region, "us-east" or "eu-de".
        plans_preference: only an instance with one of these plans, the first ones first.
        tags: only an instance with all of these tags.

    Raises:
        InvalidInputError: for arguments that do not fit together, and where no instance fits.
        NotAuthorizedError: where instances have to be looked up, and the API key is refused.
        RuntimeStartError: where the local runtime cannot be started.
    """

    def __init__(
        self,
        channel: str | None = None,
        token: str | None = None,
        url: str | None = None,
        instance: str | None = None,
        *,
        name: str | None = None,
        filename: str | Path | None = None,
        verify: bool | None = None,
        proxies: Mapping[str, Any] | None = None,
        private_endpoint: bool | None = None,
        region: str | None = None,
        plans_preference: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        if token is None and url is None:
            account = find_account(channel, name=name, filename=filename)
            if account.channel == LOCAL and instance is not None:
                raise InvalidInputError(
                    f"instance={instance!r} is for an account at IBM, and there is none: give a "
                    "token, or save one with QiskitRuntimeService.save_account"
                )
        else:
            account = Account(channel or IBM_CHANNELS[0], token, url)
        account = account.with_changes(
            instance=instance,
            verify=verify,
            proxies=connection.proxies_of(proxies),
            private_endpoint=private_endpoint,
            region=region,
            plans_preference=None if plans_preference is None else tuple(plans_preference),
            tags=None if tags is None else tuple(tags),
        )
        if account.channel != LOCAL and account.crn is None:
            account = account.with_changes(instance=connection.choose_instance(account))
        self._set_up(account, connection.connect(account))

    def _set_up(self, account: Account, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self.api = RuntimeApi(self._transport)
        """The REST API, one method for each endpoint."""
        self._lock = threading.Lock()
        self._features: frozenset[str] | None = None
        self._configurations: dict[str, Mapping[str, Any]] = {}
        self._official: Any = None
        self._pub_counts: dict[str, int] = {}

    # Accounts

    @staticmethod
    def save_account(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        token: str | None = None,
        url: str | None = None,
        instance: str | None = None,
        channel: str | None = None,
        filename: str | Path | None = None,
        name: str | None = None,
        proxies: Mapping[str, Any] | None = None,
        verify: bool | None = None,
        *,
        overwrite: bool = False,
        set_as_default: bool = False,
        private_endpoint: bool | None = None,
        region: str | None = None,
        plans_preference: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> str:
        """Save an account where qiskit-ibm-runtime saves and finds its own.

        Args:
            token: API key of IBM.
            url: root of the service; None is IBM's.
            instance: CRN or name of the instance, or "auto".
            channel: "ibm_quantum_platform", which is also what None means, or "ibm_cloud".
            filename: another file than qiskit-ibm-runtime's.
            name: what to call it; None is the channel's default name.
            proxies: as for the constructor.
            verify: as for the constructor.
            overwrite: whether it may take the place of one of that name, and of another default.
            set_as_default: whether it is what is used where nothing is named.
            private_endpoint: as for the constructor.
            region: as for the constructor.
            plans_preference: as for the constructor.
            tags: as for the constructor.

        Returns:
            Its name.

        Raises:
            InvalidInputError: for an account that cannot be used, and where one is in the way.
        """
        account = Account(channel or IBM_CHANNELS[0], token, url, instance).with_changes(
            proxies=connection.proxies_of(proxies),
            verify=verify,
            private_endpoint=private_endpoint,
            region=region,
            plans_preference=None if plans_preference is None else tuple(plans_preference),
            tags=None if tags is None else tuple(tags),
        )
        return accounts.save_account(
            account,
            name=name,
            filename=filename,
            overwrite=overwrite,
            set_as_default=set_as_default,
        )

    @staticmethod
    def saved_accounts(
        channel: str | None = None, filename: str | Path | None = None, name: str | None = None
    ) -> dict[str, dict[str, Any]]:
        """Give the saved accounts by name, without their tokens.

        Args:
            channel: only those of this channel.
            filename: another file than qiskit-ibm-runtime's.
            name: only the one of this name.
        """
        return accounts.saved_accounts(channel=channel, name=name, filename=filename)

    @staticmethod
    def delete_account(
        filename: str | Path | None = None, name: str | None = None, channel: str | None = None
    ) -> bool:
        """Delete a saved account, and say whether there was one.

        Args:
            filename: another file than qiskit-ibm-runtime's.
            name: which; None is the one with the channel's default name.
            channel: whose default name.
        """
        return accounts.delete_account(name=name, channel=channel, filename=filename)

    def active_instance(self) -> str | None:
        """Give the CRN of the instance in use; None on the local runtime."""
        return self._account.crn

    def instances(self) -> list[dict[str, Any]]:
        """List the instances of the account; none on the local runtime.

        Returns:
            For each a dict with `crn`, `name`, `plan`, `pricing_type` and `tags`, from IBM Cloud's
            Global Search and Global Catalog.
        """
        if self.channel == LOCAL:
            return []
        found = connection.list_instances(self._account)
        return [{**asdict(each), "tags": list(each.tags)} for each in found]

    def usage(self) -> dict[str, Any]:
        """Ask what the instance has used and may use (GET /instances/usage).

        Returns:
            The JSON as it is. Its keys differ between plans; their names end in their units.
        """
        return self.api.usage()

    def ibm(self) -> official_package.QiskitRuntimeService:
        """Give a genuine `qiskit_ibm_runtime.QiskitRuntimeService` for the same account.

        For the local runtime it keeps the runtime's address: where that was stopped and started
        again on another port, the next call makes a new one.
        """
        with self._lock:
            url = self._transport.url
            if self._official is None or self._official[0] != url:
                self._official = (url, connection.official_service(self._account, url))
            return self._official[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(channel={self.channel!r}, url={self._transport.url!r})>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A connection is shared, never doubled.
        return self

    @property
    def channel(self) -> str:
        """What kind of service it is, "local", "ibm_quantum_platform" or "ibm_cloud"."""
        return self._account.channel

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._transport.closed

    @property
    def features(self) -> frozenset[str]:
        """What the service can do beyond IBM's REST API; empty at IBM (GET /qsession)."""
        with self._lock:
            if self._features is None:
                try:
                    self._features = frozenset(self.api.about()["features"])
                except NotFoundError:
                    self._features = frozenset()
            return self._features

    def pub_count(self, job_id: str) -> int | None:
        """Give how many pubs a job has; None for one that was not sent through this object."""
        return self._pub_counts.get(job_id)

    def known_to_offer(self, feature: str) -> bool:
        """Say whether the service has said that it can do something, without asking it."""
        with self._lock:
            return feature in (self._features or ())

    def close(self) -> None:
        """Close the connections. The local runtime goes on."""
        self._transport.close()

    def server_time(self) -> datetime:
        """Give the time that it is at the service now, in UTC, from the answers seen so far.

        Source: the `Date` headers. Exact to a second after one answer, better after several. It is
        this machine's own time before the first answer.
        """
        return self._transport.server_time.now()

    def active_account(self) -> dict[str, Any]:
        """Give the account in use, without its token."""
        return {
            "channel": self.channel,
            "url": self._account.url or self._transport.url.removesuffix(API_PREFIX),
            "instance": self._account.instance,
            "verify": self._account.verify,
        }

    # Devices

    def backends(
        self,
        name: str | None = None,
        min_num_qubits: int | None = None,
        simulator: bool | None = None,
        operational: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
    ) -> list[Backend]:
        """List devices, in the service's order.

        Args:
            name: only the one of this name.
            min_num_qubits: only those with at least so many qubits.
            simulator: only simulators (True) or only devices (False).
            operational: only those that take jobs now (True) or do not (False).
            filters: only those for which this function is true.
        """
        return [
            backend
            for entry in self.api.backends()
            if (name is None or entry["name"] == name)
            and (operational is None or _operational(entry) == operational)
            and (backend := self._fitting(entry, min_num_qubits, simulator, filters))
        ]

    def backend(self, name: str) -> Backend:
        """Give one device.

        Raises:
            BackendNotFoundError: where there is none of that name; the message lists those that
                there are, the nearest names first.
        """
        wanted = backend_name(name)
        configuration = self._configurations.get(wanted)
        if configuration is None:
            try:
                configuration = self.api.configuration(wanted)
            except NotFoundError as error:
                names = sorted(
                    (entry["name"] for entry in self.api.backends()),
                    key=lambda other: (-_likeness(wanted, other), other),
                )
                raise BackendNotFoundError(
                    f"no backend {wanted!r}; there are {', '.join(names) or 'none'}"
                ) from error
            self._configurations[wanted] = configuration
        return Backend(self, configuration)

    def least_busy(
        self,
        min_num_qubits: int | None = None,
        simulator: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
    ) -> Backend:
        """Give the operational device with the fewest waiting jobs.

        Of several, the first by name, but before all others `fake_manila`.

        Args:
            min_num_qubits: only those with at least so many qubits.
            simulator: only simulators (True) or only devices (False).
            filters: only those for which this function is true.

        Raises:
            BackendNotFoundError: where none fits.
        """
        entries = self.api.backends()
        for entry in sorted(filter(_operational, entries), key=_busyness):
            backend = self._fitting(entry, min_num_qubits, simulator, filters)
            if backend is not None:
                return backend
        raise BackendNotFoundError(
            f"no operational backend fits min_num_qubits={min_num_qubits}, simulator={simulator}"
            f"{', filters' if filters else ''}; there are "
            f"{', '.join(entry['name'] for entry in entries) or 'none'}"
        )

    def _fitting(
        self,
        entry: Mapping[str, Any],
        min_num_qubits: int | None,
        simulator: bool | None,
        filters: Callable[[Backend], bool] | None,
    ) -> Backend | None:
        # What the list says already saves asking for the whole configuration.
        if entry.get("qubits", min_num_qubits or 0) < (min_num_qubits or 0):
            return None
        if simulator is not None and entry.get("is_simulator", simulator) != simulator:
            return None
        backend = self.backend(entry["name"])
        fits = (
            (min_num_qubits is None or backend.num_qubits >= min_num_qubits)
            and (simulator is None or backend.simulator == simulator)
            and (filters is None or filters(backend))
        )
        return backend if fits else None

    # Jobs

    def run(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        self,
        program_id: str,
        inputs: Mapping[str, Any],
        options: RuntimeOptions | Mapping[str, Any] | None = None,
        callback: Callable[[str, Any], object] | None = None,
        result_decoder: type[ResultDecoder] | ResultDecoder | None = None,
        session_id: str | None = None,
        *,
        optimization_level: int | None = None,
    ) -> RuntimeJob:
        """Run a program (POST /jobs). Most users want a Sampler or an Estimator instead.

        Args:
            program_id: the program, for example "sampler".
            inputs: its inputs: JSON values, circuits, arrays and observables.
            options: where and how to run it; its backend is required.
            callback: called on a thread of ours as `callback(job_id, result)`, see `follow.follow`.
            result_decoder: class with `decode(text)`, in the place of the wire's own.
            session_id: the session to run it in.
            optimization_level: how hard the local runtime transpiles circuits that are not in the
                device's instruction set, 0 to 3. IBM takes no such circuits.

        Raises:
            InvalidInputError: for options or inputs that cannot be used.
            NotFoundError: for an unknown program or session.
            ConflictError: where the session takes no more jobs.
        """
        chosen = RuntimeOptions.of(options)
        if chosen.backend is None:
            raise InvalidInputError("options name no backend; give options={'backend': NAME}")
        if chosen.instance not in {None, self._account.instance}:
            raise InvalidInputError(
                f"instance={chosen.instance!r} is not this service's, {self._account.instance!r}"
            )
        if not isinstance(program_id, str) or not program_id:
            raise InvalidInputError(f"program_id={program_id!r} is not the name of a program")
        name = backend_name(chosen.backend)
        body = {
            "program_id": program_id,
            "params": inputs,
            "backend": name,
            **({"session_id": session_id} if session_id else {}),
            **chosen.on_the_wire(),
        }
        if optimization_level is not None and "transpile" in self.features:
            body[EXTRA] = {"optimization_level": optimization_level}
        answer = self.api.create_job(codec.dumps(body), key=str(uuid.uuid4()))
        job = RuntimeJob(self, answer["id"], result_decoder=result_decoder)
        if isinstance(inputs.get("pubs"), list | tuple):
            self._pub_counts[job.job_id()] = len(inputs["pubs"])
        if callback is not None:
            follow(job, callback)
        return job

    def job(self, job_id: str) -> RuntimeJob:
        """Give a job that was run before, by anybody with this account.

        Raises:
            NotFoundError: where there is none of that id.
        """
        job = RuntimeJob(self, job_id)
        job.status()
        return job

    def jobs(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        self,
        limit: int | None = 10,
        skip: int = 0,
        backend_name: str | None = None,
        pending: bool | None = None,
        program_id: str | None = None,
        session_id: str | None = None,
        job_tags: Sequence[str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        descending: bool = True,
    ) -> list[RuntimeJob]:
        """List jobs, the newest first, each once.

        Args:
            limit: at most so many; None is all.
            skip: leave out the first so many.
            backend_name: only those of this device.
            pending: only those that are queued or running (True) or over (False).
            program_id: only those of this program.
            session_id: only those of this session.
            job_tags: only those with all of these tags.
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.
            descending: whether the newest come first.

        Raises:
            InvalidInputError: for a limit or skip that is no count.
        """
        _check_count("limit", limit)
        _check_count("skip", skip)
        query = {
            "backend": backend_name,
            "pending": None if pending is None else str(pending).lower(),
            "program": program_id,
            "session_id": session_id,
            "tags": list(job_tags) if job_tags else None,
            "created_after": created_after and created_after.astimezone().isoformat(),
            "created_before": created_before and created_before.astimezone().isoformat(),
            "sort": None if descending else "ASC",
        }
        found: dict[str, RuntimeJob] = {}
        offset = skip
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(limit - len(found), _PAGE)
            page = self.api.jobs(limit=size, offset=offset, **query)["jobs"]
            # A job that arrives between two pages pushes one that was seen onto the next page.
            found.update({job["id"]: RuntimeJob(self, job["id"], data=job) for job in page})
            if len(page) < size:
                break
            offset += len(page)
        return list(found.values())[:limit]

    def sessions(
        self,
        limit: int | None = 10,
        *,
        backend_name: str | None = None,
        pending: bool | None = None,
        mode: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> list[SessionSummary]:
        """List sessions and batches, the newest first, each once (GET /workloads).

        Also those that nobody has a handle on any more: `Session.from_id(found.id).close()` ends
        one that was left open.

        Args:
            limit: at most so many; None is all.
            backend_name: only those on this device.
            pending: only those that are not over (True) or are (False).
            mode: only sessions ("dedicated") or only batches ("batch").
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.

        Raises:
            InvalidInputError: for a limit that is no count, and for an unknown mode.
        """
        _check_count("limit", limit)
        if mode not in {None, *Mode}:
            raise InvalidInputError(
                f"mode={mode!r} is not known; allowed are {', '.join(map(repr, Mode))}"
            )
        over = {True: ["pending", "in_progress"], False: ["completed", "canceled", "failed"]}
        query: dict[str, Any] = {
            # The listing has a word of its own for dedicated sessions.
            "mode": [
                "session" if each == Mode.DEDICATED else each.value
                for each in Mode
                if mode in {None, each}
            ],
            "status": None if pending is None else over[pending],
            "backend": backend_name,
            "created_after": created_after and created_after.astimezone().isoformat(),
            "created_before": created_before and created_before.astimezone().isoformat(),
        }
        found: dict[str, SessionSummary] = {}
        cursors: set[str] = set()
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(limit - len(found), _PAGE)
            page = self.api.workloads(limit=size, next=cursor, **query)
            listed = map(SessionSummary.from_json, page["workloads"])
            found.update({each.id: each for each in listed})
            cursor = page.get("next")
            # A cursor that comes again would go round in circles.
            if not cursor or cursor in cursors or not page["workloads"]:
                break
            cursors.add(cursor)
        return list(found.values())[:limit]

    def delete_job(self, job_id: str) -> None:
        """Delete a job with its result.

        Raises:
            NotFoundError: where there is none of that id.
        """
        self.api.delete_job(job_id)


def _check_count(name: str, count: int | None) -> None:
    if count is not None and (not isinstance(count, int) or count < 0):
        raise InvalidInputError(f"{name}={count!r} is not allowed; allowed is 0 and more")


_default_lock = threading.Lock()
_default: list[QiskitRuntimeService] = []


def default_service() -> QiskitRuntimeService:
    """Give this process's service for those who name none, made at the first call."""
    with _default_lock:
        if not _default or _default[0].closed:
            _default[:] = [QiskitRuntimeService()]
        return _default[0]


def local_service() -> QiskitRuntimeService:
    """Give this process's service on the local runtime, whatever account is the default."""
    service = default_service()
    if service.channel == LOCAL:
        return service
    with _default_lock:
        if len(_default) == 1 or _default[1].closed:
            _default[1:] = [QiskitRuntimeService(LOCAL)]
        return _default[1]


_adopted: dict[tuple[str, Account], QiskitRuntimeService] = {}
"""Services of ours for those of qiskit-ibm-runtime, by address and account."""


def adopted_service(
    official: official_package.QiskitRuntimeService, instance: str | None = None
) -> QiskitRuntimeService:
    """Give a service of ours that talks to the same servers as one of qiskit-ibm-runtime.

    Args:
        official: a `qiskit_ibm_runtime.QiskitRuntimeService`.
        instance: CRN of the instance; None is the official service's active one.

    Raises:
        InvalidInputError: for anything else, its local testing mode included.
    """
    account, transport = connection.of_official(official, instance)
    with _default_lock:
        known = _adopted.get((transport.url, account))
        if known is None or known.closed:
            known = QiskitRuntimeService.__new__(QiskitRuntimeService)
            known._set_up(account, transport)  # noqa: SLF001 - a second constructor
            known._official = (transport.url, official)  # noqa: SLF001 - of ours, just made
            _adopted[transport.url, account] = known
        return known


def _operational(entry: Mapping[str, Any]) -> bool:
    return bool((entry.get("status") or {}).get("name", "online") == "online")


def _busyness(entry: Mapping[str, Any]) -> tuple[int, bool, str]:
    return entry.get("queue_length") or 0, entry["name"] != _FIRST_CHOICE, entry["name"]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
