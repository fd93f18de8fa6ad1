"""Routes of backends: their list, configurations, properties and states."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from qsession_widget.runtime.http import errors, parsing, serializers
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.fields import API_VERSION, API_VERSION_HEADER, DESCRIBED_DEVICES_SINCE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.device_catalog import Device
    from qsession_widget.runtime.http.resources import Resources


@dataclass(frozen=True)
class BackendRoutes:
    """The endpoints below `/backends`."""

    resources: Resources
    coordinator: Coordinator

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/backends", self.list_backends),
            Route("/backends/{name}/configuration", self.read_configuration),
            Route("/backends/{name}/properties", self.read_properties),
            Route("/backends/{name}/defaults", self.read_defaults),
            Route("/backends/{name}/status", self.read_status),
        ]

    async def list_backends(self, request: Request) -> Response:
        """GET /backends: list the backends."""
        mocks = parsing.flag(request.query_params.get("include_mocks"), "include_mocks") is True
        # The first call reads the recorded files.
        found = await asyncio.to_thread(self.resources.catalog.in_order_of_choice, mocks=mocks)
        if request.headers.get(API_VERSION_HEADER, API_VERSION) < DESCRIBED_DEVICES_SINCE:
            return JsonAnswer({"devices": [device.name for device in found]})
        described = [
            serializers.device_document(
                device, queue_length=self.coordinator.queue_length(device.name)
            )
            for device in found
        ]
        return JsonAnswer({"devices": described})

    async def read_configuration(self, request: Request) -> Response:
        """GET /backends/{name}/configuration: read a backend's configuration."""
        return JsonAnswer(self._recorded(request).configuration)

    async def read_properties(self, request: Request) -> Response:
        """GET /backends/{name}/properties: read a backend's calibration."""
        # They were recorded once: whatever time is asked for, these are the ones before it.
        parsing.time(request.query_params.get("updated_before"))
        return JsonAnswer(self._recorded(request).properties)

    async def read_defaults(self, request: Request) -> Response:
        """GET /backends/{name}/defaults: read pulses; there are none."""
        self.resources.backend(request.path_params["name"])
        return JsonAnswer({})

    async def read_status(self, request: Request) -> Response:
        """GET /backends/{name}/status: read a backend's state and the length of its queue."""
        device = self.resources.backend(request.path_params["name"])
        length = self.coordinator.queue_length(device.name)
        return JsonAnswer(serializers.device_status_document(device, queue_length=length))

    def _recorded(self, request: Request) -> Device:
        """Return a backend as it was recorded: it has no other calibration."""
        device = self.resources.backend(request.path_params["name"])
        calibration_id = request.query_params.get("calibration_id")
        if calibration_id is not None:
            raise errors.calibration_not_found(device.name, calibration_id)
        return device
