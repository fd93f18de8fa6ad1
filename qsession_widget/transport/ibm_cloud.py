"""The instances of an account, from IBM Cloud's Global Search, with plans from its catalog."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import InvalidInputError, QSessionError
from qsession_widget.transport.http import Endpoint, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qsession_widget.transport.addresses import Verify
    from qsession_widget.transport.answers import Auth

logger = logging.getLogger(__name__)

SEARCH_URL_VARIABLE = "GLOBAL_SEARCH_URL"
CATALOG_URL_VARIABLE = "GLOBAL_CATALOG_URL"

_PAGE = 100
_MOST_PAGES = 100
_PRICING = ("free", "trial", "paygo", "paid", "subscription")
"""The plans that are preferred if none is named (qiskit-ibm-runtime's order)."""
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Instance:
    """An instance of the Qiskit Runtime service.

    Attributes:
        crn: its Cloud Resource Name.
        name: the name that its owner chose; it need not be unique.
        plan: in lower case, such as "open"; "unknown" if the catalog does not say.
        pricing_type: "free", "trial", "paygo", "paid", "subscription" or "unknown".
        tags: its tags.
    """

    crn: str
    name: str
    plan: str = _UNKNOWN
    pricing_type: str = _UNKNOWN
    tags: tuple[str, ...] = ()


class Cloud:
    """Global Search and Global Catalog, for one account.

    Args:
        search_url: where Global Search is; the variable `GLOBAL_SEARCH_URL` overrides it.
        catalog_url: where the catalog is; the variable `GLOBAL_CATALOG_URL` overrides it.
        auth: the account's authentication.
        verify: whether to check the servers' certificates.
        proxies: addresses of proxies by scheme.
    """

    def __init__(
        self,
        search_url: str,
        catalog_url: str,
        auth: Auth,
        *,
        verify: Verify = True,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        search = os.environ.get(SEARCH_URL_VARIABLE) or search_url
        catalog = os.environ.get(CATALOG_URL_VARIABLE) or catalog_url
        self._search = Transport(Endpoint(search.rstrip("/"), auth), verify=verify, proxies=proxies)
        self._catalog = Transport(
            Endpoint(catalog.rstrip("/"), auth), verify=verify, proxies=proxies
        )

    def close(self) -> None:
        """Close the connections."""
        self._search.close()
        self._catalog.close()

    def instances(self) -> list[Instance]:
        """List the account's instances that have backends, in the order of the search.

        Raises:
            NotAuthorizedError, ServiceError, ServiceUnavailableError: as `Transport.request`.
        """
        plans: dict[str, tuple[str, str]] = {}
        found: dict[str, Instance] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            body: dict[str, Any] = {
                "query": "service_name:quantum-computing",
                "fields": ["crn", "service_plan_unique_id", "name", "doc", "tags"],
            }
            if cursor:
                body["search_cursor"] = cursor
            page = self._search.request(
                "POST",
                "/v3/resources/search",
                params={"limit": _PAGE},
                body=body,
                repeatable=True,
            ).json()
            for item in page.get("items") or []:
                # Without an allocation an instance has no backends.
                if not (item.get("doc") or {}).get("extensions"):
                    continue
                plan_id = str(item.get("service_plan_unique_id"))
                if plan_id not in plans:
                    plans[plan_id] = self._plan(plan_id)
                plan, pricing_type = plans[plan_id]
                tags = tuple(str(tag).lower() for tag in item.get("tags") or ())
                crn = str(item["crn"])
                found[crn] = Instance(crn, str(item.get("name")), plan, pricing_type, tags)
            cursor = page.get("search_cursor")
            if not cursor:
                break
        return list(found.values())

    def _plan(self, plan_id: str) -> tuple[str, str]:
        """Return name and pricing of a plan; "unknown" for archived ones, which cannot be read."""
        try:
            entry = self._catalog.request("GET", f"/{plan_id}").json()
        except QSessionError as error:
            logger.warning("The plan %s is not known: %s", plan_id, error)
            return _UNKNOWN, _UNKNOWN
        name = ((entry.get("overview_ui") or {}).get("en") or {}).get("display_name")
        pricing = ((entry.get("metadata") or {}).get("pricing") or {}).get("type")
        return str(name or _UNKNOWN).lower(), str(pricing or _UNKNOWN).lower()


def fitting(
    instances: Sequence[Instance],
    *,
    name: str | None = None,
    region: str | None = None,
    plans_preference: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> list[Instance]:
    """Return the instances that fit, in the order of qiskit-ibm-runtime.

    Args:
        instances: all of them.
        name: only those of this name.
        region: only those in this region.
        plans_preference: only those with these plans, the first ones first. Empty takes free and
            trial plans first.
        tags: only those with all of these tags.

    Raises:
        InvalidInputError: if none fits; the message lists those that exist.
    """
    plans = [plan.lower() for plan in plans_preference]
    found = [
        each
        for each in instances
        if name in {None, each.name}
        and (region is None or f":{region}:" in each.crn)
        and (not plans or each.plan in plans)
        and {tag.lower() for tag in tags} <= set(each.tags)
    ]
    if not found:
        listed = ", ".join(f"{each.name} ({each.plan})" for each in instances) or "none"
        raise InvalidInputError(
            f"no instance fits instance={name!r}, region={region!r}, plans={plans}, "
            f"tags={list(tags)}; this account has {listed}"
        )

    def rank(each: Instance) -> int:
        if plans:
            return plans.index(each.plan)
        known = each.pricing_type in _PRICING
        return _PRICING.index(each.pricing_type) if known else len(_PRICING)

    return sorted(found, key=rank)
