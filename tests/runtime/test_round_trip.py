"""What an iteration's requests cost, in events that can be counted."""

from __future__ import annotations

import asyncio
import socket

from qsession_widget.runtime import server


def test_the_servers_connections_send_at_once() -> None:
    """A client that asks again at once would else wait 40 ms for each answer's second half."""

    async def connect() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs = writer.get_extra_info("socket")
            found.set_result(theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with server._bind(0) as listener:
            async with await asyncio.start_server(accepted, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await found

    assert asyncio.run(connect())
