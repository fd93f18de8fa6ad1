"""Writes tables of the reference from the code: commands, endpoints, settings, errors, versions."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from sphinx.util.docutils import SphinxDirective

from qsession_widget import errors
from qsession_widget.cli.main import command_line
from qsession_widget.runtime import command
from qsession_widget.runtime.dask import __main__ as dask_worker
from qsession_widget.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docutils import nodes
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
METHODS = ("get", "post", "put", "patch", "delete")
OF_THE_MACHINE = {
    "home": "the user's data folder, or ``QSESSION_HOME``",
    "workers": "one for each processor, at least 2",
    "max_job_memory_bytes": "half of the memory that is available",
}
"""Defaults that differ from machine to machine."""


def title(text: str, line: str = "-") -> list[str]:
    """Return a heading."""
    return [text, line * len(text), ""]


def table(widths: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a table whose cells hold reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'  ' if number else '* '}- {cell}")
    return [*lines, ""]


# -- commands ------------------------------------------------------------------------------------


def commands() -> list[str]:
    """Describe every command and its options, from the parsers themselves."""
    lines = []
    for name, parser, about in _parsers():
        lines += [f".. _qsession-{name.replace(' ', '-')}:", "", *title(f"qsession {name}")]
        usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
        lines += ["::", "", f"   {usage}", "", about, ""]
        for group in parser._action_groups:
            actions = [
                each
                for each in group._group_actions
                if each.help != argparse.SUPPRESS
                and not isinstance(each, (argparse._HelpAction, argparse._SubParsersAction))
            ]
            if actions and name == "serve" and group.description:
                lines += [f"*{_capitalized(group.title or '')}.* {group.description}", ""]
            for each in actions:
                lines += [f"``{_form(each)}``", f"   {_help(each)}", ""]
    return lines


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Yield each command's name, parser and description, those of commands below it included."""
    for name, parser, told in _below(command_line()):
        if name == "serve":
            runtime = command._parser("qsession serve")
            yield name, runtime, str(runtime.description)
            continue
        if name == "worker":
            worker = dask_worker._parser()
            yield name, worker, str(worker.description)
            continue
        yield name, parser, _sentence(parser.description or told)
        for action, inner, about in _below(parser):
            yield f"{name} {action}", inner, _sentence(inner.description or about)


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in each._choices_actions}
            for name, inner in each.choices.items():
                yield name, inner, helps[name]


def _form(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices and not action.metavar:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return value
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"


def _help(action: argparse.Action) -> str:
    text = action.help or ""
    if action.dest in OF_THE_MACHINE:
        text = text.replace("%(default)s", OF_THE_MACHINE[action.dest])
    return _sentence(text % {"default": action.default} if "%(" in text else text)


# -- endpoints -----------------------------------------------------------------------------------


def endpoints() -> list[str]:
    """Describe every endpoint, from the kept OpenAPI description."""
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, methods in sorted(described["paths"].items()):
        for method in METHODS:
            if method in methods:
                each = methods[method]
                taken = [
                    f"``{one['name']}``"
                    for one in each.get("parameters", [])
                    if one["in"] != "path"
                ]
                taken += _members(each, described)
                row = (f"``{method.upper()}``", f"``{path}``", each["summary"], ", ".join(taken))
                groups.setdefault(_resource(path), []).append(row)
    lines = []
    for name, rows in groups.items():
        lines += title(name)
        lines += table("9 31 34 26", ("", "path", "what it does", "takes"), rows)
    return lines


def _members(operation: dict[str, Any], described: dict[str, Any]) -> list[str]:
    """Return the names of the members of a request's body."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return [f"``{name}``" for name in schema.get("properties", {})]


def _resource(path: str) -> str:
    first = path.strip("/").partition("/")[0]
    if first == "qsession":
        return "Our additions"
    if first in {"identity", "v2", "v3", "qsession-local-plan"}:
        return "IBM Cloud"
    return _capitalized(first)


# -- settings ------------------------------------------------------------------------------------


def settings() -> list[str]:
    """List the runtime's settings with their flags, defaults and meaning."""
    meanings = _attributes(Settings)
    rows = []
    for each in fields(Settings):
        default = each.default
        if each.name in OF_THE_MACHINE:
            shown = OF_THE_MACHINE[each.name]
        elif default is MISSING or default in (None, ()):
            shown = "none"
        elif isinstance(default, bool):
            shown = "yes" if default else "no"
        else:
            shown = f"{default:,}" if isinstance(default, int) else f"``{default}``"
        rows.append((f"``{_flag(each.name)}``", shown, _sentence(meanings[each.name])))
    return table("26 18 56", ("flag", "default", "meaning"), rows)


@cache
def _flags() -> dict[str, str]:
    return {each.dest: each.option_strings[0] for each in command._parser("")._actions}


def _flag(name: str) -> str:
    return _flags()[name]


def _attributes(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of each attribute."""
    section = (kind.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(
        r"^        (\w+): (.*?)(?=^        \w|\Z)", section, re.MULTILINE | re.DOTALL
    )
    return {name: re.sub(r"`([^`]+)`", r"``\1``", " ".join(text.split())) for name, text in found}


# -- errors --------------------------------------------------------------------------------------


def tree_of_errors() -> list[str]:
    """List the errors as a tree, each with the built-in exceptions that it also is."""
    return [".. code-block:: text", "", *_branch(errors.QSessionError, 0), ""]


def _branch(kind: type, depth: int) -> list[str]:
    ours = errors.__name__
    also = [
        each.__name__
        for each in kind.__bases__
        if each.__module__ == "builtins" and each is not Exception
    ]
    text = f"   {'   ' * depth}{kind.__name__}" + (f"  (also {', '.join(also)})" if also else "")
    below = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and each.__module__ == ours and _parent(each) is kind
    ]
    return [text, *(line for each in below for line in _branch(each, depth + 1))]


def _parent(kind: type) -> type | None:
    """Return the nearest public error above one."""
    above = (each for each in kind.__mro__[1:] if each.__module__ == errors.__name__)
    return (
        next((each for each in above if not each.__name__.startswith("_")), None)
        if (not kind.__name__.startswith("_"))
        else None
    )


# -- versions ------------------------------------------------------------------------------------


def versions() -> list[str]:
    """List what pyproject.toml requires, with the bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    rows = [("Python", ", ".join(named))]
    for text in project["dependencies"]:
        each = Requirement(text)
        bounds = sorted(each.specifier, key=lambda one: one.operator, reverse=True)
        only = f" (``{each.marker}``)" if each.marker else ""
        rows.append(
            (f"``{each.name}``{only}", ", ".join(f"{one.operator} {one.version}" for one in bounds))
        )
    return table("40 60", ("package", "releases"), rows)


def _sentence(text: str) -> str:
    text = _capitalized(text.strip())
    return text if text.endswith((".", "?")) else f"{text}."


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


WRITERS = {
    "generated-commands": commands,
    "generated-endpoints": endpoints,
    "generated-settings": settings,
    "generated-errors": tree_of_errors,
    "generated-versions": versions,
}


class Generated(SphinxDirective):
    """One of the directives above; it takes no arguments."""

    def run(self) -> list[nodes.Node]:
        """Return what its function writes."""
        text = "\n".join(WRITERS[self.name]())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name in WRITERS:
        app.add_directive(name, Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
