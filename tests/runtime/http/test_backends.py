"""The routes of backends, on a real server."""

from __future__ import annotations

from tests.runtime.server import Server, problem


def test_an_unknown_backend_is_named_with_those_that_exist(server: Server) -> None:
    for answer in (
        server.get("/backends/fake_nowhere/configuration"),
        server.get("/backends/fake_nowhere/properties"),
        server.get("/backends/fake_nowhere/status"),
        server.send(backend="fake_nowhere"),
        server.ask("POST", "/sessions", json={"backend": "fake_nowhere"}),
    ):
        said = problem(answer, 404)
        assert "fake_nowhere" in said
        assert "fake_manila" in said


def test_every_device_can_be_read(server: Server) -> None:
    devices = server.json("/backends")["devices"]
    assert {"fake_manila", "fake_torino", "ibmq_qasm_simulator", "aer_simulator"} <= {
        device["name"] for device in devices
    }
    assert len(devices) > 50
    for device in devices:
        name = device["name"]
        configuration = server.json(f"/backends/{name}/configuration")
        assert (configuration["backend_name"], configuration["n_qubits"]) == (
            name,
            device["qubits"],
        )
        assert configuration["simulator"] is device["is_simulator"]
        properties = server.json(f"/backends/{name}/properties")
        assert properties.get("backend_name") == (None if device["is_simulator"] else name)
        assert server.json(f"/backends/{name}/status")["state"] is True
