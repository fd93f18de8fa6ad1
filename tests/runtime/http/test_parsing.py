"""Parsing of a new job's body: what is kept, counted and refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.pieces import PIECE_BYTES, Content
from qsession_widget.runtime.settings import Settings

SETTINGS = Settings(max_circuits=5, max_body_bytes=4 * 2**20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


async def read(body: bytes, parts: int = 1) -> tuple[dict[str, Any], parsing.Payload]:
    """Parse a body that arrives in parts."""
    size = -(-len(body) // parts) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    return await parsing.job_body(request, SETTINGS)


async def refused(body: bytes) -> errors.Problem:
    with pytest.raises(errors.Problem) as caught:
        await read(body)
    return caught.value


@pytest.mark.minute
@given(
    st.dictionaries(st.text(), VALUES, max_size=4), st.dictionaries(st.text(), VALUES), st.data()
)
async def test_json_is_read_and_the_payload_kept_verbatim(
    params: dict[str, Any], rest: dict[str, Any], data: st.DataObject
) -> None:
    rest.pop("params", None)
    ascii_only = data.draw(st.booleans())
    body = json.dumps({**rest, "params": params}, ensure_ascii=ascii_only).encode()
    found, payload = await read(body, parts=data.draw(st.integers(1, 3)))
    assert found == rest
    assert isinstance(payload.text, str)
    assert json.loads(payload.text) == params
    pubs = params.get("pubs")
    assert payload.pubs == (len(pubs) if isinstance(pubs, list) else None)


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@given(st.binary(max_size=40) | st.text().map(str.encode))
async def test_other_bodies_are_refused_without_a_server_error(part: bytes) -> None:
    for body in (part, b'{"params": {"pubs": ' + part + b"}}"):
        if not is_json(body):
            assert (await refused(body)).status == 400


async def test_a_large_payload_is_kept_verbatim() -> None:
    text = '{ "pubs" : [ ["a", 1.10 ] ],\n"options": {"x": "\\u00e9"}, "filler": "%s"}' % (
        "x" * 2**21
    )
    found, payload = await read(f'{{"program_id": "sampler", "params": {text}}}'.encode(), parts=7)
    assert (found, payload.pubs) == ({"program_id": "sampler"}, 1)
    assert isinstance(payload.text, Content)
    assert b"".join(payload.text.pieces) == text.encode()
    assert payload.text.digest == hashlib.sha256(text.encode()).digest()
    assert max(map(len, payload.text.pieces)) == PIECE_BYTES


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"pubs": [1] * 6}, "6 pubs"),
        ({"circuits": [1] * 6}, "6 circuits"),
        ({"quantum_program": {"items": [1] * 6}}, "6 items"),
    ],
)
async def test_too_many_circuits_are_refused(params: dict[str, Any], named: str) -> None:
    problem = await refused(json.dumps({"params": params}).encode())
    assert (problem.status, named in str(problem), "takes 5" in str(problem)) == (400, True, True)


@pytest.mark.parametrize("wanted", ["kerneled", "avg_kerneled", "both", "pulses", 5, [1], {}])
async def test_measurement_types_other_than_bits_are_refused_at_submission(wanted: Any) -> None:
    for program, params, name in (
        ("sampler", {"options": {"execution": {"meas_type": wanted}}}, "execution.meas_type"),
        ("executor", {"quantum_program": {"meas_level": wanted}}, "quantum_program.meas_level"),
    ):
        problem = await refused(json.dumps({"program_id": program, "params": params}).encode())
        assert problem.status == 400
        shown = "no text" if isinstance(wanted, (list, dict)) else repr(wanted)
        assert f"{name} is {shown}" in str(problem)
        assert "'classified'" in problem.solution


@pytest.mark.parametrize("wanted", ["classified", None])
async def test_classified_bits_are_accepted(wanted: Any) -> None:
    for program, params in (
        ("sampler", {"options": {"execution": {"meas_type": wanted}}}),
        ("executor", {"quantum_program": {"meas_level": wanted}}),
        # An estimator returns numbers, whatever its options say.
        ("estimator", {"options": {"execution": {"meas_type": "kerneled"}}}),
    ):
        await read(json.dumps({"program_id": program, "params": params}).encode())


@pytest.mark.parametrize("odd", [None, True, 3, 0.5, "text", {"a": [1] * 9}, []])
@pytest.mark.parametrize("name", ["pubs", "circuits", "quantum_program"])
async def test_invalid_circuits_are_left_to_the_program(name: str, odd: Any) -> None:
    _, payload = await read(json.dumps({"params": {name: odd}}).encode())
    assert isinstance(payload.text, str)
    assert json.loads(payload.text) == {name: odd}


@pytest.mark.parametrize(
    "body",
    [
        b'{"params": []}',
        b'{"params": null}',
        b'{"params": "x"}',
        b"{}",
        b'{"params": {"a": "\xff"}}',
    ],
)
async def test_params_must_be_an_object(body: bytes) -> None:
    assert (await refused(body)).status == 400


async def test_reading_a_large_body_does_not_block_the_event_loop() -> None:
    body = b'{"params": {"pubs": [["%s", 1.5]]}}' % (b"x" * 5 * 2**20)
    turns: list[None] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def count() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    others = asyncio.create_task(count())
    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    _, payload = await parsing.job_body(request, Settings(max_circuits=5))
    others.cancel()
    assert payload.pubs == 1
    assert len(turns) > 20, (
        "as many turns as fit into the time; two if the body is read in the loop"
    )
