"""Services and sessions have what lower modules use of them, under the same names."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import Batch, QiskitRuntimeService, Session
from qsession_widget.client.protocols import OpenSession, Service

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: list[tuple[Any, Any]] = [
    (Service, QiskitRuntimeService),
    (OpenSession, Session),
    (OpenSession, Batch),
]


def methods(protocol: type) -> dict[str, Callable[..., object]]:
    """Return the methods that a protocol names."""
    return {name: each for name, each in vars(protocol).items() if inspect.isfunction(each)}


@pytest.mark.parametrize(("protocol", "kind"), KINDS)
def test_properties_are_properties(protocol: type, kind: type) -> None:
    named = {name for name, each in vars(protocol).items() if isinstance(each, property)}
    assert named
    assert named <= {
        name for name, _ in inspect.getmembers(kind, lambda x: isinstance(x, property))
    }


def test_methods_take_the_same_arguments() -> None:
    for name, asked in methods(Service).items():
        if name.startswith("_"):
            continue
        parameters = inspect.signature(getattr(QiskitRuntimeService, name)).parameters
        for each in inspect.signature(asked).parameters.values():
            assert each.name in parameters, f"{name}({each.name}=)"
            assert parameters[each.name].default == each.default, f"{name}({each.name}=)"
        more = parameters.keys() - inspect.signature(asked).parameters.keys()
        assert all(parameters[each].default is not inspect.Parameter.empty for each in more), name


def as_protocol(service: QiskitRuntimeService) -> Service:
    """Return the service as lower modules see it; mypy compares the types."""
    return service


@pytest.mark.usefixtures("runtime")
def test_a_service_is_one(service: QiskitRuntimeService) -> None:
    seen = as_protocol(service)
    assert seen.api is service.api
    assert (seen.is_local, seen.closed, seen.active_instance()) == (True, False, None)
    assert seen.features
    assert all(map(seen.known_to_offer, seen.features))
    assert not seen.known_to_offer("nothing of the kind")
    assert seen.contents.get("unknown").pubs is None
