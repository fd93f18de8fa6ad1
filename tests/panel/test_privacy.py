"""A scanner over everything that a notebook may save, for secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.errors import ServiceError
from qsession_widget.monitoring.job_row import JobRow
from qsession_widget.monitoring.redaction import HIDDEN, without_secrets, without_secrets_in
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.documents import JobDocument, read
from tests.conftest import eventually
from tests.panel.conftest import Wire, click, shown

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
CRN = f"crn:v1:bluemix:public:quantum-computing:us-east:a/{ACCOUNT}:0f0e0d0c-1111-2222::"
SECRETS = ("crn:v1", ACCOUNT, "Bearer ey")


def found_in(saved: Any, *secrets: str) -> list[str]:
    """Return the secrets that occur anywhere in saved data."""
    text = json.dumps(saved, default=repr)
    return [secret for secret in (*SECRETS, *secrets) if secret.lower() in text.lower()]


def test_saved_state_does_not_identify_the_account(
    runtime: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    Session(backend="fake_manila").cancel()
    runtime_found = Discovery.read(runtime)
    assert runtime_found is not None
    token = runtime_found.token
    service = QiskitRuntimeService(channel="local", url=runtime_found.url, token=token)
    session = Session(service, backend="fake_manila", tags=["innocent"])
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    job = Sampler(mode=session).run([circuit])
    job.result()
    panel = shown(session)
    click(panel, {"do": "peek", "job_id": job.job_id()})
    eventually(lambda: any(each.data["method"] == "custom" for each in wire.updates()))

    def refuses(*_arguments: object, **_named: object) -> None:
        raise ServiceError(
            f"no access to {CRN}, Authorization: Bearer eyJhbG {token}", status_code=403
        )

    # Error messages of services are the likeliest to contain the account.
    monkeypatch.setattr(service.api, "cancel_job", refuses)
    click(panel, {"do": "cancel_job", "job_id": job.job_id()})
    eventually(lambda: panel.notice["level"] == "error")
    with monkeypatch.context() as patch:
        patch.setattr(service.api, "watch", refuses)
        click(panel, {"do": "refresh"})
        eventually(lambda: panel.link["state"] == "retrying")
        saved = {
            "state": panel.get_state(),
            "sent": [message.data for message in wire.messages],
            "shown": panel._repr_mimebundle_(),
            "text": repr(panel),
            "still": panel.snapshot().html,
        }
    assert HIDDEN in panel.link["error"]
    assert HIDDEN in panel.notice["text"]
    assert found_in(saved, token) == []
    # The scanner finds secrets at all.
    assert found_in({"deep": [CRN.upper(), token]}, token) == ["crn:v1", ACCOUNT, token]
    session.cancel()


def test_secrets_are_removed_from_a_reason() -> None:
    job = {"id": "j", "state": {"status": "Failed", "reason": f"instance {CRN} has no access"}}
    assert JobRow.of(read(JobDocument, job)).reason == f"instance {HIDDEN} has no access"


def test_other_texts_are_unchanged() -> None:
    for text in (
        "Job d3k1f2s0v6qs73a8r0a1 was cancelled.",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "0" * 127,
        "GET https://quantum.example/api/v1/sessions/d3k1emq0: 503 Service Unavailable",
    ):
        assert without_secrets(text) == text
    key = "k" * 20 + "7" + "-" * 23
    assert without_secrets(f"key '{key}' is not known") == f"key '{HIDDEN}' is not known"


@pytest.mark.parametrize("after", ['"', "\\", "\n", "\u2603", "'", "}", "]", "", "\t"])
@pytest.mark.parametrize("secret", [CRN, "Bearer eyJhbG", "apikey k3y", "k" * 42 + "7"])
def test_hiding_a_secret_leaves_json(secret: str, after: str) -> None:
    value = {f"{secret}{after}x": [f"a {secret}{after}", 1, None, {"deep": (secret, 1.5, True)}]}
    for ensure_ascii in (True, False):
        encoded = json.dumps(value, ensure_ascii=ensure_ascii)
        assert json.loads(without_secrets(encoded)).keys()
    hidden = without_secrets_in(value)
    assert found_in(hidden, "eyJhbG", "k3y", "kkkk") == []
    ((_, kept),) = hidden.items()
    assert (kept[1:3], kept[3]["deep"][1:]) == ([1, None], [1.5, True])
    assert kept[0].startswith("a ")


def test_a_still_is_what_the_panel_shows(runtime: Path, wire: Wire) -> None:
    del runtime, wire
    session = Session(backend="fake_manila")
    still = shown(session).snapshot()
    assert str(session.session_id) in still.html
    assert "as of" in still._repr_html_()
    assert repr(still) == still.text
    session.cancel()
