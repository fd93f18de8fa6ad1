"""A service that is kept for the whole process, until it is closed."""

from __future__ import annotations

import threading

from qsession_widget import QiskitRuntimeService
from qsession_widget.client.kept_service import KeptService
from tests.client.throwaway import unused_address


def made() -> QiskitRuntimeService:
    return QiskitRuntimeService("local", "t", unused_address())


def test_the_first_is_kept_and_others_are_closed() -> None:
    kept: KeptService[QiskitRuntimeService] = KeptService()
    assert kept.get() is None
    start = threading.Barrier(8)
    services = [made() for _ in range(8)]

    def keep(service: QiskitRuntimeService) -> None:
        start.wait()
        kept.keep(service)

    threads = [threading.Thread(target=keep, args=(each,)) for each in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = [each for each in services if not each.closed]
    assert kept.get() is found


def test_a_closed_service_is_replaced() -> None:
    kept: KeptService[QiskitRuntimeService] = KeptService()
    first, second = made(), made()
    assert kept.keep(first) is first
    first.close()
    assert kept.get() is None
    assert kept.keep(second) is second


def test_another_can_take_its_place() -> None:
    kept: KeptService[QiskitRuntimeService] = KeptService()
    first, second = made(), made()
    kept.keep(first)
    kept.replace(second)
    assert kept.get() is second
    assert not first.closed
