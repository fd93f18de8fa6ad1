"""The instances of an account at IBM: a service for each, and questions to all of them."""

from __future__ import annotations

import logging
import weakref
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

from qsession_widget.client import connect
from qsession_widget.client.protocols import Service
from qsession_widget.errors import InvalidInputError, NotFoundError, ServiceError
from qsession_widget.support import forking, validation
from qsession_widget.transport.accounts import LOCAL, Account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from qsession_widget.transport.ibm_cloud import Instance

logger = logging.getLogger(__name__)

_S = TypeVar("_S", bound=Service)
_T = TypeVar("_T")


class InstanceDetails(TypedDict):
    """An instance, as `QiskitRuntimeService.instances` lists it."""

    crn: str
    name: str
    plan: str
    pricing_type: str
    tags: list[str]


class Instances(Generic[_S]):
    """Asks each instance that a service uses.

    A service always talks to the same instance, unlike qiskit-ibm-runtime's, whose active instance
    changes with the requests. A service that was made without an instance uses the account's other
    instances, too: each has a service of its own, made at its first use.

    Args:
        own: the service, which owns this object and is therefore held weakly.
        account: its account.
        others: the further instances that it uses where none is named.
        make: makes the service of another instance; it gets the account with that instance's CRN.
    """

    def __init__(
        self,
        own: _S,
        account: Account,
        others: Sequence[Instance],
        make: Callable[[Account], _S],
    ) -> None:
        self._own = weakref.ref(own)
        self._account = account
        self._make = make
        self._lock = forking.Lock()
        self._others = tuple(others)
        self._beside: dict[str, _S] = {}

    @property
    def several(self) -> bool:
        """Whether more than one instance is used where none is named."""
        return bool(self._others)

    def listed(self) -> list[InstanceDetails]:
        """Return the details of every instance of the account; none on the local runtime."""
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

    def in_use(self, instance: str | None = None) -> list[_S]:
        """Return the services to ask, the owner of this object first.

        Args:
            instance: CRN or name; None is the one of the constructor, or all if it named none.

        Raises:
            InvalidInputError: for an instance that the account does not have, and for any on the
                local runtime.
        """
        if instance is None:
            return [self._owner(), *(self._service_beside(each.crn) for each in self._others)]
        validation.text("instance", instance)
        if instance in {self._account.crn, self._account.instance}:
            return [self._owner()]
        if self._account.channel == LOCAL:
            raise InvalidInputError(f"instance={instance!r}: the local runtime has no instances")
        if instance.startswith("crn:"):
            return [self._service_beside(instance)]
        # An instance that is named need not have the plans and tags of the constructor.
        wanted = replace(
            self._account, instance=instance, region=None, plans_preference=(), tags=()
        )
        return [
            self._owner() if each.crn == self._account.crn else self._service_beside(each.crn)
            for each in connect.fitting_instances(wanted)
        ]

    def ask_each(self, ask: Callable[[_S], _T], instance: str | None = None) -> list[_T]:
        """Return the answer of each instance in use.

        An instance that refuses is left out where others answer: IBM lists instances that are
        gone, and answers 403 for them.
        """
        services = self.in_use(instance)
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

    def ask_until_found(self, ask: Callable[[_S], _T], instance: str | None = None) -> _T:
        """Return the answer of the first instance in use that has what is asked for.

        Raises:
            NotFoundError: if no instance has it.
        """
        services = self.in_use(instance)
        refusals = []
        for service in services:
            try:
                return ask(service)
            except ServiceError as error:
                if len(services) == 1:
                    raise
                refusals.append(error)
        raise next((each for each in refusals if isinstance(each, NotFoundError)), refusals[0])

    def merged(
        self,
        ask: Callable[[_S, int | None, int], list[_T]],
        when: Callable[[_T], datetime],
        limit: int | None,
        skip: int = 0,
        *,
        descending: bool = True,
        instance: str | None,
    ) -> list[_T]:
        """Return one list, in the order of time, of what each instance in use lists.

        Args:
            ask: lists at most so many entries of a service, after the first so many.
            when: the time of an entry.
            limit: how many entries at most; None is all.
            skip: how many to leave out at the beginning.
            descending: whether the newest come first.
            instance: as for `in_use`.
        """
        if len(self.in_use(instance)) == 1:
            return self.ask_each(lambda service: ask(service, limit, skip), instance)[0]
        # Any of them may have all that is wanted.
        most = None if limit is None else skip + limit
        lists = self.ask_each(lambda service: ask(service, most, 0), instance)
        found = sorted(chain(*lists), key=when, reverse=descending)
        return found[skip:most]

    def close(self) -> None:
        """Close the services of the other instances."""
        with self._lock:
            beside = list(self._beside.values())
        for service in beside:
            service.close()

    def _owner(self) -> _S:
        own = self._own()
        if own is None:
            raise ReferenceError("the service that owns these instances is gone")
        return own

    def _service_beside(self, crn: str) -> _S:
        """Return the service of another instance, made at the first call."""
        with self._lock:
            known = self._beside.get(crn)
        if known is not None:
            return known
        made = self._make(self._account.with_changes(instance=crn))
        with self._lock:
            known = self._beside.setdefault(crn, made)
        if known is not made:
            # Another thread was faster.
            made.close()
        return known
