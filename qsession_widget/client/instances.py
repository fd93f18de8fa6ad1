"""The part of the service that knows the instances of its account, and asks each of them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, cast

from qsession_widget.client import connect
from qsession_widget.errors import InvalidInputError, NotFoundError, ServiceError
from qsession_widget.support import forking, validation
from qsession_widget.transport.accounts import LOCAL, Account
from qsession_widget.transport.rest import RuntimeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qsession_widget.client.service import QiskitRuntimeService
    from qsession_widget.transport.http import Transport
    from qsession_widget.transport.ibm_cloud import Instance

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class InstanceDetails(TypedDict):
    """An instance, as `QiskitRuntimeService.instances` lists it."""

    crn: str
    name: str
    plan: str
    pricing_type: str
    tags: list[str]


class Instances:
    """One service for each instance of an account.

    A service talks to one instance for ever, unlike qiskit-ibm-runtime's, whose active instance
    changes with what it is asked. One that was made without an instance knows the account's others
    too, as services of their own, and finds devices, jobs and sessions that are theirs.
    """

    def _set_up(
        self, account: Account, transport: Transport, others: Sequence[Instance] = ()
    ) -> None:
        self._account = account
        self._transport = transport
        self.api = RuntimeApi(transport)
        """The REST API, one method for each endpoint."""
        self._lock = forking.Lock()
        self._others = tuple(others)
        self._beside: dict[str, Self] = {}

    @property
    def _whole(self) -> QiskitRuntimeService:
        """Itself as what it is: nobody makes a part of the service by itself."""
        return cast("QiskitRuntimeService", self)

    def active_instance(self) -> str | None:
        """Give the CRN of the instance that this service talks to; None on the local runtime.

        Where it was made without an instance it is the one that is asked first, and what it finds
        elsewhere has a service of its own: `service.backend(name).service.active_instance()`.
        """
        return self._account.crn

    def instances(self) -> list[InstanceDetails]:
        """List the instances of the account; none on the local runtime.

        Returns:
            For each a dict with `crn`, `name`, `plan`, `pricing_type` and `tags`, from IBM Cloud's
            Global Search and Global Catalog.
        """
        if self._account.channel == LOCAL:
            return []
        found = connect.list_instances(self._account)
        return [
            {
                "crn": each.crn,
                "name": each.name,
                "plan": each.plan,
                "pricing_type": each.pricing_type,
                "tags": list(each.tags),
            }
            for each in found
        ]

    def uses(self, other: QiskitRuntimeService) -> bool:
        """Whether another service is this one, or that of another instance that it uses.

        Args:
            other: the other service.
        """
        return other in self._in_use()

    def beside(self) -> list[QiskitRuntimeService]:
        """Give the services of all instances in use, this one first."""
        return [each._whole for each in self._in_use()]  # noqa: SLF001 - of the same class

    def find_session(self, session_id: str) -> tuple[QiskitRuntimeService, dict[str, Any]]:
        """Look for a session or batch in every instance in use.

        Args:
            session_id: its id.

        Returns:
            The service of the instance that has it, and its JSON (GET /sessions/{id}).

        Raises:
            NotFoundError: where there is none of that id.
            InvalidInputError: for what is no id.
        """
        validation.text("session_id", session_id)
        return self._holder(lambda each: (each._whole, each.api.session(session_id)))  # noqa: SLF001 - of the same class

    def _in_use(self, instance: str | None = None) -> list[Self]:
        """Give the services to ask, this one first.

        Args:
            instance: CRN or name; None is the one of the constructor, or all where it named none.

        Raises:
            InvalidInputError: for an instance that the account does not have, and for any on the
                local runtime.
        """
        if instance is None:
            return [self, *(self._service_beside(each.crn) for each in self._others)]
        validation.text("instance", instance)
        if instance in {self._account.crn, self._account.instance}:
            return [self]
        if self._account.channel == LOCAL:
            raise InvalidInputError(f"instance={instance!r}: the local runtime has no instances")
        if instance.startswith("crn:"):
            return [self._service_beside(instance)]
        # The plans and tags of the constructor do not matter to who names one.
        wanted = replace(
            self._account, instance=instance, region=None, plans_preference=(), tags=()
        )
        fitting = connect.fitting_instances(wanted)
        return [
            self if each.crn == self._account.crn else self._service_beside(each.crn)
            for each in fitting
        ]

    def _service_beside(self, crn: str) -> Self:
        """Give the service of another instance, made at the first call."""
        account = self._account.with_changes(instance=crn)
        with self._lock:
            known = self._beside.get(crn)
        if known is not None:
            return known
        made = type(self).__new__(type(self))
        made._set_up(account, connect.connect(account))  # noqa: SLF001 - a second constructor
        with self._lock:
            known = self._beside.setdefault(crn, made)
        if known is not made:
            # Another thread was faster.
            made._transport.close()  # noqa: SLF001 - of the same class
        return known

    def _each(self, ask: Callable[[Self], _T], instance: str | None = None) -> list[_T]:
        """Ask each instance in use. One that refuses is left out where others answer.

        IBM lists instances that are gone, and answers 403 for them.
        """
        services = self._in_use(instance)
        answers, refusal = [], None
        for service in services:
            try:
                answers.append(ask(service))
            except ServiceError as error:
                if len(services) == 1:
                    raise
                refusal = refusal or error
                logger.info("Instance %s is left out: %s", service.active_instance(), error)
        if refusal is not None and not answers:
            raise refusal
        return answers

    def _holder(self, ask: Callable[[Self], _T], instance: str | None = None) -> _T:
        """Give the answer of the first instance in use that has what is asked for.

        Raises:
            NotFoundError: where none has it.
        """
        services = self._in_use(instance)
        refusals = []
        for service in services:
            try:
                return ask(service)
            except ServiceError as error:
                if len(services) == 1:
                    raise
                refusals.append(error)
        raise next((each for each in refusals if isinstance(each, NotFoundError)), refusals[0])
