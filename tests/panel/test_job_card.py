"""A job at the end of a cell."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, QiskitRuntimeService, RuntimeJob, Sampler, Session
from qsession_widget.local import process
from qsession_widget.panel import job_preview
from tests.client.circuits import bell
from tests.client.test_holders import Kernel
from tests.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.client.backends.backend import Backend


class Tags(HTMLParser):
    """Reads HTML; collects its elements, and checks that they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self._open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "title", "open"}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def shown(job: RuntimeJob) -> tuple[str, str]:
    """Return the card of a job, as text and as HTML."""
    bundle = job._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html"}
    Tags(bundle["text/html"])
    return bundle["text/plain"], bundle["text/html"]


@pytest.fixture
def manila(service: QiskitRuntimeService) -> Backend:
    return service.backend("fake_manila")


def test_a_finished_job_shows_times_result_circuit_and_code(manila: Backend) -> None:
    job = Sampler(manila).run(bell(), shots=100)  # this is the line
    job.result()
    text, html = shown(job)
    assert text.startswith(f"Job {job.job_id()}: sampler on fake_manila, Done")
    for each in (text, html):
        for name in ("Waiting", "Done", "two-qubit gate", "depth", "pub 0, cr", "as of 20"):
            assert name in each
        assert "job = Sampler(manila).run(bell(), shots=100)  # this is the line" in each
        assert "test_job_card.py, line" in each
        assert "cancel" not in each
    assert re.search(r"00: \d+\.\d %", text)
    assert "<pre" in html
    assert f"service.job(&#x27;{job.job_id()}&#x27;).result()" in html


def test_an_estimators_values_have_their_errors(manila: Backend) -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    job = Estimator(manila).run(
        [(circuit, [SparsePauliOp("Z"), SparsePauliOp("X")])], precision=0.1
    )
    job.result()
    text, html = shown(job)
    for each in (text, html):
        assert each.count(" ± ") == 2
        assert "pub 0, evs" in each


def test_a_large_result_is_shown_in_few_characters(
    manila: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_preview, "_LARGEST_RESULT", 200)
    job = Sampler(manila).run(bell(), shots=1000)
    job.wait_for_final_state()
    for each in shown(job):
        assert re.search("[rR]esult: (00|11): \\d+ % · (00|11): \\d+ %", each)


def test_a_waiting_job_says_how_to_cancel_it(slow_runtime: Path) -> None:
    assert slow_runtime
    with QiskitRuntimeService("local") as service, Session(service, "fake_lima") as session:
        first = Sampler(mode=session).run(bell())
        job = Sampler(mode=session).run(bell())
        text, html = shown(job)
        assert "Waiting" in text
        assert f"session {session.session_id}" in text
        for each in (text, html):
            assert "to cancel it" in each
        assert "on device" not in text
        job.cancel()
        first.cancel()
        text, html = shown(job)
        assert "Cancelled" in text
        assert "Cancelled by its user." in html


def test_what_the_service_sends_is_text(service: QiskitRuntimeService) -> None:
    """No name of a circuit or an option becomes an element of the page."""
    circuit = QuantumCircuit(1, name="<b id=x>evil</b>")
    circuit.measure_all()
    options = {"experimental": {"<i>": "<script>1</script>"}}
    job = Sampler(service.backend("fake_lima"), options=options).run([circuit], shots=10)
    job.result()
    _, html = shown(job)
    assert "evil" in html
    assert not {"script", "i"} & set(Tags(html).found)
    assert "&lt;b id=x&gt;evil" in html


def test_without_an_answer_it_shows_what_is_known(own_runtime: Path) -> None:
    assert own_runtime
    with QiskitRuntimeService("local") as service:
        job = Sampler(service.backend("fake_manila")).run(bell(), shots=10)
        job.result()
        process.stop()
        text, html = shown(job)
        for each in (text, html):
            assert "No answer from the service" in each
            assert job.job_id() in each


def test_a_notebooks_job_names_its_cell(own_runtime: Path) -> None:
    assert own_runtime
    kernel = Kernel("cards.ipynb")
    try:
        kernel.runs("from qsession_widget import *\nfrom tests.client.circuits import bell")
        kernel.runs(
            "backend = QiskitRuntimeService('local').backend('fake_manila')\n"
            "job = Sampler(backend).run(bell(), shots=10)"
        )
        said = kernel.runs("job.result()\nprint(job.submitted_by)")
    finally:
        kernel.kill()
    assert said.strip() == "In[2], line 2: job = Sampler(backend).run(bell(), shots=10)"


def test_a_job_of_another_process_has_no_line_of_code(service: QiskitRuntimeService) -> None:
    job = Sampler(service.backend("fake_manila")).run(bell(), shots=10)
    job.result()
    again = service.job(job.job_id())
    eventually(again.in_final_state, "its end")
    assert again.submitted_by is None
    text, _ = shown(again)
    assert "sent by" not in text
