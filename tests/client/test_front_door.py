"""Importing the package: what is public, and what it costs."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import qsession_widget
from qsession_widget import Batch, Session, errors
from qsession_widget.client import session
from qsession_widget.client.backends.backend import Backend, BackendStatus
from qsession_widget.client.jobs.job import Estimate
from qsession_widget.client.options import groups as suboptions

if TYPE_CHECKING:
    from collections.abc import Iterator

MORE: dict[str, Any] = {each.__name__: each for each in (Backend, BackendStatus, Estimate)}
"""Classes that only public functions create."""

HEAVY = {"asyncio", "concurrent.futures", "email.parser", "http.client", "sqlite3", "ssl"}
"""Modules of the standard library that take some milliseconds, and that not every program needs."""

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.rst"


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, qsession_widget; qsession_widget.__all__; dir(qsession_widget);"
        "print([name for name in ('qiskit', 'numpy', 'requests', 'traitlets', 'ipywidgets')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "[]"


def test_the_official_client_is_not_imported_to_run_a_job() -> None:
    code = (
        "import sys; from qsession_widget import Session, Sampler, Estimator;"
        "print('qiskit_ibm_runtime' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "False"


def test_over_qiskit_a_program_imports_little() -> None:
    code = (
        "import qiskit, sys; before = set(sys.modules);"
        "from qsession_widget import Session, Sampler; new = set(sys.modules) - before;"
        "installed = {each.split('.')[0] for each in new if each[0] != '_'};"
        "installed -= set(sys.stdlib_module_names);"
        f"print(sorted(installed), sorted(new & {HEAVY}))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "['httptools', 'msgspec', 'qsession_widget'] []"


@pytest.mark.parametrize("name", qsession_widget.__all__)
def test_every_public_name_is_there_and_described(name: str) -> None:
    value = getattr(qsession_widget, name)
    assert value.__name__ == name
    assert value.__module__.startswith("qsession_widget")
    assert inspect.getdoc(value)
    assert name in dir(qsession_widget)


def test_all_errors_are_public_and_of_one_tree() -> None:
    found = [
        value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
        if not name.startswith("_")
    ]
    assert len(found) > 10
    assert all(issubclass(error, qsession_widget.QSessionError) for error in found)
    assert {error.__name__ for error in found} <= set(qsession_widget.__all__)


def test_a_private_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qsession_widget.nothing


def documented() -> Iterator[tuple[str, Any]]:
    """Yield every public function, class, method and property with its full name."""
    named = {name: getattr(qsession_widget, name) for name in qsession_widget.__all__}
    groups = {
        name: value
        for name, value in vars(suboptions).items()
        if dataclasses.is_dataclass(value) and value.__module__ == suboptions.__name__
    }
    for name, value in (named | groups | MORE).items():
        yield name, value
        # Base classes included.
        mro = getattr(value, "__mro__", ())
        bases = [base for base in mro if base.__module__.startswith("qsession_widget.")]
        members = {member: found for base in bases[::-1] for member, found in vars(base).items()}
        for member, found in members.items():
            if not member.startswith("_"):
                unwrapped = getattr(found, "__func__", found)
                if inspect.isfunction(unwrapped) or isinstance(unwrapped, property):
                    yield f"{name}.{member}", unwrapped


def parameters_of(value: Any) -> list[str]:
    """Return the parameters that a docstring has to name; errors are raised only by us."""
    if isinstance(value, property) or (inspect.isclass(value) and issubclass(value, Exception)):
        return []
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list_of_parameters(value)


def test_everything_public_is_described_with_every_parameter() -> None:
    silent = []
    for name, value in documented():
        bases = getattr(value, "__mro__", (value,))
        text = "\n".join(base.__doc__ or "" for base in bases)
        if not value.__doc__:
            silent.append(name)
        parameters = parameters_of(value)
        if len(parameters) == 1 and "Args:" not in text:
            # A single one may be named in the first line.
            continue
        silent += [
            f"{name}({parameter})"
            for parameter in parameters
            if not re.search(rf"^\s*{parameter}\b.*:", text, re.MULTILINE)
        ]
    assert silent == []
    assert len(list(documented())) > 100


def list_of_parameters(function: Any) -> list[str]:
    """Return the names of a function's parameters, without self, cls and variadic ones."""
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in {"self", "cls"}
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]


JSON = "JSON of the wire, or a dict of options on its way there, as it is"
ANY = {
    r"\w+\.(run|callback)\(callback\)": "the result is what the program gives",
    r"RuntimeJob\.(result|decode)\(return\)": "the result is what the program, or a decoder, gives",
    r"RuntimeJob(\.__init__)?\(data\)|RuntimeJob\.(data|inputs|metrics)\(return\)": JSON,
    r"Backend\.__init__\(configuration\)|Backend\.(configuration|properties)\(return\)": JSON,
    r"QiskitRuntimeService\.(usage|find_session|saved_accounts)\(return\)": JSON,
    r"SessionSummary\.from_json\(found\)": JSON,
    r"\w+Options\.(set_values|on_the_wire|for_the_run)\(return\)": JSON,
    r"Options\.(set_values|on_the_wire|for_the_run)\(return\)": JSON,
    r"Options(\.__init__)?\(experimental\)": "whatever the service may take one day",
    r"SessionPanel(\.reasons|\.answer)?\(\w+\)": "JSON between kernel and browser",
}
"""Where `Any` is right in a public signature, and why."""


def types_of_everything() -> Iterator[tuple[str, str]]:
    """Yield the type of every public parameter, result and attribute."""
    for name, value in documented():
        if inspect.isclass(value):
            found = [(name, value.__annotations__ if "__annotations__" in vars(value) else {})]
            if "__init__" in vars(value):
                found.append((f"{name}.__init__", value.__init__.__annotations__))
        else:
            function = value.fget if isinstance(value, property) else value
            found = [(name, function.__annotations__)]
        for place, types in found:
            for part, text in types.items():
                if not part.startswith("_"):
                    yield f"{place}({part})", str(text)


def test_no_public_signature_says_any_where_a_type_would_do() -> None:
    found = dict(types_of_everything())
    loose = {place for place, text in found.items() if re.search(r"\bAny\b", text)}
    allowed = {place for place in loose if any(re.fullmatch(each, place) for each in ANY)}
    assert sorted(loose - allowed) == []
    assert len(found) > 500
    for each in ANY:
        assert any(re.fullmatch(each, place) for place in loose), f"{each} is not needed"


def test_every_public_signature_is_typed() -> None:
    bare = [
        f"{name}({parameter})"
        for name, value in documented()
        if inspect.isfunction(value)
        for parameter in [*list_of_parameters(value), "return"]
        if parameter not in value.__annotations__
    ]
    assert bare == []


def test_the_api_page_names_everything_public() -> None:
    page = PAGE.read_text()
    named = set(
        re.findall(r"^\.\. auto\w+:: (?:qsession_widget(?:\.\w+)+\.)?(\w+)$", page, re.MULTILINE)
    )
    groups = {
        name
        for name, value in vars(suboptions).items()
        if dataclasses.is_dataclass(value) and value.__module__ == suboptions.__name__
    }
    assert named == set(qsession_widget.__all__) | groups | set(MORE)


EMPTY = inspect.Parameter.empty
SEED: dict[str, dict[str, Any]] = {
    "__init__": {"service": None, "backend": None, "max_time": None},
    "backend": {},
    "cancel": {},
    "close": {},
    "details": {},
    "from_id": {"session_id": EMPTY, "service": None, "backend": None},
    "run": {
        "program_id": EMPTY,
        "inputs": EMPTY,
        "options": None,
        "callback": None,
        "result_decoder": None,
    },
    "status": {},
}


@pytest.mark.parametrize("kind", [Session, Batch])
@pytest.mark.parametrize("method", SEED)
def test_signatures_begin_as_documented(kind: type[Session], method: str) -> None:
    signature = inspect.signature(getattr(kind, method)).parameters
    found = {name: each for name, each in signature.items() if name != "self"}
    seeds = SEED[method]
    assert {name: found[name].default for name in list(found)[: len(seeds)]} == seeds
    assert list(found)[: len(seeds)] == list(seeds)
    assert all(each.kind is each.KEYWORD_ONLY for each in list(found.values())[len(seeds) :])


def test_documented_attributes_exist() -> None:
    for name in ("service", "session_id"):
        assert isinstance(inspect.getattr_static(Session, name), property)
    assert session.Session is Session


def test_the_package_is_typed() -> None:
    assert Path(qsession_widget.__file__).with_name("py.typed").is_file()
