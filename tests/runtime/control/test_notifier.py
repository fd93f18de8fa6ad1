"""Held requests wake up when their resource changes, and at shutdown."""

from __future__ import annotations

from qsession_widget.runtime.control.notifier import Notifier


async def test_a_change_wakes_only_requests_that_watch_its_key() -> None:
    notifier = Notifier()
    with notifier.watch("a") as first, notifier.watch("a") as second, notifier.watch("b") as b:
        notifier.notify(["a", "unwatched"])
        assert (first.is_set(), second.is_set(), b.is_set()) == (True, True, False)
        notifier.wake()
        assert b.is_set()
    assert not notifier._waiting, "a returned request leaves nothing behind"


async def test_at_shutdown_no_request_is_held() -> None:
    notifier = Notifier()
    with notifier.watch("a") as before:
        notifier.close()
        assert before.is_set()
    assert notifier.closed
    with notifier.watch("a") as after:
        assert after.is_set()
