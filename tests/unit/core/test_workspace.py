import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.core.workspace import (
    Workspace,
    digest,
    refuse_overwrite,
    replacing,
    storage,
    write_atomic,
)
from edgekit.errors import StorageError


def test_result_is_made_once_and_found_afterwards(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "result").write_text("42", encoding="utf-8")

    first = workspace.produce("stage", "key", make)
    second = workspace.produce("stage", "key", make)

    assert first == second
    assert (second / "result").read_text(encoding="utf-8") == "42"
    assert len(made) == 1


def test_afresh_makes_a_result_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.produce("stage", "key", lambda f: _write(f / "result", "old"))

    place = workspace.produce("stage", "key", lambda f: _write(f / "result", "new"), afresh=True)

    assert (place / "result").read_text(encoding="utf-8") == "new"


def test_failed_step_leaves_nothing_behind(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half", encoding="utf-8")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        workspace.produce("stage", "key", fail)

    assert not workspace.has("stage", "key")
    assert [p for p in (tmp_path / "cache" / "stage").iterdir() if p.is_dir()] == []


def test_killed_writer_leaves_no_result_and_the_next_one_sweeps_up(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from edgekit.core.workspace import Workspace\n"
        "def make(folder):\n"
        "    (folder / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Workspace(Path({str(tmp_path)!r})).produce('stage', 'key', make)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    workspace = Workspace(tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert not workspace.has("stage", "key")

    place = workspace.produce("stage", "key", lambda f: _write(f / "result", "whole"))

    assert [p.name for p in place.iterdir()] == ["result"]
    assert [p for p in place.parent.iterdir() if p.is_dir()] == [place]


def test_two_processes_that_want_one_result_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    tally = tmp_path / "tally"
    workers = [
        context.Process(target=_produce_slowly, args=(str(tmp_path / "w"), str(tally)))
        for _ in range(3)
    ]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert tally.read_text(encoding="utf-8") == "x"


def test_whoever_waits_for_another_process_is_told(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_hold, args=(str(tmp_path),))
    other.start()
    holds = tmp_path / "holds"
    while not holds.exists():
        time.sleep(0.01)
    told: list[str] = []

    Workspace(tmp_path).produce("stage", "key", _nothing, waiting=lambda: told.append("waits"))

    other.join(60)
    assert told == ["waits"]


def test_entries_are_listed_oldest_use_first_and_can_be_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    old = workspace.produce("a", "old", lambda f: _write(f / "result", "123"))
    workspace.produce("b", "new", lambda f: _write(f / "result", "1"))
    os.utime(old, (1, 1))

    entries = workspace.entries()
    workspace.remove(entries[0])

    assert [(e.stage, e.key, e.size_bytes) for e in entries] == [("a", "old", 3), ("b", "new", 1)]
    assert [e.key for e in workspace.entries()] == ["new"]


def test_write_replaces_the_whole_file_with_the_usual_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, "old")

    write_atomic(path, b"new")

    assert path.read_bytes() == b"new"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert list(path.parent.iterdir()) == [path]


def test_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    with pytest.raises(RuntimeError), replacing(path) as partial:  # noqa: PT012
        partial.write_text("half", encoding="utf-8")
        raise RuntimeError

    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(StorageError, match="--force"):
        refuse_overwrite(path, force=False)

    refuse_overwrite(path, force=True)


def test_a_file_is_not_made_from_itself_even_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    (tmp_path / "link").symlink_to(path)

    with pytest.raises(StorageError, match="would be made from"):
        refuse_overwrite(tmp_path / "link", force=True, source=path)

    refuse_overwrite(tmp_path / "other", force=False, source=path)


def test_storage_error_names_the_path_and_the_cure(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"somewhere: the disk is full\n.*free some space"),
        storage(Path("somewhere")),
    ):
        raise OSError(28, "No space left on device")


def test_short_write_that_numpy_reports_is_a_full_disk() -> None:
    with pytest.raises(StorageError, match="the disk is full"), storage(Path("x")):
        raise OSError("262144 requested and 16352 written")


def test_storage_error_of_an_unlisted_kind_keeps_the_system_text() -> None:
    with pytest.raises(StorageError, match="Too many open files"), storage(Path("x")):
        raise OSError(24, "Too many open files")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A file system of one mebibyte, as root in a mount of its own or not at all."""
    place = tmp_path / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to mount a tmpfs")
        pytest.skip("mounting a small tmpfs needs root")
    return place


def test_full_disk_is_told_and_leaves_no_broken_file(tiny_disk: Path) -> None:
    try:
        write_atomic(tiny_disk / "kept", "kept")

        with pytest.raises(StorageError, match="the disk is full"):
            write_atomic(tiny_disk / "large", b"0" * 2**21)
        with pytest.raises(StorageError, match="the disk is full"):
            Workspace(tiny_disk).produce("stage", "key", lambda f: _write(f / "large", "0" * 2**21))

        left = [p.name for p in tiny_disk.rglob("*") if p.is_file()]
        assert sorted(left) == ["kept", "key.lock"]
    finally:
        subprocess.run(["umount", str(tiny_disk)], check=True)


def test_read_only_folder_is_told(tiny_disk: Path) -> None:
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)

        with pytest.raises(StorageError, match="read-only"):
            write_atomic(tiny_disk / "file", "x")
        with pytest.raises(StorageError, match="read-only"):
            Workspace(tiny_disk / "w").produce("stage", "key", lambda _: None)
    finally:
        subprocess.run(["umount", str(tiny_disk)], check=True)


def test_digest_tells_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest(1, "x") == digest(1, "x")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _produce_slowly(root: str, tally: str) -> None:
    def make(folder: Path) -> None:
        time.sleep(0.5)
        with Path(tally).open("a", encoding="utf-8") as file:
            file.write("x")
        (folder / "result").write_text("whole", encoding="utf-8")

    place = Workspace(Path(root)).produce("stage", "key", make)
    assert (place / "result").read_text(encoding="utf-8") == "whole"


def _hold(root: str) -> None:
    def make(_: Path) -> None:
        (Path(root) / "holds").touch()
        time.sleep(2)

    Workspace(Path(root)).produce("stage", "key", make)


def _nothing(_: Path) -> None:
    """Make an empty result."""
