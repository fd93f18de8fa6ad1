"""The figures of several benchmarks as tables for a page: `python -m benchmarks.report FILE...`.

The files are what the benchmarks write with `--json`. The tables are Markdown, or with `--rst` what
docs/performance.rst holds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def rows_of(found: Any) -> list[list[str]]:
    """Return a benchmark's table as texts: its head, then one row for each contestant."""
    if not found or "milliseconds" not in found[0]:
        heads = list(found[0]) if found else []
        return [heads, *([_text(each[head]) for head in heads] for each in found)]
    others = list(found[0].get("cpu") or {})
    heads = ["", "median, ms", "p10 .. p90", "n", "ratio", *(f"{name} CPU, ms" for name in others)]
    base = found[0]
    rows = []
    for each in found:
        low, high = each["spread"]
        rows.append(
            [
                each["name"],
                _text(each["median"]),
                f"{_text(low)} .. {_text(high)}",
                str(len(each["milliseconds"])),
                f"{_ratio(each, base):.3g}",
                *(_text(each["cpu"].get(name, 0.0)) for name in others),
            ]
        )
    return [heads, *rows]


def _ratio(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the median of the ratios of the rounds that both ran."""
    first, second = one["milliseconds"], other["milliseconds"]
    ratios = sorted(first[each] / second[each] for each in first.keys() & second.keys())
    return float(ratios[len(ratios) // 2])


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004 - three digits


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{'---|' * len(rows[0])}")
    return "\n".join(lines)


def rst(rows: Sequence[Sequence[str]]) -> str:
    """Write a table in reStructuredText; the first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(row)]
    return "\n".join(lines)


def main() -> None:
    """Print every table of the files, after the machine that they come from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rst", action="store_true", help="instead of Markdown")
    given = parser.parse_args()
    write = rst if given.rst else markdown
    machines: list[Any] = []
    for file in given.files:
        found = json.loads(file.read_text())
        if found["machine"] not in machines:
            machines.append(found["machine"])
            print(", ".join(f"{name} {value}" for name, value in found["machine"].items()), "\n")
        for title, table in found["figures"].items():
            print(title, "\n")
            print(write(rows_of(table)), "\n")


if __name__ == "__main__":
    main()
