"""Callbacks that get the results of jobs."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import SamplerPubResult

from qsession_widget import Session
from tests.client.circuits import bell
from tests.conftest import eventually


@pytest.mark.usefixtures("runtime")
def test_a_callback_gets_each_pub_and_then_the_result(caplog: pytest.LogCaptureFixture) -> None:
    got: list[tuple[str, Any, str]] = []
    over = threading.Event()

    def callback(job_id: str, result: Any) -> None:
        got.append((job_id, result, threading.current_thread().name))
        if len(got) == 1:
            raise ZeroDivisionError("the user's own mistake")
        if len(got) == 4:
            over.set()

    with Session(backend="fake_manila") as session:
        inputs = {"pubs": [[bell(), [], shots] for shots in (10, 20, 30)]}
        job = session.run("sampler", inputs, callback=callback)
        assert over.wait(60)
    assert [result.data.cr.num_shots for _, result, _ in got[:3]] == [10, 20, 30]
    assert [pub.data.cr.num_shots for pub in got[3][1]] == [10, 20, 30]
    assert {job_id for job_id, _, _ in got} == {job.job_id()}
    assert {name for _, _, name in got} == {f"qsession-callback-{job.job_id()}"}
    assert "the user's own mistake" in caplog.text, "an exception is logged, and ends nothing"


@pytest.mark.usefixtures("runtime")
def test_a_callback_at_ibm_gets_the_result_once(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[str, Any]] = []
    over = threading.Event()

    def callback(job_id: str, result: Any) -> None:
        got.append((job_id, result))
        over.set()

    with Session(backend="fake_manila") as session:
        monkeypatch.setattr(session.service, "_features", frozenset())
        inputs = {"pubs": [[bell(), [], shots] for shots in (10, 20)]}
        job = session.run("sampler", inputs, callback=callback)
        assert over.wait(60)
        for thread in threading.enumerate():
            if job.job_id() in thread.name:
                thread.join(60)
    ((job_id, result),) = got
    assert job_id == job.job_id()
    assert [pub.data.cr.num_shots for pub in result] == [10, 20]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("program_id", ["sampler", "private sampler", "noise-learner"])
def test_a_callback_gets_the_result_of_every_program(
    program_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also a result that can be fetched only once, and one without pubs."""
    got: list[Any] = []
    over = threading.Event()

    def callback(_job_id: str, result: Any) -> None:
        got.append(result)
        if not isinstance(result, SamplerPubResult):
            over.set()

    private, _, named = program_id.rpartition(" ")
    circuit = QuantumCircuit(5)
    circuit.cx(0, 1)
    inputs: dict[str, Any] = (
        {"pubs": [[bell(), [], shots] for shots in (10, 20)]}
        if named == "sampler"
        else {
            "circuits": [circuit],
            "options": {"num_randomizations": 2, "layer_pair_depths": [0, 1]},
        }
    )
    with Session(backend="fake_manila") as session:
        job = session.run(named, inputs, {"private": bool(private)}, callback=callback)
        assert over.wait(60), caplog.text
        eventually(lambda: not any(job.job_id() in each.name for each in threading.enumerate()))
    whole = got[-1]
    if named == "sampler":
        assert [pub.data.cr.num_shots for pub in got[:-1]] == [10, 20]
        assert [pub.data.cr.num_shots for pub in whole] == [10, 20]
    else:
        assert len(got) == 1
        assert len(whole) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.usefixtures("runtime")
def test_a_callback_of_a_job_that_fails_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    got: list[Any] = []
    with Session(backend="fake_manila") as session:
        job = session.run("sampler", {}, callback=lambda *result: got.append(result))
        eventually(lambda: "No final result for the callback" in caplog.text)
        assert job.errored()
    assert got == []
