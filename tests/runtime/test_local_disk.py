"""Where the store lies: on a disk of this machine, whatever holds the runtime's folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from qsession_widget.runtime.local_disk import Machine, NoLocalDiskError, temporary_folders

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def machine(tmp_path: Path, *mounts: tuple[str, str], at: tuple[Path, ...] = ()) -> Machine:
    """Return a machine with a local disk, further mounts of a point and a type, and folders."""
    lines = [
        f"{number} 27 0:{number} / {point} rw,relatime shared:{number} - {kind} server:/x rw"
        for number, (point, kind) in enumerate(mounts, start=30)
    ]
    table = tmp_path / "mountinfo"
    table.write_text("\n".join([ROOT, *lines]) + "\n")
    return Machine(table, at)


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "lustre", "cifs", "smb3", "fuse", "fuse.sshfs", "ceph", "gpfs"]
)
def test_network_file_systems_are_known(tmp_path: Path, kind: str) -> None:
    assert machine(tmp_path, ("/home", kind)).network_type(tmp_path / "x") is None
    here = machine(tmp_path, (str(tmp_path), kind))
    assert here.network_type(tmp_path / "new" / "folder") == kind


@pytest.mark.parametrize("kind", ["xfs", "overlay", "tmpfs", "zfs", "fuseblk", "fuse.gocryptfs"])
def test_local_ones_are_too(tmp_path: Path, kind: str) -> None:
    here = machine(tmp_path, (str(tmp_path), kind))
    assert here.network_type(tmp_path) is None
    assert here.store_home(tmp_path) == tmp_path


def test_the_deepest_mount_decides_and_a_later_one_hides_an_earlier(tmp_path: Path) -> None:
    inner = tmp_path / "a b"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    nested = machine(tmp_path, (escaped, "xfs"), (str(tmp_path), "nfs4"))
    assert (nested.network_type(inner), nested.network_type(tmp_path)) == (None, "nfs4")
    assert nested.network_type(tmp_path / "a b, too") == "nfs4"
    over = machine(tmp_path, (str(tmp_path), "autofs"), (str(tmp_path), "nfs4"))
    assert over.network_type(tmp_path) == "nfs4"


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "far")
    here = machine(tmp_path, (str(tmp_path / "far"), "nfs"))
    assert here.network_type(tmp_path / "home" / "x") == "nfs"


def test_without_a_table_every_disk_is_local(tmp_path: Path) -> None:
    assert Machine(tmp_path / "nowhere").store_home(tmp_path) == tmp_path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a home and two folders for temporary files."""
    found = tmp_path / "home", tmp_path / "run", tmp_path / "tmp"
    for each in found:
        each.mkdir()
    return found


def test_the_store_moves_to_a_private_folder_on_a_local_disk(
    tmp_path: Path, folders: tuple[Path, Path, Path]
) -> None:
    home, run, temporary = folders
    here = machine(
        tmp_path, (str(tmp_path / "h"), "nfs4"), (str(home), "nfs4"), at=(run, temporary)
    )
    found = here.store_home(home)
    assert found.parent == run
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert here.store_home(home) == found
    (home / "inner").mkdir()
    assert here.store_home(home / "inner") != found, "one for each folder of a runtime"
    far = machine(tmp_path, (str(home), "nfs4"), (str(run), "nfs4"), at=(run, temporary))
    assert far.store_home(home).parent == temporary


def test_a_store_is_found_where_it_was_begun(
    tmp_path: Path, folders: tuple[Path, Path, Path]
) -> None:
    home, run, temporary = folders
    begun = machine(tmp_path, (str(home), "nfs"), at=(temporary,)).store_home(home)
    assert begun.parent == temporary
    assert machine(tmp_path, (str(home), "nfs"), at=(run, temporary)).store_home(home) == begun


def test_a_folder_that_others_can_open_is_not_taken(
    tmp_path: Path, folders: tuple[Path, Path, Path]
) -> None:
    home, run, temporary = folders
    here = machine(tmp_path, (str(home), "nfs"), at=(run, tmp_path / "nowhere", temporary))
    first = here.store_home(home)
    assert first.parent == run
    first.chmod(0o750)
    assert here.store_home(home).parent == temporary
    first.rmdir()
    first.symlink_to(tmp_path)
    assert here.store_home(home).parent == temporary


def test_where_no_disk_is_local_it_is_refused(
    tmp_path: Path, folders: tuple[Path, Path, Path]
) -> None:
    home, run, temporary = folders
    here = machine(tmp_path, (str(tmp_path), "nfs4"), at=(run, temporary))
    with pytest.raises(NoLocalDiskError, match=r"\(nfs4\).*TMPDIR.*QSESSION_HOME"):
        here.store_home(home)
    assert not list(run.iterdir())


def test_the_folders_for_temporary_files_come_from_the_environment() -> None:
    mine, usual = Path(f"/run/user/{os.geteuid()}"), Path("/tmp")  # noqa: S108 - only compared
    assert temporary_folders({}) == (mine, usual)
    given = {"XDG_RUNTIME_DIR": "/run/x", "TMPDIR": "/scratch/1"}
    assert temporary_folders(given) == (Path("/run/x"), mine, Path("/scratch/1"), usual)
    assert temporary_folders({"TMPDIR": "relative", "XDG_RUNTIME_DIR": str(mine)}) == (mine, usual)
