"""IBM's own client, unmodified, in a process that can only reach the runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.local import process
from tests.conftest import DEADLINE_SECONDS, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.local.ibm_client import Connection

FENCE = """
import json, os, socket, sys, warnings
from urllib.parse import urlsplit
warnings.simplefilter("error", UserWarning)
ours, refused = ("127.0.0.1", int(os.environ["OUR_PORT"])), []
connect, resolve = socket.socket.connect, socket.getaddrinfo

def fenced_connect(self, address):
    if address != ours:
        refused.append(str(address))
        raise ConnectionRefusedError(f"{address} is outside")
    return connect(self, address)

def fenced_resolve(host, port, *rest, **more):
    if (host, int(port)) != ours:
        refused.append(str((host, port)))
        raise socket.gaierror(f"{host}:{port} is outside")
    return resolve(host, port, *rest, **more)

socket.socket.connect, socket.getaddrinfo = fenced_connect, fenced_resolve
"""

RUN = """
import copy
from qiskit import QuantumCircuit, transpile
from qiskit_ibm_runtime import SamplerV2, Session
warnings.simplefilter("ignore", DeprecationWarning)
backend = service.backend("fake_manila")
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.measure_all()
with Session(backend) as session:
    job = SamplerV2(mode=session).run([transpile(circuit, backend)], shots=100)
    counts = job.result()[0].data.meas.get_counts()
found = {
    "instance": service.active_account()["instance"],
    "shots": sum(counts.values()),
    "status": Session.from_id(session.session_id, service).status(),
    "copied": copy.deepcopy(backend).status().operational,
    "refused": refused,
}
print(json.dumps(found))
"""

RECIPE_A = """
from qiskit_ibm_runtime import QiskitRuntimeService
root = os.environ["IAM_URL"]
service = QiskitRuntimeService(
    token=os.environ.pop("QISKIT_IBM_TOKEN"),
    instance=os.environ.pop("QISKIT_IBM_INSTANCE"),
    url=root,
    url_resolver=lambda url, crn, private, channel: root + "/api/v1",
)
"""
RECIPE_B = """
from qiskit_ibm_runtime import QiskitRuntimeService
service = QiskitRuntimeService(
    token=os.environ.pop("QISKIT_IBM_TOKEN"),
    instance=os.environ.pop("QISKIT_IBM_INSTANCE"),
    url=os.environ.pop("QISKIT_IBM_URL"),
)
"""
RECIPE_F = """
from qiskit_ibm_runtime import QiskitRuntimeService
service = QiskitRuntimeService()
"""
RECIPE_G = """
from qiskit_ibm_runtime import QiskitRuntimeService
names = ("channel", "token", "url", "instance")
account = {name: os.environ.pop(f"QISKIT_IBM_{name.upper()}") for name in names}
QiskitRuntimeService.save_account(**account, name="local", overwrite=True)
service = QiskitRuntimeService(name="local")
"""
# Only the names of IBM Cloud's hosts below a host of ours lead anywhere.
RECIPE_D = """
os.environ["HTTP_PROXY"] = os.environ.pop("GLOBAL_SEARCH_URL")
del os.environ["GLOBAL_CATALOG_URL"]
os.environ["IAM_URL"] = "http://iam.qsession.localdomain"
from qiskit_ibm_runtime import QiskitRuntimeService
service = QiskitRuntimeService(
    token=os.environ.pop("QISKIT_IBM_TOKEN"),
    instance=os.environ.pop("QISKIT_IBM_INSTANCE"),
    url="http://qsession.localdomain",
)
"""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with running(tmp_path_factory.mktemp("runtime")) as home:
        yield process.connection(folder=home)


def run(script: str, connection: Connection, home: Path, variables: dict[str, str]) -> Any:
    """Run a program that can only reach the runtime, and return the JSON that it printed."""
    inherited = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", FENCE + script],
        env={
            **{name: os.environ[name] for name in inherited if name in os.environ},
            **variables,
            "HOME": str(home),
            "OUR_PORT": connection.runtime.url.rpartition(":")[2],
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


EXPECTED = {"shots": 100, "status": "Closed", "copied": True, "refused": []}


@pytest.mark.parametrize(
    "recipe",
    [RECIPE_A, RECIPE_B, RECIPE_D, RECIPE_F, RECIPE_G],
    ids=["resolver", "experimental", "proxy", "variables", "account"],
)
def test_official_client_needs_no_other_server(
    recipe: str, connection: Connection, tmp_path: Path
) -> None:
    found = run(recipe + RUN, connection, tmp_path, connection.environment)
    assert found.pop("instance") == connection.environment["QISKIT_IBM_INSTANCE"]
    assert found == EXPECTED


def test_printed_python_and_saved_account_work(connection: Connection, tmp_path: Path) -> None:
    found = run(connection.python_text() + RUN, connection, tmp_path, {})
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    load = "from qiskit_ibm_runtime import QiskitRuntimeService\n"
    save = f"{load}QiskitRuntimeService.save_account(**{connection.account!r}, name='local')\n"
    use = f"{save}service = QiskitRuntimeService(name='local')\n"
    found = run(use + RUN, connection, tmp_path, connection.cloud)
    assert {name: found[name] for name in EXPECTED} == EXPECTED


def test_ready_service_leaves_the_process_as_it_was(connection: Connection, tmp_path: Path) -> None:
    home = str(connection.runtime.path(tmp_path).parent)
    script = f"""
from pathlib import Path
from qsession_widget.local import official_service
from qsession_widget.wire.discovery import Discovery
runtime = Discovery(**{vars(connection.runtime)!r})
runtime.write(Path({home!r}))
os.environ["IAM_URL"] = "http://before.example"
before = dict(os.environ)
service = official_service(folder=Path({home!r}))
assert dict(os.environ) == before
"""
    found = run(script + RUN, connection, tmp_path, {})
    assert {name: found[name] for name in EXPECTED} == EXPECTED


def test_runtimes_token_does_not_leave_without_the_variables(
    connection: Connection, tmp_path: Path
) -> None:
    # The client would now ask IBM's IAM. The account's proxies stop it before the key is sent.
    script = f"""
warnings.simplefilter("ignore")
from qiskit_ibm_runtime.api.client_parameters import ClientParameters
from qiskit_ibm_runtime.proxies import ProxyConfiguration
account = {connection.account!r}
account["proxies"] = ProxyConfiguration(**account["proxies"])
auth = ClientParameters(**account).get_auth_handler()
assert auth.tm.url.startswith("https://iam.cloud.ibm.com")
headers = auth.get_headers()
print(json.dumps([headers["Authorization"].split()[0], refused]))
"""
    assert run(script, connection, tmp_path, {}) == ["apikey", []]


def test_a_real_accounts_key_is_refused_with_advice(connection: Connection, tmp_path: Path) -> None:
    script = """
from qiskit_ibm_runtime.api.client_parameters import ClientParameters
auth = ClientParameters("ibm_cloud", "a-real-key", instance="crn:v1:a:b:c:us-east:d:e::")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    auth.get_auth_handler().get_headers()
print(json.dumps([str(each.message) for each in caught]))
"""
    (message,) = run(script, connection, tmp_path, connection.cloud)
    assert "For an account at IBM unset IAM_URL" in message
    assert "a-real-key" not in message
