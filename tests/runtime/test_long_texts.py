"""Long payloads and results are handled in pieces, wherever they pass."""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack
from qiskit import QuantumCircuit

from qsession_widget.runtime import pieces
from qsession_widget.runtime.pieces import PIECE_BYTES, Content, LongText, cut, digest
from qsession_widget.runtime.store import database, idempotency, long_texts, writes
from qsession_widget.runtime.store import store as store_module
from qsession_widget.runtime.store.store import Store, StoreUnavailableError
from qsession_widget.runtime.store.writes import (
    AddJob,
    AddPieces,
    DeleteJob,
    DeleteResult,
    Prune,
    Update,
    Write,
)
from qsession_widget.runtime.worker import main
from qsession_widget.wire import codec
from qsession_widget.wire.states import JobState
from tests.conftest import eventually, running
from tests.runtime.server import Server, coin, reached
from tests.runtime.stores import on_both, rows
from tests.runtime.test_store import a_job, new, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

TEXT = ("ä€😀x" * (PIECE_BYTES // 2)).encode()
SIZE = len(TEXT)


def content(text: bytes = TEXT) -> Content:
    return Content(cut(text), digest(cut(text)))


async def kept(store: Store, job_id: str = "j", **fields: Any) -> LongText:
    text = await store.keep(content())
    await store.write(AddJob(a_job(job_id, **fields), text, f"key of {job_id}"))
    return text


def left(folder: Path) -> list[Any]:
    return rows(folder, "select key from long_texts union all select key from pieces")


# -- in the store --------------------------------------------------------------------------


@on_both
async def test_a_long_text_comes_back_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        text = await kept(store)
        assert await store.params("j") == text == LongText(SIZE, text.digest, text.key)
        found = await store.params_in_pieces("j")
        assert found is not None
        assert b"".join(found) == TEXT
        assert max(map(len, found)) == PIECE_BYTES
        result = await store.keep(content(TEXT[1:]), result=True)
        await store.write(Update(jobs=(a_job(state=JobState.COMPLETED),), result=("j", result)))
        job, outcome = await store.outcome("o", "j") or (None, None)
        assert (job, outcome) == (a_job(state=JobState.COMPLETED), result)
        found = await store.result_in_pieces("j")
        assert found is not None
        assert b"".join(found) == TEXT[1:]
    assert rows(tmp_path, "select params from payloads") == [("",)]
    assert rows(tmp_path, "select body from results") == [("",)]


@on_both
async def test_no_commit_has_more_than_a_few_pieces_and_others_come_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []

    def apply(connection: Connection, changes: list[Write]) -> bool:
        commits.append(sum(len(each.pieces) for each in changes if isinstance(each, AddPieces)))
        return writes.apply(connection, changes)

    monkeypatch.setattr(store_module, "apply", apply)
    with opened(tmp_path) as store:
        writing = asyncio.create_task(store.keep(content(bytes(20 * PIECE_BYTES))))
        await asyncio.sleep(0)
        await store.write(new(a_job("other")))
        assert not writing.done(), "the other change waited for all of it"
        await writing
    assert max(commits) == long_texts.PIECES
    assert sum(commits) == 20


@on_both
async def test_what_is_let_go_of_is_removed_a_few_pieces_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[int] = []
    sweep = long_texts.sweep

    def pieces_left() -> int:
        ((count,),) = rows(tmp_path, "select count(*) from pieces")
        return int(count)

    def watched(connection: Connection) -> bool:
        before = pieces_left()
        more = sweep(connection)
        removed.append(before - pieces_left())
        return more

    monkeypatch.setattr(long_texts, "sweep", watched)
    with opened(tmp_path) as store:
        store.drop(await store.keep(content(bytes(5 * PIECE_BYTES))))
        await asyncio.to_thread(eventually, lambda: not left(tmp_path), "the end of its pieces")
    assert max(removed) == long_texts.PIECES
    assert sum(removed) == 5


@on_both
@pytest.mark.parametrize("way", ["job", "payload", "result", "private", "refused"])
async def test_what_no_job_has_any_more_goes(way: str, tmp_path: Path) -> None:
    ended = a_job(state=JobState.COMPLETED, private=way == "private")
    with opened(tmp_path) as store:
        if way == "result":
            await store.write(AddJob(a_job(), "{}", None))
            result = await store.keep(content(), result=True)
            await store.write(Update(jobs=(ended,), result=("j", result)))
        elif way != "refused":
            await kept(store, private=way == "private")
        match way:
            case "job":
                await store.write(DeleteJob("j"))
            case "payload":
                await store.write(Prune(("j",)))
            case "result":
                await store.write(DeleteResult("j"))
            case "private":
                await store.write(Update(jobs=(ended,)))
            case _:
                store.drop(await store.keep(content()))
        await asyncio.to_thread(eventually, lambda: not left(tmp_path), "its end")


@on_both
async def test_what_a_runtime_had_begun_when_it_died_goes_at_the_next_start(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.keep(content())
        owned = await kept(store)
    with opened(tmp_path) as store:
        await asyncio.to_thread(
            eventually,
            lambda: rows(tmp_path, "select key from long_texts") == [(owned.key,)],
            "the end of the other",
        )
        found = await store.params_in_pieces("j")
        assert found is not None
        assert b"".join(found) == TEXT


async def test_a_repeated_key_is_compared_by_the_digest(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await kept(store)
        old = TEXT.decode()
        await store.write(AddJob(a_job("old"), "{}", "key of old"))
        with closing(sqlite3.connect(tmp_path / "runtime.db")) as connection, connection:
            connection.execute("update payloads set params = ? where job_id = 'old'", (old,))
        for key in ("key of j", "key of old"):
            for params, same in ((content(), True), (content(TEXT[1:]), False), ("{}", False)):
                found = await store.read(idempotency.find_job, "o", key, params)
                assert found is not None
                assert found[1] is same


async def test_while_the_disk_is_full_a_payload_is_refused_and_a_result_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 50)
    monkeypatch.setattr(store_module, "RETRY_SECONDS", 0.02)
    with (
        opened(tmp_path) as store,
        closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other,
    ):
        await store.write(AddJob(a_job(), "{}", None))
        other.execute("BEGIN IMMEDIATE")
        result = asyncio.create_task(store.keep(content(), result=True))
        with pytest.raises(StoreUnavailableError):
            await store.keep(content())
        assert not result.done()
        other.execute("ROLLBACK")
        assert (await result).size == SIZE


# -- to a worker and back ------------------------------------------------------------------


async def test_no_message_of_a_worker_is_longer_than_a_piece() -> None:
    ours, theirs = multiprocessing.Pipe()
    result = "x" * (3 * PIECE_BYTES + 5)
    sending = asyncio.create_task(
        asyncio.to_thread(main._send, theirs, {"kind": "done", "result": result})
    )
    head = msgpack.decode(await asyncio.to_thread(ours.recv_bytes))
    assert (head["kind"], head["result"], head["pieces"]) == ("done", "", 4)
    frames = [await asyncio.to_thread(ours.recv_bytes) for _ in range(4)]
    await sending
    assert max(map(len, frames)) == PIECE_BYTES
    assert b"".join(frames).decode() == result


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("long"), "--workers", "1") as folder:
        yield reached(folder)


def test_a_long_job_is_on_disk_in_pieces_and_is_given_back_as_it_came(server: Server) -> None:
    params = {**coin(), "note": "ä" * (2 * PIECE_BYTES)}
    body = json.dumps(
        {"program_id": "sampler", "backend": "fake_manila", "params": params}, ensure_ascii=False
    ).encode()
    key = {"Idempotency-Key": "once"}
    answers = [server.ask("POST", "/jobs", data=body, headers=key) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    other = server.ask("POST", "/jobs", data=body.replace(b"sampler", b"estimator"), headers=key)
    assert other.status_code == 409
    job_id = answers[0].json()["id"]
    assert server.ended(job_id)["status"] == "Completed"
    assert server.json(f"/jobs/{job_id}")["params"] == params
    sizes = rows(server.folder, "select number, length(bytes) from pieces order by number")
    assert [number for number, _ in sizes] == list(range(5))
    assert {size for _, size in sizes[:-1]} == {PIECE_BYTES}
    assert server.ask("DELETE", f"/jobs/{job_id}").status_code == 204
    eventually(lambda: not left(server.folder), "the end of its pieces")


@pytest.mark.parametrize("private", [False, True])
def test_a_long_result_comes_whole_and_a_private_one_once(*, private: bool, server: Server) -> None:
    note = "x" * (2 * PIECE_BYTES)
    circuit = QuantumCircuit(1, metadata={"note": note})
    circuit.measure_all()
    params = json.loads(codec.dumps({"pubs": [[circuit, [], 10]]}))
    job_id = server.submit(params=params, private=private)
    assert server.ended(job_id)["status"] == "Completed"
    answers = [
        server.get(f"/jobs/{job_id}/results", headers={"Idempotency-Key": each}) for each in "aab"
    ]
    assert [each.status_code for each in answers] == ([200, 200, 204] if private else [200] * 3)
    assert codec.loads(answers[0].text)[0].metadata["circuit_metadata"] == {"note": note}
    assert answers[1].content == answers[0].content
    if private:
        again = server.submit(params=params, private=True)
        server.ended(again)
        found = codec.loads(server.get(f"/jobs/{again}/results").text)
        assert found[0].metadata["circuit_metadata"] == {"note": note}
    assert server.ask("DELETE", f"/jobs/{job_id}").status_code == 204


# -- pieces themselves ---------------------------------------------------------------------


@given(st.binary(max_size=30), st.integers(1, 5))
def test_utf8_is_judged_as_a_whole(text: bytes, size: int) -> None:
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    try:
        text.decode()
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            pieces.check_utf8(parts)
    else:
        pieces.check_utf8(parts)
    assert digest(parts) == hashlib.sha256(text).digest()
