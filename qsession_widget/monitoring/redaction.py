"""Keeps what identifies an account out of what is shown, since notebooks are saved and shared."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "[hidden]"

_SECRET = re.compile(
    # An instance's name on IBM Cloud, which holds the account's id.
    # A backslash ends it: where the text is JSON, it escapes the letter that follows.
    r"crn:v\d[^\s\\\"'<>,;)\]}]*"
    r"|(?<=Bearer )[^\s\\\"'<>]+"
    r"|(?<=apikey )[^\s\\\"'<>]+"
    # Keys and tokens: 43 characters of a runtime's, 44 of IBM's; ids of jobs have 20, UUIDs 36.
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{43,}(?![\w-])",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Give a text of a service with all that looks like a CRN or a credential hidden."""
    return _SECRET.sub(HIDDEN, text)


def without_secrets_in(value: Any) -> Any:
    """Give a JSON value with all that looks like a secret hidden in its texts and names.

    What is no text stays as it is: hiding parts of the encoded whole could leave no JSON.
    """
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {
            without_secrets(str(name)): without_secrets_in(each) for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets_in(each) for each in value]
    return value
