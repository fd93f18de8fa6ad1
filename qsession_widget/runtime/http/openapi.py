"""Generates the OpenAPI 3.1 description of the REST API.

Paths, methods and summaries come from the routes, schemas of sessions and jobs from the structs in
`wire/documents.py`. The table below says what each route takes and returns; a route that is missing
in the table, or the other way round, is an error.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http.parsing import MAX_OPTIMIZATION_LEVEL
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.http.routes.clock import LONGEST_ADVANCE_SECONDS
from qsession_widget.runtime.http.routes.ibm_cloud import PLAN_ID
from qsession_widget.runtime.http.routes.ids import KINDS
from qsession_widget.runtime.http.routes.users import NAME_PATTERN
from qsession_widget.runtime.http.unsupported import LOG_LEVELS
from qsession_widget.runtime.store.retention import MOST_DAYS
from qsession_widget.runtime.store.workloads import JOB
from qsession_widget.wire import processes, proof
from qsession_widget.wire.documents import (
    LARGEST,
    WORKLOAD_MODES,
    WORKLOAD_STATUSES,
    CreatedJobDocument,
    Document,
    InterimDocument,
    JobMetricsDocument,
    JobsDocument,
    OutcomeDocument,
    WatchDocument,
    WorkloadsDocument,
)
from qsession_widget.wire.fields import API_PREFIX, IDEMPOTENCY_KEY, PROGRAMS
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

PATH = "/qsession/openapi.json"

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
_WITHOUT_NUL: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
NAME: Schema = {**_WITHOUT_NUL, "minLength": 1, "maxLength": bounds.NAME.most}
FILTER: Schema = {**_WITHOUT_NUL, "maxLength": bounds.NAME.most}
SEARCH: Schema = {**_WITHOUT_NUL, "maxLength": bounds.SEARCH.most}
KEY: Schema = {"type": "string", "maxLength": bounds.KEY.most}
CURSOR: Schema = {"type": "string", "pattern": "^[0-9]{1,15}$"}
PROCESS: Schema = {
    "type": "string",
    "maxLength": processes.LONGEST_NAME,
    "pattern": f"^(?:{processes.PATTERN})$",
}
NUMBER: Schema = {"type": "number"}
FROM_ZERO: Schema = {"type": "integer", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST}
SECONDS: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST}
FLAG: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TAGS: Schema = {
    "type": "array",
    "items": {**_WITHOUT_NUL, "maxLength": bounds.TAG.most},
    "maxItems": bounds.TAGS.most,
}
ANYTHING: Schema = {"type": "object"}
FLAG_TEXT: Schema = {"type": "string", "enum": ["true", "True", "false", "False"]}
LOG_LEVEL: Schema = {"enum": [*LOG_LEVELS, *map(str.lower, LOG_LEVELS)]}
ORDER: Schema = {"type": "string", "enum": ["ASC", "DESC"]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _one_of(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(value) for value in values]}


def _choices(values: Iterable[str]) -> Schema:
    return {**_list(_one_of(values)), "maxItems": bounds.CHOICES.most}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


MAX_TTL = "#/components/schemas/MaxTtl"


def _schemas_of(*kinds: type[Document]) -> dict[str, Schema]:
    """Generate the schemas of documents and of those within them, by name."""
    _, found = msgspec.json.schema_components(kinds, ref_template="{name}")
    by_name = {kind.__name__: kind for kind in _documents(Document)}
    return {_name_of(name): _cleaned(schema, by_name[name]) for name, schema in found.items()}


def _documents(kind: type[Document]) -> Iterator[type[Document]]:
    for each in kind.__subclasses__():
        yield each
        yield from _documents(each)


def _cleaned(schema: Schema, kind: type[Document]) -> Schema:
    """Adapt a generated schema: what the runtime always sends, names, and one sentence about it."""
    sent = [name for name in schema["properties"] if name not in kind.elsewhere]
    return {
        "type": "object",
        "description": str(schema["description"]).partition("\n")[0],
        "properties": {name: _with_refs(schema["properties"][name]) for name in sent},
        "required": [name for name in sent if name not in kind.sometimes],
    }


def _with_refs(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: _ref(_name_of(value))["$ref"] if name == "$ref" else _with_refs(value)
            for name, value in schema.items()
        }
    return [_with_refs(each) for each in schema] if isinstance(schema, list) else schema


def _name_of(kind: str) -> str:
    return kind.removesuffix("Document")


SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        {
            "trace": TEXT,
            "errors": _list(
                _object({"code": COUNT, "message": TEXT, "solution": TEXT, "more_info": TEXT})
            ),
        }
    ),
    **_schemas_of(
        CreatedJobDocument,
        JobsDocument,
        JobMetricsDocument,
        InterimDocument,
        OutcomeDocument,
        WatchDocument,
        WorkloadsDocument,
    ),
    "Device": _object(
        {
            "name": TEXT,
            "status": _object({"name": TEXT}),
            "queue_length": COUNT,
            "qubits": COUNT,
            "physical_qubits": COUNT,
            "is_simulator": FLAG,
        },
        {"class": _one_of(["mock"])},
    ),
}
SCHEMAS["Watch"]["properties"]["jobs"]["maxItems"] = bounds.PAGE


@dataclass(frozen=True)
class Operation:
    """What an endpoint takes and returns.

    Attributes:
        returns: schema of the response; None if it has no body.
        status: of the response.
        also: further statuses with the same meaning, without a body.
        takes: schema of the request's body; None if it has none.
        query: schema of each parameter; a list may be repeated.
        media_type: of the response.
        form: whether the body is a form.
        keyed: whether an idempotency key may be sent.
        refuses: statuses of errors, besides the one of a wrong token.
        takes_token: whether it requires a token, as nearly all do.
    """

    returns: Schema | None = None
    status: int = 200
    also: tuple[int, ...] = ()
    takes: Schema | None = None
    query: dict[str, Schema] = field(default_factory=dict)
    media_type: str = "application/json"
    form: bool = False
    keyed: bool = False
    refuses: tuple[int, ...] = ()
    takes_token: bool = True


_PAGE = {"limit": FROM_ZERO, "created_after": INSTANT, "created_before": INSTANT, "sort": ORDER}
_CALIBRATION = {"calibration_id": TEXT}
_CLOCK = _object({"kind": TEXT, "now": INSTANT, "rate": NUMBER})
_NOT_FOUND = (404,)
_DONE = Operation(status=204, refuses=_NOT_FOUND)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/backends"): Operation(
        _object({"devices": _list(_ref("Device"))}),
        query={"include_mocks": FLAG_TEXT},
        refuses=(400,),
    ),
    ("GET", "/backends/{name}/configuration"): Operation(
        ANYTHING, query=_CALIBRATION, refuses=_NOT_FOUND
    ),
    ("GET", "/backends/{name}/defaults"): Operation(_object({}), refuses=_NOT_FOUND),
    ("GET", "/backends/{name}/properties"): Operation(
        ANYTHING, query={**_CALIBRATION, "updated_before": INSTANT}, refuses=(400, 404)
    ),
    ("GET", "/backends/{name}/status"): Operation(
        _object(
            {
                "state": FLAG,
                "status": TEXT,
                "message": TEXT,
                "length_queue": COUNT,
                "backend_version": TEXT,
            }
        ),
        refuses=_NOT_FOUND,
    ),
    ("GET", "/instances/usage"): Operation(
        _object(
            {
                "instance_id": TEXT,
                "plan_id": TEXT,
                "usage_consumed_seconds": COUNT,
                "usage_limit_seconds": COUNT,
                "usage_limit_reached": FLAG,
            }
        )
    ),
    ("GET", "/tags"): Operation(
        _object({"tags": TEXTS}),
        query={"type": _one_of([JOB]), "search": SEARCH},
        refuses=(400,),
    ),
    ("GET", "/versions"): Operation(
        _object({"versions": _list(_object({"version": TEXT, "status": TEXT}))})
    ),
    ("GET", "/workloads"): Operation(
        _ref("Workloads"),
        query={
            **_PAGE,
            "mode": _choices(WORKLOAD_MODES),
            "status": _choices(WORKLOAD_STATUSES),
            "backend": FILTER,
            "search": SEARCH,
            "tags": TAGS,
            "next": CURSOR,
            "previous": CURSOR,
        },
        refuses=(400,),
    ),
    ("POST", "/sessions"): Operation(
        _ref("Session"),
        takes=_object(
            {"backend": NAME},
            {
                "mode": _one_of(Mode),
                "instance": NAME,
                "max_ttl": {"$ref": MAX_TTL},
                "interactive_ttl": SECONDS,
                "active_ttl": SECONDS,
                "qsession": _object({}, {"name": NAME, "place": NAME, "process": PROCESS}),
            },
        ),
        keyed=True,
        refuses=(400, 404, 413),
    ),
    ("GET", "/sessions/{session_id}"): Operation(_ref("Session"), refuses=_NOT_FOUND),
    ("PATCH", "/sessions/{session_id}"): Operation(
        status=204, takes=_object({"accepting_jobs": {"const": False}}), refuses=(400, 404, 413)
    ),
    ("DELETE", "/sessions/{session_id}/close"): _DONE,
    ("POST", "/jobs"): Operation(
        _ref("CreatedJob"),
        takes=_object(
            {"program_id": _one_of(PROGRAMS), "backend": NAME, "params": ANYTHING},
            {
                "session_id": _or_null(NAME),
                "tags": TAGS,
                "cost": SECONDS,
                "private": FLAG,
                "runtime": NAME,
                "log_level": LOG_LEVEL,
                "qsession": _object(
                    {},
                    {
                        "optimization_level": {
                            "type": "integer",
                            "minimum": 0,
                            "maximum": MAX_OPTIMIZATION_LEVEL,
                        },
                        "process": PROCESS,
                    },
                ),
            },
        ),
        keyed=True,
        refuses=(400, 404, 409, 413),
    ),
    ("GET", "/jobs"): Operation(
        _ref("Jobs"),
        query={
            **_PAGE,
            "offset": FROM_ZERO,
            "backend": FILTER,
            "session_id": FILTER,
            "program": FILTER,
            "pending": FLAG_TEXT,
            "tags": TAGS,
            "include_mocks": FLAG_TEXT,
            # Lists never contain params.
            "exclude_params": TEXT,
        },
        refuses=(400,),
    ),
    ("GET", "/jobs/{job_id}"): Operation(
        _ref("Job"), also=(304,), query={"exclude_params": FLAG_TEXT}, refuses=(400, 404)
    ),
    ("DELETE", "/jobs/{job_id}"): _DONE,
    ("GET", "/jobs/{job_id}/results"): Operation(
        TEXT, also=(204,), media_type="text/plain", keyed=True, refuses=(400, 404, 410)
    ),
    ("POST", "/jobs/{job_id}/cancel"): Operation(status=204, keyed=True, refuses=(400, 404, 409)),
    ("GET", "/jobs/{job_id}/logs"): Operation(TEXT, media_type="text/plain", refuses=_NOT_FOUND),
    ("GET", "/jobs/{job_id}/metrics"): Operation(_ref("JobMetrics"), refuses=_NOT_FOUND),
    ("PUT", "/jobs/{job_id}/tags"): Operation(
        status=204, takes=_object({"tags": TAGS}), refuses=(400, 404, 413)
    ),
    ("GET", "/qsession/ids"): Operation(
        _object({"ids": TEXTS}),
        query={"kind": _one_of(KINDS), "prefix": FILTER},
        refuses=(400,),
    ),
    ("POST", "/qsession/beats"): Operation(
        _object({"every_seconds": SECONDS, "sessions": COUNT}),
        takes=_object({"process": PROCESS}),
        refuses=(400, 413),
    ),
    ("GET", "/qsession"): Operation(
        _object(
            {
                "name": TEXT,
                "version": TEXT,
                "features": TEXTS,
                "programs": _list(_one_of(PROGRAMS)),
                "machine": _or_null(TEXT),
            }
        )
    ),
    ("GET", PATH): Operation(ANYTHING),
    ("GET", "/qsession/watch"): Operation(
        _ref("Watch"),
        also=(304,),
        query={"session_id": FILTER, "since": FROM_ZERO},
        refuses=(400, 404),
    ),
    ("GET", "/qsession/jobs/{job_id}/interim"): Operation(
        _ref("Interim"),
        query={"after": FROM_ZERO},
        refuses=(400, 404),
    ),
    ("GET", "/qsession/jobs/{job_id}/outcome"): Operation(
        _ref("Outcome"),
        also=(304,),
        refuses=_NOT_FOUND,
    ),
    ("POST", "/qsession/sessions/{session_id}/cancel_queued"): Operation(
        _object({"cancelled": _list(TEXT)}), keyed=True, refuses=(400, 404, 409)
    ),
    ("GET", "/qsession/clock"): Operation(_CLOCK),
    ("POST", "/qsession/clock"): Operation(
        _CLOCK,
        takes=_object(
            {
                "advance_seconds": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": LONGEST_ADVANCE_SECONDS,
                }
            }
        ),
        keyed=True,
        refuses=(400, 403, 409, 413),
    ),
    ("POST", "/qsession/shutdown"): Operation(status=202, refuses=(403,)),
    ("GET", "/qsession/status"): Operation(
        _object(
            {
                "version": TEXT,
                "now": INSTANT,
                "rate": NUMBER,
                "policy": _one_of(["dedicated", "shared"]),
                "workers": _list(
                    _object(
                        {
                            "state": _one_of(["starting", "idle", "busy"]),
                            "job_id": _or_null(TEXT),
                            "device": _or_null(TEXT),
                            "pid": _or_null(COUNT),
                            "host": _or_null(TEXT),
                        }
                    )
                ),
                "hosts": _list(
                    _object(
                        {
                            "host": TEXT,
                            "address": TEXT,
                            "state": _one_of(["ready", "draining", "drained", "refused"]),
                            "slots": COUNT,
                            "busy": COUNT,
                            "reason": TEXT,
                        }
                    )
                ),
                "devices": _list(
                    _object(
                        {
                            "name": TEXT,
                            "queued": COUNT,
                            "running": COUNT,
                            "session_id": _or_null(NAME),
                        }
                    )
                ),
                "sessions": {**_list(_ref("Session")), "maxItems": bounds.PAGE},
                "session_count": COUNT,
                "store": _object({"bytes": COUNT}),
            }
        )
    ),
    ("POST", "/qsession/hosts/drain"): Operation(
        _object({"hosts": COUNT}), takes=_object({"host": NAME}), refuses=(400, 403, 404, 413)
    ),
    ("POST", "/qsession/gc"): Operation(
        _object(
            {
                "jobs": COUNT,
                "characters": COUNT,
                "store_bytes": COUNT,
                "retention_days": _or_null(NUMBER),
                "max_store_bytes": _or_null(COUNT),
            }
        ),
        takes=_object(
            {},
            {
                "retention_days": _or_null({**NUMBER, "minimum": 0, "maximum": MOST_DAYS}),
                "max_store_bytes": _or_null({**NUMBER, "minimum": 0, "maximum": LARGEST}),
            },
        ),
        keyed=True,
        refuses=(400, 403, 409, 413),
    ),
    ("GET", "/qsession/users"): Operation(
        _object({"users": _list(_object({"name": TEXT, "created_at": INSTANT}))}), refuses=(403,)
    ),
    ("POST", "/qsession/users"): Operation(
        _object({"name": TEXT, "token": TEXT}),
        takes=_object({"name": {**TEXT, "pattern": f"^{NAME_PATTERN}$"}}),
        keyed=True,
        refuses=(400, 403, 409, 413),
    ),
    ("DELETE", "/qsession/users/{name}"): Operation(status=204, refuses=(403, 404)),
    ("GET", proof.PATH): Operation(
        status=204,
        query={proof.CHALLENGE: {**TEXT, "pattern": "^[0-9a-f]{64}$"}},
        refuses=(400,),
        takes_token=False,
    ),
    ("POST", "/identity/token"): Operation(
        _object(
            {
                "access_token": TEXT,
                "refresh_token": TEXT,
                "token_type": TEXT,
                "expires_in": COUNT,
                "expiration": COUNT,
                "scope": TEXT,
            }
        ),
        takes=_object({"grant_type": TEXT, "apikey": TEXT}, {"response_type": TEXT}),
        form=True,
        refuses=(400, 413),
    ),
    ("POST", "/v3/resources/search"): Operation(
        _object({"items": _list(ANYTHING), "limit": COUNT}), takes=ANYTHING, refuses=(400, 413)
    ),
    ("GET", f"/{PLAN_ID}"): Operation(ANYTHING),
    ("GET", "/v2/resource_instances"): Operation(
        _object({"rows_count": COUNT, "resources": _list(ANYTHING)}), query={"name": TEXT}
    ),
    ("GET", "/v2/resource_instances/{crn}"): Operation(ANYTHING, refuses=_NOT_FOUND),
}


def route(routes: list[Route], max_session_seconds: int) -> Route:
    """Return the route that serves the description of all routes, itself included."""

    async def read_description(_request: Request) -> Response:
        """GET /qsession/openapi.json: read this description."""
        return JsonAnswer(describe([*routes, own], max_session_seconds))

    own = Route(PATH, read_description)
    return own


def describe(routes: Iterable[Route], max_session_seconds: int) -> dict[str, Any]:
    """Describe routes.

    Args:
        routes: all of them.
        max_session_seconds: the longest time that this runtime allows for a session.

    Raises:
        LookupError: if routes and table differ.
    """
    found = {
        (method, each.path.replace(":path}", "}")): each
        for each in routes
        for method in (each.methods or set()) - {"HEAD"}
    }
    if found.keys() != OPERATIONS.keys():
        differing = sorted(map(str, found.keys() ^ OPERATIONS.keys()))
        raise LookupError(f"routes and their description differ: {', '.join(differing)}")
    paths: dict[str, Any] = {}
    for (method, path), each in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        paths.setdefault(path, {})[method.lower()] = _operation(each, OPERATIONS[method, path])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Local runtime of qsession-widget",
            "version": "1",
            "description": "IBM's Qiskit Runtime REST API as far as its client uses it, and our "
            "additions under /qsession. The paths work below any prefix.",
        },
        "servers": [{"url": API_PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, "MaxTtl": {**SECONDS, "maximum": max_session_seconds}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _capitalized(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _operation(each: Route, known: Operation) -> dict[str, Any]:
    first_line = (inspect.getdoc(each.endpoint) or "").partition("\n")[0]
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": _capitalized(first_line.partition(": ")[2] or each.name.replace("_", " ")),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
                for name in each.param_convertors
            ),
            *(
                {"name": name, "in": "query", "schema": schema}
                for name, schema in known.query.items()
            ),
            *([{"name": IDEMPOTENCY_KEY, "in": "header", "schema": KEY}] if known.keyed else ()),
        ],
        "responses": _responses(known),
    }
    if known.takes is not None:
        media_type = "application/x-www-form-urlencoded" if known.form else "application/json"
        described["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": known.takes}},
        }
    if known.form or not known.takes_token:
        described["security"] = []
    return described


def _responses(known: Operation) -> dict[str, Any]:
    problem = {"application/json": {"schema": _ref("Problem")}}
    answer: dict[str, Any] = {"description": "Done."}
    if known.returns is not None:
        answer["content"] = {known.media_type: {"schema": known.returns}}
    found = {str(known.status): answer}
    found |= {str(status): {"description": "No content."} for status in known.also}
    found |= {
        str(status): {"description": _MEANING[status], "content": problem}
        for status in known.refuses
    }
    if known.form:
        # IAM has its own shape of errors.
        refusal = _object({"errorCode": TEXT, "errorMessage": TEXT})
        found["400"] = {
            "description": _MEANING[400],
            "content": {"application/json": {"schema": refusal}},
        }
    elif known.takes_token:
        found["401"] = {"description": _MEANING[401], "content": problem}
    return dict(sorted(found.items()))


_MEANING = {
    400: "The request is not valid.",
    401: "The token is missing or wrong.",
    403: "Only the runtime's administrator may do that.",
    404: "It does not exist, or another user owns it.",
    409: "Its state does not allow that.",
    410: "It was deleted.",
    413: "The request is too large.",
}
