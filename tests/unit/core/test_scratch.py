"""Folders for work in progress are gone when their process is, however it ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.core.scratch import scratch_folder
from edgekit.errors import StorageError

OWNER = """
import sys
from edgekit.core.scratch import scratch_folder
with scratch_folder("test") as folder:
    (folder / "work").write_text("half done")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds a folder in `tmp_path`, whose path it prints."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        yield process
        process.kill()


def held(owner: subprocess.Popen[str]) -> Path:
    assert owner.stdout is not None
    return Path(owner.stdout.readline().strip())


def another(tmp_path: Path) -> None:
    """Let another process make a folder, and so sweep."""
    subprocess.run(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )


def test_a_folder_is_gone_after_its_body() -> None:
    with scratch_folder("test") as folder:
        assert folder.is_dir()

    assert not folder.exists()


def test_what_a_killed_process_left_is_swept_by_the_next(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    folder = held(owner)
    owner.send_signal(signal.SIGKILL)
    owner.wait(timeout=60)
    assert (folder / "work").is_file()

    another(tmp_path)

    assert not folder.exists()


def test_what_is_in_use_or_not_of_this_kind_stays(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    folder = held(owner)
    (tmp_path / "edgekit-notes").mkdir()
    (tmp_path / "edgekit-bug.txt").touch()

    another(tmp_path)

    assert (folder / "work").is_file()
    assert (tmp_path / "edgekit-notes").is_dir()
    assert (tmp_path / "edgekit-bug.txt").is_file()


def test_a_temporary_folder_that_cannot_be_written_to_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))

    with pytest.raises(StorageError, match="no such file or folder"), scratch_folder("test"):
        pass
