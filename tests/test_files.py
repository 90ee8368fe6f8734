import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from actor_critic.files import create_exclusively, link_durably, remove_temporaries, write_durably

OLD, NEW = b"old", b"new" * 100_000


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """A true fault: the kernel writes 1,000 bytes of a file and refuses the rest."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def refuse(*_: object) -> NoReturn:
    raise OSError(errno.EIO, "refused")


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed_while(call: str, folder: Path) -> None:
    """Run ``call`` on ``folder / "file"`` in a process that the kernel kills after 1,000 bytes of it are written."""
    pytest.importorskip("resource")
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        f"from actor_critic.files import {call}\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"{call}(Path(sys.argv[1]), b'new' * 100_000)"
    )
    result = subprocess.run([sys.executable, "-c", program, str(folder / "file")], check=False)
    assert result.returncode == -signal.SIGXFSZ


def test_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", NEW)
    write_durably(tmp_path / "file", OLD)
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What becomes durable, in order: the fsync of a file, of a folder, and renames."""
    found = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        found.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        found.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    return found


def test_content_is_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path, events: list[str]) -> None:
    write_durably(tmp_path / "file", NEW)
    assert events == ["300000 bytes", "rename", "folder"]


def test_link_syncs_the_folder_after_the_rename(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "source").write_bytes(NEW)
    link_durably(tmp_path / "source", tmp_path / "target")
    assert events == ["rename", "folder"]


def test_exclusive_creation_syncs_the_content_and_then_the_folder(tmp_path: Path, events: list[str]) -> None:
    create_exclusively(tmp_path / "file", NEW)
    assert events[0] == "300000 bytes"
    assert events[-1] == "folder"


def test_full_disk_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with small_disk(), pytest.raises(OSError, match="File too large"):
        write_durably(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("fault", "error"), [(refuse, OSError), (interrupt, KeyboardInterrupt)])
def test_failed_or_interrupted_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    fault: Callable[..., NoReturn],
    error: type[BaseException],
) -> None:
    (tmp_path / "file").write_bytes(OLD)
    monkeypatch.setattr(os, call, fault)
    with pytest.raises(error):
        write_durably(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


def test_kill_in_the_middle_of_a_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    killed_while("write_durably", tmp_path)
    assert (tmp_path / "file").read_bytes() == OLD
    # What the dead process could not remove has a name that no pattern for finished files meets.
    assert all(name == "file" or (name.startswith(".") and name.endswith(".tmp")) for name in names(tmp_path))


@pytest.mark.parametrize(("number", "is_error"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_no_system_could_sync_is_no_error_but_one_that_its_disk_refuses_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_error: bool
) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "refused")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    with pytest.raises(OSError, match="refused") if is_error else contextlib.nullcontext():
        write_durably(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW
    assert names(tmp_path) == ["file"]


def test_temporaries_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".file.12345.tmp", ".lock", "file", "file.tmp", ".notes.tmp"):
        (tmp_path / name).write_bytes(OLD)
    remove_temporaries(tmp_path)
    assert names(tmp_path) == [".lock", ".notes.tmp", "file", "file.tmp"]


@pytest.mark.parametrize("place", ["missing/file", "occupied/file"])
@pytest.mark.parametrize("write", [write_durably, create_exclusively])
def test_folder_that_is_none_is_an_error_and_leaves_nothing(
    tmp_path: Path, write: Callable[[Path, bytes], object], place: str
) -> None:
    (tmp_path / "occupied").write_bytes(OLD)
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        write(tmp_path / place, NEW)
    assert names(tmp_path) == ["occupied"]
    assert (tmp_path / "occupied").read_bytes() == OLD


def test_link_is_a_second_name_of_the_same_file_and_replaces_an_older_target(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(NEW)
    (tmp_path / "target").write_bytes(OLD)
    link_durably(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").samefile(tmp_path / "source")
    assert names(tmp_path) == ["source", "target"]


def test_linking_twice_changes_nothing_and_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(NEW)
    link_durably(tmp_path / "source", tmp_path / "target")
    link_durably(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").samefile(tmp_path / "source")
    assert names(tmp_path) == ["source", "target"]


def test_link_outlives_the_removal_and_replacement_of_its_source(tmp_path: Path) -> None:
    write_durably(tmp_path / "source", NEW)
    link_durably(tmp_path / "source", tmp_path / "target")
    write_durably(tmp_path / "source", OLD)
    assert (tmp_path / "target").read_bytes() == NEW


def test_file_system_without_hard_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(NEW)
    (tmp_path / "target").write_bytes(OLD)
    monkeypatch.setattr(os, "link", refuse)
    link_durably(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == NEW
    assert not (tmp_path / "target").samefile(tmp_path / "source")
    assert names(tmp_path) == ["source", "target"]


@pytest.mark.parametrize("has_links", [True, False])
def test_failed_link_leaves_the_old_target_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    (tmp_path / "source").write_bytes(NEW)
    (tmp_path / "target").write_bytes(OLD)
    monkeypatch.setattr(os, "replace", refuse)
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="refused"):
        link_durably(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == OLD
    assert names(tmp_path) == ["source", "target"]


def test_link_to_a_missing_source_leaves_the_old_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(OLD)
    with pytest.raises(FileNotFoundError):
        link_durably(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == OLD
    assert names(tmp_path) == ["target"]


def test_exclusive_creation_writes_once_and_never_over_anything(tmp_path: Path) -> None:
    assert create_exclusively(tmp_path / "file", NEW) is True
    assert create_exclusively(tmp_path / "file", OLD) is False
    assert (tmp_path / "file").read_bytes() == NEW
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert create_exclusively(tmp_path / "dangling", NEW) is False
    assert names(tmp_path) == ["dangling", "file"]


def test_exclusive_creation_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(), pytest.raises(OSError, match="File too large"):
        create_exclusively(tmp_path / "file", NEW)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("fault", "error"), [(refuse, OSError), (interrupt, KeyboardInterrupt)])
def test_failed_or_interrupted_exclusive_creation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., NoReturn], error: type[BaseException]
) -> None:
    monkeypatch.setattr(os, "fsync", fault)
    with pytest.raises(error):
        create_exclusively(tmp_path / "file", NEW)
    assert names(tmp_path) == []


def test_kill_in_the_middle_of_an_exclusive_creation_leaves_no_half_file(tmp_path: Path) -> None:
    killed_while("create_exclusively", tmp_path)
    assert "file" not in names(tmp_path)
