"""Leads IBM's own client, qiskit-ibm-runtime, to a local runtime: unmodified, over plain HTTP.

Its API key is the runtime's token. Two things keep the key from going anywhere else: an address
of IAM that is set together with it, and proxies. The client would ask IBM's IAM where nothing
names another; with the runtime as its proxy, such a request ends here before it carries a key.
"""

from __future__ import annotations

import os
import shlex
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from qsession_widget import forking
from qsession_widget.wire.fields import INSTANCE_CRN, OFFICIAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from qsession_widget.wire.discovery import Discovery

CHANNEL = "ibm_quantum_platform"
ACCOUNT_NAME = "local"

NO_USAGE_DATA = {"USAGE_DATA_OPT_OUT": "True"}
"""The client tells IBM which library calls it, for which it looks through the whole call stack at
each request: some 10 ms in a notebook. Here nobody reads that."""

_environment_lock = forking.Turn()


@dataclass(frozen=True)
class Connection:
    """What the official client needs to know of a local runtime.

    Attributes:
        runtime: where it is.
    """

    runtime: Discovery

    @property
    def cloud(self) -> dict[str, str]:
        """Environment variables that say where IBM Cloud's other services are."""
        root = self.runtime.url
        return {
            "IAM_URL": root,
            "GLOBAL_SEARCH_URL": root,
            "GLOBAL_CATALOG_URL": f"{root}/catalog",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Every environment variable with which `QiskitRuntimeService()` finds the runtime."""
        return {
            **self.cloud,
            **NO_USAGE_DATA,
            "QISKIT_IBM_CHANNEL": CHANNEL,
            "QISKIT_IBM_TOKEN": self.runtime.token,
            "QISKIT_IBM_URL": self.runtime.url + OFFICIAL_PREFIX,
            "QISKIT_IBM_INSTANCE": INSTANCE_CRN,
        }

    @property
    def account(self) -> dict[str, Any]:
        """Arguments of `QiskitRuntimeService` and of its `save_account`."""
        root = self.runtime.url
        return {
            "channel": CHANNEL,
            "token": self.runtime.token,
            "url": root + OFFICIAL_PREFIX,
            "instance": INSTANCE_CRN,
            # For https only: what goes to the runtime itself is faster without a proxy.
            "proxies": {"urls": {"https": root}},
        }

    def shell_text(self) -> str:
        """Write lines for a shell: all that `QiskitRuntimeService()` needs."""
        return _exports(self.environment)

    def cloud_text(self) -> str:
        """Write lines for a shell: what a saved account cannot hold."""
        return _exports({**self.cloud, **NO_USAGE_DATA})

    def python_text(self) -> str:
        """Write lines for a Python program."""
        arguments = "".join(f"    {name}={value!r},\n" for name, value in self.account.items())
        variables = {**self.cloud, **NO_USAGE_DATA}
        return (
            "import os\n\n"
            "# Before the first service, and for as long as the program runs: without IAM_URL the\n"
            "# client looks for IBM's own.\n"
            f"os.environ.update({variables!r})\n\n"
            "from qiskit_ibm_runtime import QiskitRuntimeService\n\n"
            f"service = QiskitRuntimeService(\n{arguments})\n"
        )

    def save(self) -> None:
        """Save it as the official client's account "local", in place of an older one."""
        from qiskit_ibm_runtime import QiskitRuntimeService  # noqa: PLC0415 - takes a second

        QiskitRuntimeService.save_account(**self.account, name=ACCOUNT_NAME, overwrite=True)

    def service(self) -> Any:
        """Make the official client's service.

        The variables are set only while it is made, so that this process's accounts at IBM keep
        going to IBM. What the client makes of it later gets along without them. It is faster where
        the program sets `NO_USAGE_DATA`, which goes for accounts at IBM too.
        """
        from qiskit_ibm_runtime import QiskitRuntimeService  # noqa: PLC0415 - takes a second
        from qiskit_ibm_runtime.api.auth import CloudAuth  # noqa: PLC0415 - takes a second

        class PinnedAuth(CloudAuth):  # type: ignore[misc]
            """Authentication whose copies ask the same IAM, whatever the variables say then."""

            def __deepcopy__(self, memo: Any = None) -> PinnedAuth:
                return self

        with _variables(self.cloud):
            service = QiskitRuntimeService(**self.account)
            for client in service._get_api_clients().values():  # noqa: SLF001 - nothing public
                client._session.auth = PinnedAuth(  # noqa: SLF001 - reaches a client's session
                    api_key=self.runtime.token, crn=INSTANCE_CRN
                )
                _send_at_once(client._session)  # noqa: SLF001 - reaches a client's session
        return service


def _send_at_once(session: requests.Session) -> None:
    """Set TCP_NODELAY on connections through a proxy too, where urllib3 leaves it out.

    Without it the body of each POST waits 40 ms until the runtime's kernel acknowledges its head.
    """
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            # Those that are there already were made without it.
            adapter.proxy_manager.clear()
            adapter.proxy_manager_for = partial(  # type: ignore[method-assign]
                adapter.proxy_manager_for, socket_options=options
            )


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


@contextmanager
def _variables(wanted: dict[str, str]) -> Iterator[None]:
    """Set environment variables, and put them back as they were."""
    with _environment_lock:
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
