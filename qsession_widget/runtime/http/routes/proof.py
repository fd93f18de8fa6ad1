"""Route by which the runtime proves its identity before a client sends its token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime.http import errors
from qsession_widget.wire import proof

if TYPE_CHECKING:
    from starlette.requests import Request


class ProofRoutes:
    """The endpoint `/qsession/proof`.

    Args:
        token: the administrator's token.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route(proof.PATH, self.prove)]

    async def prove(self, request: Request) -> Response:
        """GET /qsession/proof: answer a client's challenge. Takes no token."""
        challenge = request.query_params.get(proof.CHALLENGE, "")
        server = request.scope.get("server")
        if not proof.is_challenge(challenge) or server is None or server[1] is None:
            raise errors.Problem(
                400, 1211, "The challenge cannot be read.", "It is 64 hexadecimal digits."
            )
        return Response(
            status_code=204,
            headers={proof.HEADER: proof.answer(self._token, challenge, int(server[1]))},
        )
