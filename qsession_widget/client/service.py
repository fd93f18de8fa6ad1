"""The connection to a service: its backends, jobs, sessions and accounts, and running programs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from qsession_widget.client import connect, listings, pickling, short_ids
from qsession_widget.client import saved_accounts as saved
from qsession_widget.client.backends.backend import backend_name, no_calibration
from qsession_widget.client.backends.backend_search import BackendSearch, Wanted
from qsession_widget.client.circuits.circuit_cache import encoded_circuits
from qsession_widget.client.instances import Instances
from qsession_widget.client.jobs.job import RuntimeJob
from qsession_widget.client.jobs.job_callbacks import follow
from qsession_widget.client.jobs.job_contents import KnownContents, contents_of
from qsession_widget.client.jobs.result_summary import Summaries
from qsession_widget.client.kept_service import KeptService
from qsession_widget.client.listings import Listings
from qsession_widget.client.options.options import MAX_OPTIMIZATION_LEVEL, RuntimeOptions
from qsession_widget.client.session_context import innermost_session
from qsession_widget.errors import (
    InvalidInputError,
    NotFoundError,
    ServiceUnavailableError,
)
from qsession_widget.support import forking, validation
from qsession_widget.support.handles import Closing, Shared
from qsession_widget.support.validation import given
from qsession_widget.support.warnings import warn_user
from qsession_widget.transport.accounts import (
    IBM_CHANNELS,
    LOCAL,
    Account,
    check_which,
    find_account,
)
from qsession_widget.transport.heartbeat import Heartbeat
from qsession_widget.transport.rest import RuntimeApi
from qsession_widget.wire import codec, processes
from qsession_widget.wire.fields import API_PREFIX, EXTRA, MOCK_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    import qiskit_ibm_runtime as official_package
    from qiskit import QuantumCircuit

    from qsession_widget.client.backends.backend import Backend
    from qsession_widget.client.backends.backend_search import Configurations
    from qsession_widget.client.instances import InstanceDetails
    from qsession_widget.client.jobs.result_decoder import ResultDecoder
    from qsession_widget.client.protocols import Service
    from qsession_widget.client.tables import JobTable, SessionTable
    from qsession_widget.transport.accounts import ActiveAccount, Proxies
    from qsession_widget.transport.http import Transport
    from qsession_widget.transport.ibm_cloud import Instance
    from qsession_widget.wire.documents import SessionDocument


_UNNAMED: tuple[str | None, str | None] = None, None
"""Name and file of the saved account, for a service that was not made from one."""


class QiskitRuntimeService(Closing, Shared):
    """A connection to the local runtime, or to IBM Quantum. Threads may share it.

    Without arguments it uses the account of the `QISKIT_IBM_*` variables; else the default account
    that qiskit-ibm-runtime saved in `~/.qiskit/qiskit-ibm.json`; else the local runtime, which is
    started if it is not running.

    A local runtime that is joined by its url becomes the default service of this process until it
    is closed: `Session(backend=NAME)` then runs there.

    Args:
        channel: "local", "ibm_quantum_platform" or "ibm_cloud". None: "ibm_quantum_platform" where
            a token is given, else as above.
        token: API key of IBM; for channel "local" with a url, the token of that runtime.
        url: root of the service, for example "http://127.0.0.1:41234".
        instance: CRN or name of the instance at IBM. None and "auto" use all instances that fit
            the arguments below, free plans first: a backend, job or session is looked for in one
            after the other, and belongs to the service of the instance that has it.
        name: use the saved account of this name.
        filename: file of saved accounts, instead of qiskit-ibm-runtime's.
        verify: whether to check the server's certificate; a path is a file, or a folder, of the
            authorities to trust. None is the account's choice.
        proxies: addresses of proxies by scheme, such as {"https": "http://proxy:3128"}; also in
            qiskit-ibm-runtime's form, {"urls": {...}}.
        private_endpoint: whether to use IBM's private network.
        region: only instances in this region, "us-east" or "eu-de".
        plans_preference: only instances with one of these plans, the first ones first.
        tags: only instances with all of these tags.

    Raises:
        InvalidInputError: for arguments that do not fit together, and if no instance fits.
        NotAuthorizedError: if instances have to be looked up, and the API key is refused.
        RuntimeStartError: if the local runtime cannot be started.
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
        self._begin(account, connect.connect(account), others)
        self._saved_as = (name, None if filename is None else str(filename))
        if account.channel == LOCAL and url is not None:
            kept_default.replace(self)

    def _begin(
        self,
        account: Account,
        transport: Transport,
        others: Sequence[Instance] = (),
        configurations: Configurations | None = None,
    ) -> None:
        """Set the state that both constructors share."""
        self._account = account
        self.api = RuntimeApi(transport)
        """The REST API, one method for each endpoint."""
        self._lock = forking.Lock()
        known: Configurations = {} if configurations is None else configurations
        make = partial(self._for_account, configurations=known)
        self._instances: Instances[QiskitRuntimeService] = Instances(self, account, others, make)
        self._backends = BackendSearch(self._instances, known)
        self._listings = Listings(self._instances)
        self._features: frozenset[str] | None = None
        self._programs: frozenset[str] | None = None
        self._missing_programs: set[str] = set()
        self._heartbeat: Heartbeat | None = None
        self._official: tuple[str, Any] | None = None
        self._contents = KnownContents()
        self._summaries = Summaries()
        """What is known of the results that were fetched through this object."""
        self._saved_as = _UNNAMED

    @classmethod
    def _for_account(
        cls,
        account: Account,
        transport: Transport | None = None,
        official: Any = None,
        configurations: Configurations | None = None,
    ) -> Self:
        """Make a service of an account that is known already: a second constructor.

        Args:
            account: the account, with the CRN of its instance.
            transport: the connection to it; None makes one.
            official: the service of qiskit-ibm-runtime that it is made for.
            configurations: as for `BackendSearch`.
        """
        service = super().__new__(cls)
        transport = transport or connect.connect(account)
        service._begin(account, transport, configurations=configurations)
        if official is not None:
            service._official = (transport.url, official)
        return service

    def usage(self) -> dict[str, Any]:
        """Return what the instance has used and may use (GET /instances/usage).

        Returns:
            The JSON unchanged. Its keys differ between plans; their names end in their units.
        """
        return self.api.usage()

    def ibm(self) -> official_package.QiskitRuntimeService:
        """Return a genuine `qiskit_ibm_runtime.QiskitRuntimeService` for the same account.

        For the local runtime it keeps the runtime's address: if the runtime was restarted on
        another port, the next call makes a new one.
        """
        url = self.api.transport.url
        known = self._official
        if known is None or known[0] != url:
            # Made without holding a lock, since it asks IBM: at worst it is made twice.
            made = (url, connect.official_service(self._account, url))
            with self._lock:
                if self._official is known:
                    self._official = made
                known = self._official or made
        return known[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(channel={self.channel!r}, url={self.api.transport.url!r})>"

    def __reduce__(self) -> tuple[Any, ...]:
        # By the name of its account: everyone who has the file could read a token in a pickle.
        # A service that uses several instances looks for all of them again.
        account = (
            replace(self._account, instance=None) if self._instances.several else self._account
        )
        how = pickling.recipe(account, *self._saved_as)
        pickling.remember(how, self)
        return _again, (how,)

    @property
    def channel(self) -> str:
        """The kind of service, "local", "ibm_quantum_platform" or "ibm_cloud"."""
        return self._account.channel

    @property
    def is_local(self) -> bool:
        """Whether it is a local runtime, this user's own or one that was joined."""
        return self.channel == LOCAL

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.api.transport.closed

    @property
    def summaries(self) -> Summaries:
        """What is known of results that were fetched."""
        return self._summaries

    @property
    def contents(self) -> KnownContents:
        """What is known of jobs that were sent, or whose inputs were read."""
        return self._contents

    @property
    def features(self) -> frozenset[str]:
        """What the service can do beyond IBM's REST API; empty at IBM (GET /qsession)."""
        known = self._features
        if known is None:
            # Asked without holding a lock, so that other threads need not wait for a slow answer.
            try:
                about = self.api.about()
            except NotFoundError:
                about = {}
            known = frozenset(about.get("features") or ())
            if "programs" in about:
                self._programs = frozenset(about["programs"])
            mark = processes.machine_mark()
            if "beats" in known and (mark is None or about.get("machine") != mark):
                self._heartbeat = Heartbeat(self.api)
            self._features = known
        return known

    def runs(self, program_id: str) -> bool:
        """Return whether the service runs a program, as far as it has said.

        A local runtime lists its programs (GET /qsession). IBM says it only when it refuses a job.

        Args:
            program_id: the program, for example "sampler".
        """
        validation.text("program_id", program_id)
        if self._programs is None and not self.features:
            return program_id not in self._missing_programs
        return self._programs is None or program_id in self._programs

    def note_missing(self, program_id: str) -> None:
        """Note that the service has refused a job because it does not run its program."""
        self._missing_programs.add(validation.text("program_id", program_id))

    @property
    def heartbeat(self) -> Heartbeat | None:
        """Reports that this program lives; None where the service sees that by itself.

        None also as long as the service has not been asked for its features.
        """
        return self._heartbeat

    def known_to_offer(self, feature: str) -> bool:
        """Return whether the service is known to have a feature, without asking it."""
        return feature in (self._features or ())

    def close(self) -> None:
        """Close the connections. The local runtime keeps running."""
        self.api.transport.close()
        self._instances.close()

    def server_time(self) -> datetime:
        """Return the service's present time, in UTC, estimated from the responses seen so far.

        Source: the `Date` headers. Exact to a second after one response, better after several.
        Before the first response it is this machine's own time.
        """
        return self.api.transport.server_time.now()

    def active_account(self) -> ActiveAccount:
        """Return the account in use, without its token."""
        return {
            "channel": self.channel,
            "url": self._account.url or self.api.transport.url.removesuffix(API_PREFIX),
            "instance": self._account.instance,
            "verify": self._account.verify,
        }

    # Backends

    def backends(
        self,
        name: str | None = None,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        dynamic_circuits: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        *,
        simulator: bool | None = None,
        operational: bool | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
        include_mocks: bool = False,
        **attributes: object,
    ) -> list[Backend]:
        """List backends, in the service's order, each once.

        Args:
            name: only the backend of this name.
            min_num_qubits: only those with at least this many qubits.
            instance: only those of the instance with this CRN or name; None is the service's own
                instance, or all of the account's if it was made without one.
            dynamic_circuits: only those that run dynamic circuits (True) or do not (False).
            filters: only those for which this function returns true.
            simulator: only simulators (True) or only real devices (False).
            operational: only those that take jobs now (True) or do not (False).
            use_fractional_gates: as for `backend`; None and False leave nothing out.
            calibration_id: only None is allowed; accepted for programs that name it.
            include_mocks: whether to list the backends' mocks too, which dry runs go to.
            **attributes: only those whose configuration has these values, such as `n_qubits=5`.

        Raises:
            InvalidInputError: for a value of the wrong kind, for an unknown instance, and for an
                attribute that no backend's configuration has.
        """
        no_calibration(calibration_id)
        name = given(validation.text, "name", name)
        operational = given(validation.boolean, "operational", operational)
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        include_mocks = validation.boolean("include_mocks", include_mocks)
        wanted = Wanted.checked(min_num_qubits, simulator, dynamic_circuits, filters, attributes)
        return self._backends.all(
            wanted,
            instance,
            name=name,
            operational=operational,
            use_fractional_gates=use_fractional_gates,
            include_mocks=include_mocks,
        )

    def backend(
        self,
        name: str,
        instance: str | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> Backend:
        """Return one backend.

        Args:
            name: its name.
            instance: as for `backends`.
            use_fractional_gates: whether its target has rx, rzz and other gates that turn by any
                angle. With None it has them, but bare circuits that are transpiled on the client,
                for IBM, do not use them: IBM refuses some angles, and most error suppression.
            calibration_id: only None is allowed; accepted for programs that name it.

        Raises:
            BackendNotFoundError: if there is no backend of that name; the message lists those that
                exist, the nearest names first.
            InvalidInputError: for an unknown instance, and for fractional gates of a backend that
                has none.
        """
        no_calibration(calibration_id)
        wanted = backend_name(name)
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        return self._backends.named(wanted, instance, use_fractional_gates)

    def least_busy(
        self,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        filters: Callable[[Backend], bool] | None = None,
        use_fractional_gates: bool | None = None,
        *,
        simulator: bool | None = None,
        dynamic_circuits: bool | None = None,
        operational: bool = True,
        **attributes: object,
    ) -> Backend:
        """Return the operational backend with the fewest waiting jobs.

        Ties go to the first in the service's order; the local runtime lists the largest backends
        first, and the newest of those before the others. Simulators come after all real devices,
        however busy those are.

        Args:
            min_num_qubits: only those with at least this many qubits.
            instance: as for `backends`.
            filters: only those for which this function returns true.
            simulator: only simulators (True) or only real devices (False).
            dynamic_circuits: as for `backends`.
            operational: only True is allowed; accepted for programs that name it.
            use_fractional_gates: as for `backend`.
            **attributes: as for `backends`.

        Raises:
            BackendNotFoundError: if no backend fits.
            InvalidInputError: as for `backends`.
        """
        if not validation.boolean("operational", operational):
            raise InvalidInputError("operational=False: only a backend that takes jobs is chosen")
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        wanted = Wanted.checked(min_num_qubits, simulator, dynamic_circuits, filters, attributes)
        return self._backends.least_busy(wanted, instance, use_fractional_gates)

    # Jobs and sessions

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
            callback: called on a background thread as `callback(job_id, result)`: on the local
                runtime with the result of each finished pub, and everywhere with the whole result.
            result_decoder: class with `decode(text)`, instead of the default decoder.
            session_id: the session to run it in.
            optimization_level: how hard the local runtime transpiles circuits that are not in the
                backend's instruction set, 0 to 3. IBM refuses such circuits.

        Raises:
            InvalidInputError: for options or inputs that cannot be used.
            NotFoundError: for an unknown program or session.
            ConflictError: if the session takes no more jobs.
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
        service: Service = self
        if self._instances.in_use(chosen.instance) != [self]:
            service = self.backend(name, chosen.instance).service
        _check_run(service, chosen, name, session_id)
        body = {
            "program_id": program_id,
            "params": inputs,
            "backend": name,
            **({"session_id": session_id} if session_id else {}),
            **chosen.on_the_wire(),
        }
        extra = _extras(service, session_id, level)
        if extra:
            body[EXTRA] = extra

        def encoded(circuit: QuantumCircuit) -> str:
            # IBM's service reads circuits with Qiskit alone, without our additions.
            return encoded_circuits.text(circuit, plain="transpile" not in service.features)

        text = codec.dumps(body, circuit=encoded, allow_nan=False)
        try:
            answer = service.api.create_job(text, key=str(uuid.uuid4()))
        except ServiceUnavailableError as error:
            error.add_note(
                "It is not known whether the job was accepted: service.jobs() lists the latest."
            )
            raise
        job = RuntimeJob(service, answer.id, result_decoder=result_decoder)
        job.sent_from_here()
        self._contents.note(job.job_id(), contents_of(program_id, inputs))
        if callback is not None:
            follow(job, callback)
        return job

    def job(self, job_id: str) -> RuntimeJob:
        """Return an existing job of this account.

        Raises:
            NotFoundError: if there is no job of that id.
            InvalidInputError: for a value that is not an id.
        """
        validation.text("job_id", job_id)

        def found(service: QiskitRuntimeService) -> RuntimeJob:
            def ask(whole_id: str) -> RuntimeJob:
                job = RuntimeJob(service, whole_id)
                job.status()
                return job

            return short_ids.ask_by_id(service, "job", job_id, ask)

        return self._instances.ask_until_found(found)

    def delete_job(self, job_id: str) -> None:
        """Delete a job and its result.

        Raises:
            NotFoundError: if there is no job of that id.
            InvalidInputError: for a value that is not an id.
        """
        validation.text("job_id", job_id)
        self._instances.ask_until_found(
            lambda service: short_ids.ask_by_id(service, "job", job_id, service.api.delete_job)
        )

    def jobs(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
        self,
        limit: int | None = 10,
        skip: int = 0,
        backend_name: str | None = None,
        pending: bool | None = None,
        program_id: str | None = None,
        instance: str | None = None,
        job_tags: Sequence[str] | None = None,
        session_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        descending: bool = True,
        include_mocks: bool = False,
    ) -> JobTable:
        """List jobs, the newest first, each once; displayed, the list is a table.

        Args:
            limit: how many at most; None is all.
            skip: how many to leave out at the beginning.
            backend_name: only those of this backend.
            pending: only those that are queued or running (True), or only final ones (False).
            program_id: only those of this program.
            instance: only those of the instance with this CRN or name; None is the service's own
                instance, or all of the account's if it was made without one.
            job_tags: only those with all of these tags.
            session_id: only those of this session.
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.
            descending: whether the newest come first.
            include_mocks: whether to list dry runs too, which went to a backend's mock.

        Raises:
            InvalidInputError: for a limit or skip that is not a count, for any other value of the
                wrong kind, and for an unknown instance.
        """
        query = listings.job_query(
            backend_name=backend_name,
            pending=pending,
            program_id=program_id,
            session_id=session_id,
            job_tags=job_tags,
            created_after=created_after,
            created_before=created_before,
            descending=descending,
            include_mocks=include_mocks,
        )
        return self._listings.jobs(query, limit, skip, descending=descending, instance=instance)

    def sessions(
        self,
        limit: int | None = 10,
        *,
        backend_name: str | None = None,
        pending: bool | None = None,
        mode: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        instance: str | None = None,
    ) -> SessionTable:
        """List sessions and batches, the newest first, each once (GET /workloads).

        Displayed, the list is a table.

        It finds sessions that were left open, too: `Session.from_id(found.id).close()` ends one.

        Args:
            limit: how many at most; None is all.
            backend_name: only those on this backend.
            pending: only those that are unfinished (True) or final (False).
            mode: only sessions ("dedicated") or only batches ("batch").
            created_after: only those since then; a time without a zone is in local time.
            created_before: only those until then.
            instance: as for `jobs`.

        Raises:
            InvalidInputError: for a limit that is not a count, for an unknown mode, and for an
                unknown instance.
        """
        query = listings.session_query(
            backend_name=backend_name,
            pending=pending,
            mode=mode,
            created_after=created_after,
            created_before=created_before,
        )
        return self._listings.sessions(query, limit, instance=instance)

    def find_session(self, session_id: str) -> tuple[QiskitRuntimeService, SessionDocument]:
        """Look for a session or batch in every instance in use.

        Args:
            session_id: its id.

        Returns:
            The service of the instance that has it, and the session (GET /sessions/{id}).

        Raises:
            NotFoundError: if there is none of that id.
            InvalidInputError: for a value that is not an id.
        """
        validation.text("session_id", session_id)
        return self._instances.ask_until_found(
            lambda each: (
                each,
                short_ids.ask_by_id(each, "session", session_id, each.api.session),
            )
        )

    # Instances

    def active_instance(self) -> str | None:
        """Return the CRN of the instance that this service talks to; None on the local runtime.

        For a service that was made without an instance this is the one that is asked first. What
        is found in another instance has that instance's service:
        `service.backend(name).service.active_instance()`.
        """
        return self._account.crn

    def instances(self) -> list[InstanceDetails]:
        """List the instances of the account; none on the local runtime.

        Returns:
            For each instance a dict with `crn`, `name`, `plan`, `pricing_type` and `tags`, from IBM
            Cloud's Global Search and Global Catalog.
        """
        return self._instances.listed()

    def uses(self, other: Service) -> bool:
        """Return whether a service is this one, or that of another instance that this one uses.

        Args:
            other: the service.
        """
        return other in self._instances.in_use()

    def beside(self) -> list[QiskitRuntimeService]:
        """Return the services of all instances in use, this one first."""
        return self._instances.in_use()

    # Saved accounts

    save_account = staticmethod(saved.save_account)
    saved_accounts = staticmethod(saved.saved_accounts)
    delete_account = staticmethod(saved.delete_account)


def _check_run(
    service: Service, options: RuntimeOptions, backend: str, session_id: str | None
) -> None:
    """Refuse options that a job cannot have, and warn of those without the expected effect.

    Raises:
        InvalidInputError: for a session time on the local runtime, where no job starts a session.
    """
    if service.channel == LOCAL and options.session_time is not None:
        raise InvalidInputError(
            f"session_time={options.session_time!r} is not allowed: no job starts a session; "
            "use Session(backend=..., max_time=...)"
        )
    if service.channel == LOCAL and options.image is not None:
        warn_user(
            f"image {options.image!r}: the local runtime has one image, its own; it keeps the "
            "name with the job, and does nothing else with it"
        )
    around = innermost_session()
    outside = around is not None and around.session_id is not None and session_id is None
    if outside and not backend.startswith(MOCK_PREFIX):
        warn_user(
            f"this job for {backend} runs outside of {around!r}, although it is sent in its "
            "block: it goes to a backend, not to the session. Make the primitive in the block "
            "without a backend, or use session.run"
        )


def _again(how: pickling.Recipe) -> QiskitRuntimeService:
    return pickling.again(how, QiskitRuntimeService)


def _extras(
    service: Service, session_id: str | None, optimization_level: int | None
) -> dict[str, object]:
    """Return our additions to a new job that its service knows."""
    found: dict[str, object] = {}
    if session_id and "holders" in service.features:
        found["process"] = processes.own_name()
    if optimization_level is not None and "transpile" in service.features:
        found["optimization_level"] = optimization_level
    return found


kept_default: KeptService[QiskitRuntimeService] = KeptService()
"""The default service: the runtime joined last by its url, else the one made at the first use."""
