"""Which versions a server and its hosts have to share: what is sent, and what is simulated."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = ("qsession-widget", "qiskit", "qiskit-aer", "qiskit-ibm-runtime")


def versions() -> dict[str, str]:
    """Return the versions here, without importing the packages."""
    return {name: version(name) for name in _PACKAGES}


def disagreement(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """Return in a sentence why a host cannot be used; None if its versions are the server's."""
    differing = [
        f"{name} {theirs.get(name, 'none')} instead of {ours[name]}"
        for name in ours
        if theirs.get(name) != ours[name]
    ]
    if not differing:
        return None
    return f"It has {', '.join(differing)}; install the versions of the server."
