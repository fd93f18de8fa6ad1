"""Keeps the plugins of other packages out of the transpiler of workers.

Qiskit loads every installed plugin before it transpiles its first circuit, whether it uses it or
not. Those of qiskit-ibm-runtime import all of that package, which takes more than a second and 150
MB in each worker. No job can name a plugin, so only Qiskit's own are ever used.
"""

from __future__ import annotations

from importlib.metadata import distribution

_OWN = "qiskit"
_GROUPS = (
    "qiskit.synthesis",
    "qiskit.transpiler.init",
    "qiskit.transpiler.layout",
    "qiskit.transpiler.optimization",
    "qiskit.transpiler.routing",
    "qiskit.transpiler.scheduling",
    "qiskit.transpiler.translation",
    "qiskit.unitary_synthesis",
)


def use_only_qiskits_own() -> None:
    """Hide all transpiler plugins except Qiskit's own from this process."""
    from stevedore import ExtensionManager  # noqa: PLC0415 - the server imports the worker's loop

    own = distribution(_OWN).entry_points
    for group in _GROUPS:
        ExtensionManager.ENTRY_POINT_CACHE[group] = list(own.select(group=group))
