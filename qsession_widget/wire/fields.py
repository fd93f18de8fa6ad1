"""Names that client and runtime share: paths, headers, keys."""

from __future__ import annotations

import re

API_PREFIX = "/api/v1"
"""Path of the REST API below the server's root."""

OFFICIAL_PREFIX = "/experimental/api/v1"
"""Path of the same API for the official client, which leaves only such addresses unchanged."""

ADMINISTRATOR = "owner"
"""Name of the user of the discovery file's token, and of the scope for administration."""

INSTANCE_NAME = "local"
"""Name of the only instance of a local runtime; accounts at IBM have several."""

INSTANCE_CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/local:qsession::"
"""The instance's cloud resource name, which the official client needs."""

API_VERSION_HEADER = "IBM-API-Version"
"""Request header: the date of the revision of IBM's REST API that the client uses."""

API_VERSION = "2026-04-15"
"""The revision that we use."""

OLDEST_API_VERSION = "2024-01-01"
"""The oldest revision that the local runtime supports."""

DESCRIBED_DEVICES_SINCE = "2025-05-01"
"""The first revision in which lists of backends describe them; before, they are names only."""

CONTENT_LOCATION = "Content-Location"
"""Response header: the resource (RFC 9110). The local runtime sends it with every GET."""

IDEMPOTENCY_KEY = "Idempotency-Key"
"""Header of a POST: a repeated key returns the first answer again, and changes nothing."""

PREFER = "Prefer"
"""Header of a GET that may be held, `Prefer: wait=SECONDS` (RFC 7240)."""

PREFERENCE_APPLIED = "Preference-Applied"
"""Response header of a server that honoured `Prefer`."""

EXTRA = "qsession"
"""Key of our additions in the JSON of sessions and jobs, and first path segment of our own API."""

EXECUTOR = "executor"
"""The program that the official client's newer primitives use."""

NOISE_LEARNER = "noise-learner"
"""The program that learns the noise of layers of gates."""

PROGRAMS = ("sampler", "estimator", EXECUTOR, NOISE_LEARNER)
"""Programs that the local runtime can run."""

ROLES = {
    "sampler_v2": "sampler",
    "estimator_v2": "estimator",
    "noise_learner_v3": "noise learner",
}
"""What a quantum program stands for, by the `semantic_role` that the official client gives it."""

PROGRAM_NOT_FOUND = 1207
"""Code of the error, with status 404, for a new job whose program the service does not run."""

CLASSIFIED = "classified"
"""The only kind of measurement data, by IBM's name, that the local runtime returns: bits."""

MAX_WAIT_SECONDS = 30.0
"""The longest time that the local runtime holds a request."""

MOCK_PREFIX = "mock_"
"""Prefix of the name of a backend's mock, which is used for dry runs."""


def mock_of(device: str) -> str:
    """Return the name of a backend's mock, as the official client forms it.

    Args:
        device: name of the backend, such as "fake_manila"; a mock's name is returned unchanged.
    """
    return MOCK_PREFIX + device.partition("_")[2]


def role_of(program_id: object, semantic_role: object) -> str | None:
    """Return what a job's quantum program stands for; None for a program that says no more.

    Args:
        program_id: the program, such as "executor".
        semantic_role: what its quantum program has by that name.
    """
    if program_id != EXECUTOR or not isinstance(semantic_role, str):
        return None
    # The schema of IBM spells them "sampler-v2" in its description.
    return ROLES.get(semantic_role.replace("-", "_"))


def program_word(program_id: str, role: str | None = None) -> str:
    """Return the word for what a job runs: its role where it has one, else its program."""
    return role or ("noise learner" if program_id == NOISE_LEARNER else program_id)


def wait_preference(header: str | None) -> float:
    """Parse the seconds of a `Prefer: wait=N` header.

    Args:
        header: the header's value; None if it was not sent.

    Returns:
        Seconds to wait, between 0 and `MAX_WAIT_SECONDS`; 0 if the header cannot be parsed, since
        RFC 7240 lets a server ignore a preference.
    """
    for part in (header or "").split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "wait":
            try:
                seconds = float(value.strip())
            except ValueError:
                return 0.0
            # In this order, NaN counts as 0.
            return min(seconds, MAX_WAIT_SECONDS) if seconds > 0 else 0.0
    return 0.0


RESULT_NAMES = frozenset(
    {"items", "keys", "ndim", "self", "shape", "size", "values", "_data", "_shape"}
    | {"_FIELDS", "_FIELD_TYPES", "_RESTRICTED_NAMES", "_SHAPE"}
)
"""Names that Qiskit's DataBin uses itself, so that no classical register may have them."""

MID_CIRCUIT = re.compile(r"(measure|reset)_\d+")
"""Names of a device's variants of measurement and reset, which are known by their names alone."""
