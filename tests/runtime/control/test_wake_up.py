"""Wake-ups of the scheduling loop are coalesced."""

from __future__ import annotations

import asyncio

from qsession_widget.runtime.control.wake_up import WakeUp


async def test_wake_ups_before_a_look_share_it() -> None:
    looks: list[int] = []

    wake_up = WakeUp(lambda: looks.append(1))
    for _ in range(3):
        wake_up.request()
    assert wake_up.requested
    await asyncio.sleep(0)
    assert not wake_up.requested
    wake_up.request()
    await asyncio.sleep(0)
    assert len(looks) == 2
