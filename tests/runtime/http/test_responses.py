from __future__ import annotations

import json

from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.wire.documents import JobDocument


def test_documents_and_plain_values_are_encoded() -> None:
    content = {"jobs": [JobDocument(id="j", backend="b")], "text": "\xe9\n", "none": None}
    answer = JsonAnswer(content)
    assert answer.media_type == "application/json"
    assert json.loads(bytes(answer.body)) == {
        "jobs": [{"id": "j", "backend": "b"}],
        "text": "\xe9\n",
        "none": None,
    }
