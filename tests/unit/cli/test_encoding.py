"""Commands print in every locale, and refuse names that are no text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Shell

CODE = """
import sys
from edgekit.cli.encoding import print_anywhere
print_anywhere()
print("12 µs – 13 µs → 模")
print("─…", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "out", "err"),
    [
        ("ascii", "12 us - 13 us -> ?\n", "-...\n"),
        ("iso-8859-1", "12 µs - 13 µs -> ?\n", "-...\n"),
        ("utf-8", "12 µs – 13 µs → 模\n", "─…\n"),
    ],
)
def test_what_an_encoding_lacks_is_said_plainly(encoding: str, out: str, err: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )

    assert ran.stdout.decode(encoding) == out
    assert ran.stderr.decode(encoding) == err


def test_a_name_that_is_no_text_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = Shell(capsys)("inspect", os.fsdecode(b"m\xff.onnx"))

    assert (ran.code, "PYTHONUTF8=1" in ran.err) == (2, True)


def test_a_folder_that_is_gone_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    ran = Shell(capsys)("recipe", "list")

    assert (ran.code, "called from is gone" in ran.err) == (2, True)
