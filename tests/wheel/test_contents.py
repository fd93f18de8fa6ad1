"""The contents of the wheel: everything a user needs, freshly built, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
LABEXTENSION = "share/jupyter/labextensions/qsession-widget"
SERVER_CONFIG = "etc/jupyter/jupyter_server_config.d/qsession-widget.json"


def test_contents(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        data = next(name for name in names if name.endswith("install.json")).split("/")[0]
        for built in ("widget.js", "widget.css", "card.js", "card.css"):
            shipped = archive.read(f"qsession_widget/panel/static/{built}")
            # A stale build would ship unnoticed, so the wheel is compared with the tree.
            assert shipped == (ROOT / "qsession_widget/panel/static" / built).read_bytes()
        prefix = f"{data}/data/{LABEXTENSION}"
        extension = json.loads(archive.read(f"{prefix}/package.json"))
        install = json.loads(archive.read(f"{prefix}/install.json"))
        server = json.loads(archive.read(f"{data}/data/{SERVER_CONFIG}"))
    assert extension["jupyterlab"]["_build"]["load"] in {
        name.removeprefix(f"{prefix}/") for name in names
    }
    assert install["packageName"] == "qsession-widget"
    (enabled,) = server["ServerApp"]["jpserver_extensions"]
    assert f"{enabled.replace('.', '/')}/handlers.py" in names
    needed = {
        "qsession_widget/py.typed",
        "qsession_widget/examples/quickstart.ipynb",
        "qsession_widget/runtime/simulator.json",
        "qsession_widget/runtime/store/migrations/env.py",
        "qsession_widget/runtime/store/migrations/versions/0001_sessions_and_jobs.py",
    }
    assert needed <= set(names)
    foreign = [
        name for name in names if re.match(r"(js|tests|docs|benchmarks|node_modules)/", name)
    ]
    assert foreign == []
