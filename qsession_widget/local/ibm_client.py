"""Connects IBM's own, unmodified client, qiskit-ibm-runtime, to a local runtime over plain HTTP.

The client's API key is the runtime's token. Two things keep the key from being sent elsewhere: an
IAM address that is set together with it, and proxies. Without another address the client would ask
IBM's IAM; with the runtime as its proxy, such a request ends there before it carries a key.
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qsession_widget.support import forking
from qsession_widget.support.official import needed
from qsession_widget.transport.accounts import Account, save_account
from qsession_widget.wire.fields import INSTANCE_CRN, INSTANCE_NAME, OFFICIAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget.transport.ibm_redirect import Way
    from qsession_widget.wire.discovery import Discovery

CHANNEL = "ibm_quantum_platform"
ACCOUNT_NAME = "local"

NO_USAGE_DATA = {"USAGE_DATA_OPT_OUT": "True"}
"""Stops the client from telling IBM which library calls it, for which it searches the whole call
stack at each request, which takes some 10 ms in a notebook, and local runtimes do not read it."""

_INSTANCE = {
    "crn": INSTANCE_CRN,
    "name": INSTANCE_NAME,
    "plan": "internal",
    "pricing_type": "free",
    "tags": ["local"],
}
"""The runtime's one instance, as the client lists it."""

_NO_PROXY = ("NO_PROXY", "no_proxy")
"""If both are set, the lower-case one takes precedence."""

_HERE = "localhost,127.0.0.1"

_making = forking.Turn()


@dataclass(frozen=True)
class Connection:
    """The settings that the official client needs for a local runtime.

    Attributes:
        runtime: where the runtime is.
        find: finds the runtime again after a restart; None if that is not possible.
    """

    runtime: Discovery
    find: Callable[[], Discovery] | None = field(default=None, repr=False, compare=False)

    @property
    def cloud(self) -> dict[str, str]:
        """The environment variables with the addresses of IBM Cloud's other services."""
        root = self.runtime.url
        return {
            "IAM_URL": root,
            "GLOBAL_SEARCH_URL": root,
            "GLOBAL_CATALOG_URL": f"{root}/catalog",
        }

    @property
    def environment(self) -> dict[str, str]:
        """All environment variables that `QiskitRuntimeService()` needs to find the runtime."""
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
        """The arguments of `QiskitRuntimeService` and of its `save_account`."""
        root = self.runtime.url
        return {
            "channel": CHANNEL,
            "token": self.runtime.token,
            "url": root + OFFICIAL_PREFIX,
            "instance": INSTANCE_CRN,
            # For https only: requests to the runtime itself are faster without a proxy.
            "proxies": {"urls": {"https": root}},
        }

    def shell_text(self) -> str:
        """Return shell commands that set everything `QiskitRuntimeService()` needs."""
        return _exports(self.environment) + _no_proxy_text()

    def cloud_text(self) -> str:
        """Return shell commands that set what a saved account cannot hold."""
        return _exports({**self.cloud, **NO_USAGE_DATA}) + _no_proxy_text()

    def python_text(self) -> str:
        """Return lines of Python that make the client's service."""
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
        """Save it as the official client's account "local", replacing an older one.

        Only the file's owner can read it, unlike a file that the client itself writes.
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

        Its requests are sent to the runtime alone, whatever variables, proxies and IAM are set, and
        this process's accounts at IBM still go to IBM. It is faster if the program sets
        `NO_USAGE_DATA`, which also affects accounts at IBM.
        """
        with needed("IBM's client"):
            from qiskit_ibm_runtime import QiskitRuntimeService

        from qsession_widget.transport.ibm_redirect import Way

        way = Way(self.runtime, self.find)
        service = QiskitRuntimeService.__new__(QiskitRuntimeService)
        # It would look them up through an IAM, for which releases before 0.49 know only IBM's.
        service.instances = lambda: [dict(_INSTANCE)]
        with _led(way):
            service.__init__(**self.account)
        del service.instances
        service._all_instances = [dict(_INSTANCE)]  # noqa: SLF001 - what it would have found
        return service


@contextmanager
def _led(way: Way) -> Iterator[None]:
    """Redirect clients with a runtime's token to that runtime; others stay unchanged."""
    with needed("IBM's client"):
        from qiskit_ibm_runtime import qiskit_runtime_service as module

    from qsession_widget.transport.ibm_redirect import lead

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
    """Return shell commands that exempt this machine from the proxies."""
    lines = [f'export {name}="${{{name}:+${name},}}{_HERE}"\n' for name in _NO_PROXY]
    return "".join(lines)


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
