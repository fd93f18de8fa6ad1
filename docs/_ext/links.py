"""Checks the links of the built pages: `python -m docs._ext.links FOLDER`.

A link within the pages has to lead to a file that exists, and its anchor to an element of it.
Of links to other servers only the form is checked: the check needs no network.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ABROAD = re.compile(r"(https?://[\w.-]+\.[a-z]{2,}(:\d+)?(/\S*)?|mailto:\S+@\S+\.\S+)")
ANCHORS = ("id", "name", "data-moment")
"""Attributes that name a place in a page; a moment is one that the replay's script goes to."""

NO_LINKS = ("data:", "#", "javascript:")
EXAMPLES = re.compile(r"https?://(127\.0\.0\.1|localhost|proxy)\b.*")
"""Addresses that texts have as examples, and that Sphinx makes links of."""


class _Page(HTMLParser):
    """Collects a page's links, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag leads to, loads or is called."""
        given = dict(attrs)
        self.anchors.update(value for name in ANCHORS if (value := given.get(name)))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        elif tag == "link" and given.get("rel") in {"stylesheet", "icon", "preload"}:
            self.loaded.append(given.get("href") or "")
        elif given.get("src"):
            self.loaded.append(given["src"] or "")


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def faults(folder: Path) -> list[str]:
    """Return the links of a folder of pages that lead nowhere, each with its page."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        if "_modules" in path.parts:
            # Sources, whose links back are Sphinx's affair.
            continue
        page = _read(path)
        wrong = [each for each in page.links if not _leads_somewhere(path, each)]
        # The pages are read offline, too, and tell no other server of it.
        wrong += [each for each in page.loaded if not _is_here(path, each)]
        found += [f"{path.relative_to(folder)}: {each}" for each in wrong]
    return found


def _leads_somewhere(page: Path, link: str) -> bool:
    if ABROAD.fullmatch(link) or EXAMPLES.fullmatch(link):
        return True
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if not target.is_file():
        return False
    # An anchor of a script's is not in the page.
    if target.suffix != ".html" or not parts.fragment:
        return True
    return unquote(parts.fragment) in _read(target).anchors


def _is_here(page: Path, loaded: str) -> bool:
    if loaded.startswith(NO_LINKS):
        return True
    parts = urlsplit(loaded)
    return not parts.netloc and (page.parent / unquote(parts.path)).resolve().is_file()


def main() -> int:
    """Print what is wrong; return the exit status."""
    folder = Path(sys.argv[1])
    found = faults(folder)
    sys.stdout.write("".join(f"{each}\n" for each in found))
    if not any(folder.rglob("*.html")):
        sys.stdout.write(f"{folder} has no pages\n")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
