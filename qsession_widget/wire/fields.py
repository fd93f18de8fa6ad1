"""Names that both sides of HTTP spell the same way."""

from __future__ import annotations

import re

API_PREFIX = "/api/v1"
"""Path of the REST API below the server's root."""

OFFICIAL_PREFIX = "/experimental/api/v1"
"""Path of the same API for the official client, which leaves only such an address as it is."""

INSTANCE_NAME = "local"
"""Name of the one instance that a local runtime has, as IBM's accounts have instances."""

INSTANCE_CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/local:qsession::"
"""The instance's cloud resource name, which the official client needs."""

API_VERSION_HEADER = "IBM-API-Version"
"""Header of a request: the date of the revision of IBM's REST API that the client speaks."""

API_VERSION = "2026-04-15"
"""The revision that we speak."""

OLDEST_API_VERSION = "2024-01-01"
"""The oldest revision that the local runtime speaks too."""

DESCRIBED_DEVICES_SINCE = "2025-05-01"
"""The revision from which on lists of devices describe them; before, they were names."""

CONTENT_LOCATION = "Content-Location"
"""Which resource an answer is of (RFC 9110); the local runtime says it of every GET."""

IDEMPOTENCY_KEY = "Idempotency-Key"
"""Header of a POST: the same key again gives the first answer again, and changes nothing."""

PREFER = "Prefer"
"""Header of a waiting GET, `Prefer: wait=SECONDS` (RFC 7240)."""

PREFERENCE_APPLIED = "Preference-Applied"
"""Header of the answer of a server that waited."""

EXTRA = "qsession"
"""Key of our own additions inside session and job JSON, and first path segment of our own API."""

EXECUTOR = "executor"
"""The program behind the official client's newer primitives."""

NOISE_LEARNER = "noise-learner"
"""The program that gives the noise of layers of gates."""

PROGRAMS = ("sampler", "estimator", EXECUTOR, NOISE_LEARNER)
"""Programs that the local runtime runs."""

CLASSIFIED = "classified"
"""What a measurement gives on the local runtime: bits, of the kinds that IBM names."""

MAX_WAIT_SECONDS = 30.0
"""The longest that the local runtime holds a request."""

MOCK_PREFIX = "mock_"
"""How the name of a device's mock begins, which dry runs go to."""


def mock_of(device: str) -> str:
    """Give the name of a device's mock, as the official client makes it; a mock's own is its own.

    Args:
        device: name of the device, such as "fake_manila".
    """
    return MOCK_PREFIX + device.partition("_")[2]


def wait_preference(header: str | None) -> float:
    """Read the seconds of a `Prefer: wait=N` header.

    Args:
        header: the header's text, or None where there is none.

    Returns:
        Seconds to wait, between 0 and `MAX_WAIT_SECONDS`; 0 where nothing readable is asked for,
        since RFC 7240 lets a server ignore a preference.
    """
    for part in (header or "").split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "wait":
            try:
                seconds = float(value.strip())
            except ValueError:
                return 0.0
            # In this order a NaN is no time at all.
            return min(seconds, MAX_WAIT_SECONDS) if seconds > 0 else 0.0
    return 0.0


RESULT_NAMES = frozenset(
    {"items", "keys", "ndim", "self", "shape", "size", "values", "_data", "_shape"}
    | {"_FIELDS", "_FIELD_TYPES", "_RESTRICTED_NAMES", "_SHAPE"}
)
"""What Qiskit's DataBin calls parts of its own, so that no register's data can be called that."""

MID_CIRCUIT = re.compile(r"(measure|reset)_\d+")
"""Names of a device's variants of measurement and reset, which are known by their names alone."""
