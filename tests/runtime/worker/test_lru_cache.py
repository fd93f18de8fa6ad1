"""Caches are bounded in bytes, and a worker by its flags."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from qiskit import QuantumCircuit

from qsession_widget.runtime.worker import lru_cache
from qsession_widget.runtime.worker.circuit_cache import CircuitCache
from qsession_widget.runtime.worker.lru_cache import LruCache
from qsession_widget.wire import codec
from tests.conftest import running
from tests.runtime.server import Server, reached, workers

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
JOB_BYTES = 200 * MIB
JOBS = int(os.environ.get("QSESSION_LARGE_JOBS", "8"))
"""How many large jobs; `make soak` sends more."""


def test_all_caches_together_hold_no_more_than_they_may() -> None:
    first: LruCache[str] = LruCache(100, weigh=len)
    second: LruCache[str] = LruCache(100, weigh=len)
    for number in range(10):
        first.get(number, lambda: "x" * 10)
        second.get(number, lambda: "y" * 30)
    first.get(0, lambda: "not made again")
    others = sum(each.weight for each in lru_cache._caches) - first.weight - second.weight
    lru_cache.shrink(others * 0 + 100)
    assert first.weight + second.weight <= 100
    assert first.get(0, lambda: "made again") == "x" * 10, "it was used last"
    assert first.get(1, lambda: "made again") == "made again"
    assert second.get(9, lambda: "made again") == "y" * 30
    first.clear()
    assert first.weight == 0


def test_values_without_a_key_are_not_kept() -> None:
    kept: LruCache[str] = LruCache(10, weigh=len)
    assert [kept.get(None, lambda: "a"), kept.get(None, lambda: "b")] == ["a", "b"]
    assert len(kept) == kept.weight == 0
    dynamic = QuantumCircuit(1, 1)
    with dynamic.if_test((dynamic.clbits[0], 1)):
        dynamic.x(0)
    assert CircuitCache().key(dynamic) is None


def test_a_cache_with_a_bound_of_its_own_holds_no_more_at_any_time() -> None:
    kept: LruCache[str] = LruCache(10, weigh=len, most_bytes=10)
    for key, text in enumerate(["aaaa", "bbbb", "cccc"]):
        kept.keep(key, text, 0.0)
        assert kept.weight <= 10
    assert kept.find(0) is None
    assert kept.find(2) == ("cccc",)
    kept.keep(2, "c", 0.0)
    assert kept.weight == 5, "it took the place of the other"
    kept.keep(3, "d" * 11, 0.0)
    assert kept.find(3) is None, "it is larger than the cache"
    assert kept.weight == 5
    kept.keep(None, "e", 0.0)
    assert kept.weight == 5


def test_keys_are_short_for_long_circuits() -> None:
    known = CircuitCache()
    text = json.loads(codec.dumps(large(0, 2_000)))["__value__"]
    key = known.key(known.decode(text))
    assert isinstance(key, bytes)
    assert len(key) <= 64
    assert known.key(known.decode(text)) == key
    assert known.key(large(0, 2_000)) == key, "equal circuits have one key"
    assert known.key(large(1, 2_000)) != key


def large(seed: int, size: int) -> QuantumCircuit:
    choose = random.Random(seed)  # noqa: S311 - circuits, no secrets
    circuit = QuantumCircuit(5)
    for _ in range(size):
        qubit = choose.randrange(4)
        if choose.random() < 0.5:
            circuit.rz(choose.random(), qubit)
        elif choose.random() < 0.6:
            circuit.sx(qubit)
        else:
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def resident(server: Server) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in workers(server))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process takes")
def test_large_jobs_one_after_the_other_leave_a_worker_small(tmp_path: Path) -> None:
    flags = ("--workers", "1", "--max-job-memory-bytes", str(JOB_BYTES))
    with running(tmp_path, *flags) as folder:
        server = reached(folder)
        server.ended(server.submit())
        before = resident(server)
        for seed in range(JOBS):
            params = json.loads(codec.dumps({"pubs": [[large(seed, 15_000), [], 10]]}))
            job = server.ended(server.submit(params=params))
            assert job["status"] == "Completed", job["state"]
        # The caches hold at most a quarter of a job by their own estimate. At twice that, as
        # measured, the worker drops everything.
        bound = lru_cache.bound_for(JOB_BYTES)
        assert bound == JOB_BYTES // 4
        assert resident(server) - before <= 2 * bound + 30 * MIB
        # The last entry is still cached.
        again = json.loads(codec.dumps({"pubs": [[large(JOBS - 1, 15_000), [], 10]]}))
        assert server.ended(server.submit(params=again))["status"] == "Completed"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's heap")
def test_a_process_whose_heap_has_grown_is_not_small_though_it_is_given_back() -> None:
    """A job may take its limit in addition to the heap that the process already has."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    house = lru_cache.Housekeeping()
    house.begin()
    before = lru_cache.own_sizes()
    blocks: list[int] = []
    # Other tests may have left room in this process's heap, which is taken first.
    while lru_cache.own_sizes().data - before.data < 200 * MIB:
        blocks += [libc.malloc(4_000) for _ in range(1_000)]
    # The last one keeps the heap from being cut.
    last = blocks.pop()
    try:
        for block in blocks:
            ctypes.memset(block, 1, 4_000)
            libc.free(block)
        assert house.after_job(1_000 * MIB)
        assert not house.after_job(40 * MIB)
        after = lru_cache.own_sizes()
        assert after.resident - before.resident < 100 * MIB
        assert after.data - before.data > 150 * MIB
    finally:
        libc.free(last)


def test_a_cache_keeps_recently_used_values() -> None:
    kept: LruCache[str] = LruCache(2)
    for key in "abac":
        kept.get(key, key.upper)
    assert len(kept) == 2
    assert kept.get("a", lambda: "made again") == "A"
    assert kept.get("b", lambda: "made again") == "made again"
