"""Imports parts of qiskit-ibm-runtime without the rest of it.

The package imports its whole client, and with it pandas, xarray and IBM's SDKs: 1.2 s and 120 MB in
each worker process, of which a quantum program needs 0.2 s and 14 MB.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from qsession_widget.support.official import needed

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = "qiskit_ibm_runtime"


class _Postponed(ModuleType):
    """A package that is executed when one of its own names is first read."""

    execute: Callable[[ModuleType], None]

    def __getattr__(self, name: str) -> Any:
        execute = self.execute
        self.__class__ = ModuleType  # type: ignore[assignment] # as importlib's LazyLoader does it
        execute(self)
        return getattr(self, name)


def load(name: str, package: str = PACKAGE) -> Any:
    """Import a module that uses parts of a package, and return the module.

    Raises:
        UnsupportedError: the installed release lacks a part that it needs.
        ImportError: it cannot be imported for another reason.
    """
    with needed("This job's program"):
        return _load(name, package)


def _load(name: str, package: str) -> Any:
    if package in sys.modules:
        return import_module(name)
    spec = find_spec(package)
    if spec is not None and spec.loader is not None:
        postponed = module_from_spec(spec)
        postponed.__dict__["execute"] = spec.loader.exec_module
        postponed.__class__ = _Postponed
        sys.modules[package] = postponed
    try:
        return import_module(name)
    except ImportError:
        # A part of another release may need the whole package first.
        for each in [*sys.modules]:
            if each == package or each.startswith(f"{package}."):
                del sys.modules[each]
        return import_module(name)
