"""Leads IBM's own client, qiskit-ibm-runtime, to a local runtime: unmodified, over plain HTTP.

Its API key is the runtime's token. Two things keep the key from going anywhere else: an address
of IAM that is set together with it, and proxies. The client would ask IBM's IAM where nothing
names another; with the runtime as its proxy, such a request ends here before it carries a key.
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qsession_widget.support import forking
from qsession_widget.transport.accounts import Account, save_account
from qsession_widget.transport.ibm_redirect import Way, lead
from qsession_widget.wire.fields import INSTANCE_CRN, INSTANCE_NAME, OFFICIAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget.wire.discovery import Discovery

CHANNEL = "ibm_quantum_platform"
ACCOUNT_NAME = "local"

NO_USAGE_DATA = {"USAGE_DATA_OPT_OUT": "True"}
"""The client tells IBM which library calls it, for which it looks through the whole call stack at
each request: some 10 ms in a notebook. Here nobody reads that."""

_INSTANCE = {
    "crn": INSTANCE_CRN,
    "name": INSTANCE_NAME,
    "plan": "internal",
    "pricing_type": "free",
    "tags": ["local"],
}
"""The runtime's one instance, as the client lists it."""

_NO_PROXY = ("NO_PROXY", "no_proxy")
"""The small one goes before the other where both are set."""

_HERE = "localhost,127.0.0.1"

_making = forking.Turn()


@dataclass(frozen=True)
class Connection:
    """What the official client needs to know of a local runtime.

    Attributes:
        runtime: where it is.
        find: finds it again where it has been started again; None where that cannot be.
    """

    runtime: Discovery
    find: Callable[[], Discovery] | None = field(default=None, repr=False, compare=False)

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
        return _exports(self.environment) + _no_proxy_text()

    def cloud_text(self) -> str:
        """Write lines for a shell: what a saved account cannot hold."""
        return _exports({**self.cloud, **NO_USAGE_DATA}) + _no_proxy_text()

    def python_text(self) -> str:
        """Write lines for a Python program."""
        arguments = "".join(f"    {name}={value!r},\n" for name, value in self.account.items())
        variables = {**self.cloud, **NO_USAGE_DATA}
        return (
            "import os\n\n"
            "# Before the first service, and for as long as the program runs: without IAM_URL the\n"
            "# client looks for IBM's own.\n"
            f"os.environ.update({variables!r})\n"
            "# No proxy stands between this machine and itself.\n"
            f"for name in {_NO_PROXY!r}:\n"
            f'    os.environ[name] = f"{{os.environ.get(name, \'\')}},{_HERE}".lstrip(",")\n\n'
            "from qiskit_ibm_runtime import QiskitRuntimeService\n\n"
            f"service = QiskitRuntimeService(\n{arguments})\n"
        )

    def save(self) -> None:
        """Save it as the official client's account "local", in place of an older one.

        The file is its owner's alone, as it is not where the client itself writes it.
        """
        urls = self.account["proxies"]["urls"]
        account = Account(
            CHANNEL,
            self.runtime.token,
            self.account["url"],
            INSTANCE_CRN,
            proxies=urls,
        )
        save_account(account, name=ACCOUNT_NAME, overwrite=True)

    def service(self) -> Any:
        """Make the official client's service.

        What it sends goes to the runtime alone, whatever variables, proxies and IAM there are, and
        this process's accounts at IBM keep going to IBM. It is faster where the program sets
        `NO_USAGE_DATA`, which goes for accounts at IBM too.
        """
        from qiskit_ibm_runtime import QiskitRuntimeService  # noqa: PLC0415 - takes a second

        way = Way(self.runtime, self.find)
        service = QiskitRuntimeService.__new__(QiskitRuntimeService)
        # It would look them up through an IAM, which releases before 0.49 know at IBM only.
        service.instances = lambda: [dict(_INSTANCE)]
        with _led(way):
            service.__init__(**self.account)
        del service.instances
        service._all_instances = [dict(_INSTANCE)]  # noqa: SLF001 - what it would have found
        return service


@contextmanager
def _led(way: Way) -> Iterator[None]:
    """Lead clients that are made for a runtime's token there; all others stay what they are."""
    from qiskit_ibm_runtime import qiskit_runtime_service as module  # noqa: PLC0415 - as above

    def made(parameters: Any) -> Any:
        client = genuine(parameters)
        if parameters.token == way.first.token:
            lead(client._session, way, INSTANCE_CRN)  # noqa: SLF001 - nothing public
        return client

    with _making:
        genuine = module.RuntimeClient
        module.RuntimeClient = made
        try:
            yield
        finally:
            module.RuntimeClient = genuine


def _no_proxy_text() -> str:
    """Write lines for a shell that keep what goes to this machine from its proxies."""
    lines = [f'export {name}="${{{name}:+${name},}}{_HERE}"\n' for name in _NO_PROXY]
    return "".join(lines)


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
