"""Redacts what identifies an account, since notebooks are saved and shared."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "[hidden]"

_SECRET = re.compile(
    # The name of an instance on IBM Cloud, which contains the account's id.
    # A backslash ends it: if the text is JSON, it escapes the letter that follows.
    r"crn:v\d[^\s\\\"'<>,;)\]}]*"
    r"|(?<=Bearer )[^\s\\\"'<>]+"
    r"|(?<=apikey )[^\s\\\"'<>]+"
    # Keys and tokens: a runtime's have 43 characters, IBM's 44; job ids have 20, UUIDs 36.
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{43,}(?![\w-])",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return a service's text with everything hidden that looks like a CRN or a credential."""
    return _SECRET.sub(HIDDEN, text)


def without_secrets_in(value: Any) -> Any:
    """Return a JSON value with everything hidden that looks like a secret, in values and names.

    It is done string by string: hiding parts of the encoded whole could leave invalid JSON.
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
