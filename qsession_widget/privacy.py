"""Keeps what identifies an account out of what is shown, since notebooks are saved and shared."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"

_SECRET = re.compile(
    # An instance's name on IBM Cloud, which holds the account's id.
    r"crn:v\d[^\s\"'<>,;)\]}]*"
    r"|(?<=Bearer )[^\s\"'<>]+"
    r"|(?<=apikey )[^\s\"'<>]+"
    # Keys and tokens: 43 characters of a runtime's, 44 of IBM's; ids of jobs have 20, UUIDs 36.
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{43,}(?![\w-])",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Give a text of a service with all that looks like a CRN or a credential hidden."""
    return _SECRET.sub(HIDDEN, text)
