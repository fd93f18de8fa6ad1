"""A session of an older release of IBM's client, from its opening to its being found again.

Run by `older.py` in an environment of its own, with that release and nothing of ours. The runtime
is its HTTP proxy, so that all its requests end there, except one: before 0.49 the address of IAM
could not be set. That is replaced below, and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

import qiskit_ibm_runtime
from ibm_cloud_sdk_core import IAMTokenManager
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2, Session
from qiskit_ibm_runtime.api import auth

HOST = "qsession.localdomain"


class LocalTokenManager(IAMTokenManager):  # type: ignore[misc] # it has no types
    """Asks the runtime's IAM, whatever address is set."""

    def __init__(self, api_key: str, url: str) -> None:
        del url
        super().__init__(api_key, url=f"http://iam.{HOST}")


def main() -> None:
    """Use a session, and print the findings as JSON."""
    warnings.simplefilter("ignore", DeprecationWarning)
    auth.IAMTokenManager = LocalTokenManager
    service = QiskitRuntimeService(
        channel="ibm_quantum_platform",
        token=os.environ["TOKEN"],
        url=f"http://{HOST}",
        instance=os.environ["INSTANCE"],
    )
    backend = service.backend("fake_manila")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    isa = generate_preset_pass_manager(1, backend=backend).run(circuit)
    with Session(backend=backend, max_time="10m") as session:
        job = SamplerV2(mode=session).run([isa], shots=100)
        shots = job.result()[0].data.meas.num_shots
        found = Session.from_id(session.session_id, service)
        seen = {
            "release": qiskit_ibm_runtime.__version__,
            "shots": shots,
            "job_status": job.status(),
            "open_status": session.status(),
            "max_time": session.details()["max_time"],
            "usage": isinstance(session.usage(), (int, float)),
            "found_backend": found.backend(),
            "found_status": found.status(),
            "jobs": [each.job_id() for each in service.jobs(session_id=session.session_id)]
            == [job.job_id()],
        }
    seen["closed_status"] = session.status()
    seen["found_closed_status"] = Session.from_id(session.session_id, service).status()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
