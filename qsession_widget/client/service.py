"""The way to a service: its devices, its jobs, and programs to run on it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from qsession_widget.client import connect, pickling
from qsession_widget.client.backend import backend_name
from qsession_widget.client.backend_search import Devices
from qsession_widget.client.circuits.circuit_cache import encoded_circuits
from qsession_widget.client.job import RuntimeJob
from qsession_widget.client.job_callbacks import follow
from qsession_widget.client.listings import Listings
from qsession_widget.client.options.options import MAX_OPTIMIZATION_LEVEL, RuntimeOptions
from qsession_widget.client.saved import SavedAccounts
from qsession_widget.client.session_context import surrounding_session
from qsession_widget.errors import (
    InvalidInputError,
    NotFoundError,
    QSessionError,
    ServiceUnavailableError,
)
from qsession_widget.support import forking, validation
from qsession_widget.support.validation import given
from qsession_widget.support.warnings import warn_user
from qsession_widget.transport.accounts import (
    IBM_CHANNELS,
    IBM_URL,
    LOCAL,
    Account,
    check_which,
    find_account,
    where_found,
)
from qsession_widget.transport.auth import is_ibm
from qsession_widget.wire import codec
from qsession_widget.wire.fields import API_PREFIX, EXTRA, MOCK_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    import qiskit_ibm_runtime as official_package
    from qiskit import QuantumCircuit

    from qsession_widget.client.result_decoder import ResultDecoder
    from qsession_widget.transport.accounts import ActiveAccount, Proxies
    from qsession_widget.transport.http import Transport
    from qsession_widget.transport.ibm_cloud import Instance


_UNNAMED: tuple[str | None, str | None] = None, None
"""Name of a saved account, and its file, where a service is of none that is known."""


class QiskitRuntimeService(Devices, Listings, SavedAccounts):
    """A connection to the local runtime, or to IBM Quantum. It may be shared by threads.

    Without arguments: the account of the `QISKIT_IBM_*` variables; else the default account that
    qiskit-ibm-runtime saved in `~/.qiskit/qiskit-ibm.json`; else the local runtime, which is
    started where it does not run.

    A local runtime that is joined by its url becomes what is used where no service is named, in
    this process and until it is closed: `Session(backend=NAME)` is there.

    Args:
        channel: "local", "ibm_quantum_platform" or "ibm_cloud". None: "ibm_quantum_platform" where
            a token is given, else as above.
        token: API key of IBM; for channel "local" with a url, somebody else's runtime's token.
        url: root of the service, for example "http://127.0.0.1:41234".
        instance: CRN or name of the instance at IBM. None, and "auto", use all that fit the
            arguments below, free plans before others: a device, job or session is looked for in
            one after the other, and belongs to the service of the instance that has it.
        name: the saved account of this name.
        filename: another file of saved accounts than qiskit-ibm-runtime's.
        verify: whether to check the server's certificate; a path is a file, or a folder, of the
            authorities to trust. None is the account's choice.
        proxies: addresses of proxies by scheme, such as {"https": "http://proxy:3128"}; also in
            qiskit-ibm-runtime's form, {"urls": {...}}.
        private_endpoint: whether to use IBM's private network.
        region: only instances in this region, "us-east" or "eu-de".
        plans_preference: only instances with one of these plans, the first ones first.
        tags: only instances with all of these tags.

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
        verify: bool | str | Path | None = None,
        proxies: Proxies | None = None,
        private_endpoint: bool | None = None,
        region: str | None = None,
        plans_preference: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        given(validation.text, "instance", instance)
        if token is None and url is None:
            account = find_account(channel, name=name, filename=filename)
            if account.channel == LOCAL and instance is not None:
                raise InvalidInputError(
                    f"instance={instance!r} is for an account at IBM, and there is none: give a "
                    "token, or save one with QiskitRuntimeService.save_account"
                )
        else:
            check_which(channel, name, filename)
            account = Account(channel or IBM_CHANNELS[0], token, url)
        account = account.with_changes(
            instance=instance,
            verify=connect.verify_of(verify),
            proxies=connect.proxies_of(proxies),
            private_endpoint=given(validation.boolean, "private_endpoint", private_endpoint),
            region=region,
            plans_preference=given(validation.texts, "plans_preference", plans_preference),
            tags=given(validation.texts, "tags", tags),
        )
        others: list[Instance] = []
        if account.channel != LOCAL and account.crn is None:
            first, *others = connect.fitting_instances(account)
            account = account.with_changes(instance=first.crn)
        self._set_up(account, connect.connect(account), others)
        self._saved_as = (name, None if filename is None else str(filename))
        if account.channel == LOCAL and url is not None:
            with _default_lock:
                _default[:] = [self]

    def _set_up(
        self, account: Account, transport: Transport, others: Sequence[Instance] = ()
    ) -> None:
        super()._set_up(account, transport, others)
        self._features: frozenset[str] | None = None
        self._official: Any = None
        self._pub_counts: dict[str, int] = {}
        self._saved_as = _UNNAMED

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
        url = self._transport.url
        known = self._official
        if known is None or known[0] != url:
            # Made without a lock, since that asks IBM: at worst it is made twice.
            made = (url, connect.official_service(self._account, url))
            with self._lock:
                if self._official is known:
                    self._official = made
                known = self._official
        return known[1]

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

    def __copy__(self) -> Self:
        # A connection is shared, never doubled.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # By the name of its account: a token in a pickle would be anybody's who has the file.
        # One with other instances beside it looks for all of them again.
        account = replace(self._account, instance=None) if self._others else self._account
        how = pickling.recipe(account, *self._saved_as)
        pickling.remember(how, self)
        return _again, (how,)

    @property
    def channel(self) -> str:
        """What kind of service it is, "local", "ibm_quantum_platform" or "ibm_cloud"."""
        return self._account.channel

    @property
    def is_local(self) -> bool:
        """Whether it is a local runtime, this user's or another's."""
        return self.channel == LOCAL

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._transport.closed

    @property
    def features(self) -> frozenset[str]:
        """What the service can do beyond IBM's REST API; empty at IBM (GET /qsession)."""
        known = self._features
        if known is None:
            # Asked without a lock: others need not wait for an answer that takes long.
            try:
                known = frozenset(self.api.about()["features"])
            except NotFoundError:
                known = frozenset()
            self._features = known
        return known

    def pub_count(self, job_id: str) -> int | None:
        """Give how many pubs a job has; None for one that this object has not sent lately."""
        return self._pub_counts.get(job_id)

    def known_to_offer(self, feature: str) -> bool:
        """Say whether the service has said that it can do something, without asking it."""
        return feature in (self._features or ())

    def close(self) -> None:
        """Close the connections. The local runtime goes on."""
        self._transport.close()
        with self._lock:
            beside = list(self._beside.values())
        for service in beside:
            service.close()

    def server_time(self) -> datetime:
        """Give the time that it is at the service now, in UTC, from the answers seen so far.

        Source: the `Date` headers. Exact to a second after one answer, better after several. It is
        this machine's own time before the first answer.
        """
        return self._transport.server_time.now()

    def active_account(self) -> ActiveAccount:
        """Give the account in use, without its token."""
        return {
            "channel": self.channel,
            "url": self._account.url or self._transport.url.removesuffix(API_PREFIX),
            "instance": self._account.instance,
            "verify": self._account.verify,
        }

    # Jobs

    def run(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        self,
        program_id: str,
        inputs: Mapping[str, object],
        options: RuntimeOptions | Mapping[str, object] | None = None,
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
        given(validation.function, "callback", callback)
        given(validation.decoder, "result_decoder", result_decoder)
        session_id = given(validation.text, "session_id", session_id)
        level = given(
            validation.whole(0, MAX_OPTIMIZATION_LEVEL), "optimization_level", optimization_level
        )
        if not isinstance(inputs, Mapping):
            raise validation.refusal("inputs", inputs, "a dict of the program's inputs")
        chosen = RuntimeOptions.of(options)
        if chosen.backend is None:
            raise InvalidInputError("options name no backend; give options={'backend': NAME}")
        validation.text("program_id", program_id)
        name = backend_name(chosen.backend)
        service = self
        if self._in_use(chosen.instance) != [self]:
            service = self.backend(name, chosen.instance).service
        service._check_run(chosen, name, session_id)  # noqa: SLF001 - of the same class
        body = {
            "program_id": program_id,
            "params": inputs,
            "backend": name,
            **({"session_id": session_id} if session_id else {}),
            **chosen.on_the_wire(),
        }
        if level is not None and "transpile" in service.features:
            body[EXTRA] = {"optimization_level": level}

        def encoded(circuit: QuantumCircuit) -> str:
            # IBM's service reads circuits with Qiskit alone.
            return encoded_circuits.text(circuit, plain="transpile" not in service.features)

        text = codec.dumps(body, circuit=encoded, allow_nan=False)
        try:
            answer = service.api.create_job(text, key=str(uuid.uuid4()))
        except ServiceUnavailableError as error:
            error.add_note("Whether the job was taken is not known: service.jobs() lists the last.")
            raise
        job = RuntimeJob(service, answer["id"], result_decoder=result_decoder)
        pubs = inputs.get("pubs")
        if isinstance(pubs, list | tuple):
            self._pub_counts[job.job_id()] = len(pubs)
            _forget_oldest(self._pub_counts, _COUNTS_KEPT)
        if callback is not None:
            follow(job, callback)
        return job

    def _check_run(self, options: RuntimeOptions, backend: str, session_id: str | None) -> None:
        """Refuse, or warn of, what would not be as its user thinks.

        Raises:
            InvalidInputError: for a session's time on the local runtime, where no job starts one.
        """
        if self.channel == LOCAL and options.session_time is not None:
            raise InvalidInputError(
                f"session_time={options.session_time!r} is not allowed: no job starts a session; "
                "use Session(backend=..., max_time=...)"
            )
        if self.channel == LOCAL and options.image is not None:
            warn_user(
                f"image {options.image!r}: the local runtime has one image, its own; it keeps the "
                "name with the job and does nothing else about it"
            )
        around = surrounding_session()
        outside = around is not None and around.session_id is not None and session_id is None
        if outside and not backend.startswith(MOCK_PREFIX):
            warn_user(
                f"this job for {backend} runs outside of {around!r}, although it is sent in its "
                "block: it goes to a backend, not to the session. Make the primitive in the block "
                "without a backend, or use session.run"
            )

    def job(self, job_id: str) -> RuntimeJob:
        """Give a job that was run before, by anybody with this account.

        Raises:
            NotFoundError: where there is none of that id.
            InvalidInputError: for what is no id.
        """
        validation.text("job_id", job_id)

        def found(service: QiskitRuntimeService) -> RuntimeJob:
            job = RuntimeJob(service, job_id)
            job.status()
            return job

        return self._holder(found)

    def delete_job(self, job_id: str) -> None:
        """Delete a job with its result.

        Raises:
            NotFoundError: where there is none of that id.
            InvalidInputError: for what is no id.
        """
        validation.text("job_id", job_id)
        self._holder(lambda service: service.api.delete_job(job_id))


def _again(how: pickling.Recipe) -> QiskitRuntimeService:
    return pickling.again(how, QiskitRuntimeService)


def _forget_oldest(kept: dict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)


_COUNTS_KEPT = 10_000
"""Of how many jobs a service remembers the pubs: a runtime takes no more that have not ended."""

_ADOPTED_KEPT = 32
"""How many services are kept for those of qiskit-ibm-runtime."""

_default_lock = forking.Lock()
_default: list[QiskitRuntimeService] = []


_local: list[QiskitRuntimeService] = []


def default_service() -> QiskitRuntimeService:
    """Return this process's service for those who name none, made at the first call.

    That is the runtime that was joined last by its url, where one was.
    """
    known = _kept(_default)
    if known is not None:
        return known
    try:
        made = QiskitRuntimeService()
    except QSessionError as error:
        name_the_default(error)
        raise
    return _keep(_default, made)


def name_the_default(error: QSessionError, service: QiskitRuntimeService | None = None) -> None:
    """Say on an error which account was asked, where its user has named none.

    Args:
        error: what was raised.
        service: that was asked; nothing is said of one that is not the default. None is the
            default, which could not be made.
    """
    if service is not None and service not in _default:
        return
    with suppress(InvalidInputError):
        account = find_account()
        if account.channel != LOCAL:
            error.add_note(
                f"This was asked with {where_found()}, since no service was named. For the local "
                "runtime, which takes no account: QiskitRuntimeService('local'), as in "
                "Session(QiskitRuntimeService('local'), 'fake_manila')."
            )


def default_is_at_ibm() -> bool:
    """Whether the default service is one of IBM's own servers; nothing is asked for that."""
    with _default_lock:
        made = bool(_default) and not _default[0].closed
        account = _default[0]._account if made else find_account()  # noqa: SLF001 - ours
    return account.channel != LOCAL and is_ibm(account.url or IBM_URL)


def local_service() -> QiskitRuntimeService:
    """Give this process's service on the local runtime, whatever account is the default."""
    # No server is asked for it: IBM may be out of reach, and has nothing to say here.
    for place in (_default, _local):
        known = _kept(place)
        if known is not None and known.channel == LOCAL:
            return known
    with suppress(InvalidInputError):
        if not _kept(_default) and find_account().channel == LOCAL:
            return default_service()
    return _keep(_local, QiskitRuntimeService(LOCAL))


def _kept(place: list[QiskitRuntimeService]) -> QiskitRuntimeService | None:
    with _default_lock:
        known = place[:1]
    return known[0] if known and not known[0].closed else None


def _keep(place: list[QiskitRuntimeService], made: QiskitRuntimeService) -> QiskitRuntimeService:
    """Keep a service that was made without a lock, unless another thread was faster."""
    with _default_lock:
        if place and not place[0].closed:
            made.close()
            return place[0]
        place[:] = [made]
        return made


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
    account, transport = connect.of_official(official, instance)
    with _default_lock:
        known = _adopted.get((transport.url, account))
        if known is None or known.closed:
            known = QiskitRuntimeService.__new__(QiskitRuntimeService)
            known._set_up(account, transport)  # noqa: SLF001 - a second constructor
            known._official = (transport.url, official)  # noqa: SLF001 - of ours, just made
            _adopted[transport.url, account] = known
            _forget_oldest(_adopted, _ADOPTED_KEPT)
        return known
