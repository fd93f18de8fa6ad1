"""Held requests wake up when what they watch changes, and at the end."""

from __future__ import annotations

from qsession_widget.runtime.control.notifier import Notifier


async def test_a_change_wakes_those_who_watch_its_key_and_no_others() -> None:
    notifier = Notifier()
    with notifier.watch("a") as first, notifier.watch("a") as second, notifier.watch("b") as b:
        notifier.notify(["a", "unwatched"])
        assert (first.is_set(), second.is_set(), b.is_set()) == (True, True, False)
        notifier.wake()
        assert b.is_set()
    assert not notifier._waiting, "nothing is kept of a request that has returned"


async def test_at_the_end_nothing_is_held_any_more() -> None:
    notifier = Notifier()
    with notifier.watch("a") as before:
        notifier.close()
        assert before.is_set()
    assert notifier.closed
    with notifier.watch("a") as after:
        assert after.is_set()
