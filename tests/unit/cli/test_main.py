"""How a command ends: its exit code, and what it says when something went wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Shell

from edgekit import __version__
from edgekit.cli.commands import target
from edgekit.core.process import ChildFailedError
from edgekit.errors import InputRefusedError, StorageError, TargetUnavailableError

EDGEKIT = [sys.executable, "-m", "edgekit"]


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `edgekit target list` fail with `error`."""

    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(target.list_targets, "callback", lambda **_: fail())


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell("--version").out == f"edgekit {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["recip"], "did you mean 'recipe'?"),
        (["target", "lst"], "did you mean 'list'?"),
        (["doctor", "--jsn"], "--json"),
        (["target", "show", "hots"], "did you mean 'host'?"),
    ],
)
def test_a_near_miss_names_the_right_one(
    shell: Shell, arguments: list[str], suggestion: str
) -> None:
    ran = shell(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert suggestion in ran.err


def test_what_is_near_nothing_suggests_nothing(shell: Shell) -> None:
    ran = shell("zzzz")

    assert ran.code == 2
    assert "did you mean" not in ran.err


@pytest.mark.parametrize("group", [[], ["target"], ["cache"]])
def test_a_group_alone_is_answered_with_its_help(shell: Shell, group: list[str]) -> None:
    ran = shell(*group)

    assert ran.code == 2
    assert ran.err.startswith("Usage: edgekit")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageError("full", hint="free some space"), 2),
        (InputRefusedError("malformed", hint="free some space"), 3),
        (TargetUnavailableError("gone", hint="free some space"), 5),
    ],
)
def test_an_error_is_told_with_its_hint_and_exit_code(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    error: StorageError | InputRefusedError | TargetUnavailableError,
    code: int,
) -> None:
    raising(error, monkeypatch)

    ran = shell("target", "list")

    assert (ran.code, ran.out) == (code, "")
    assert ran.err == f"error: {error.message}\nhint: free some space\n"


def test_with_json_an_error_is_one_document_on_stderr(shell: Shell) -> None:
    Path("broken.yaml").write_text("nmae: x\n")

    ran = shell("target", "validate", "broken.yaml", "--json")

    assert (ran.code, ran.out) == (2, "")
    assert ran.error["kind"] == "ConfigError"
    assert ran.error["exit_code"] == 2
    assert {problem["field"] for problem in ran.error["problems"]} >= {"nmae", "name"}
    assert {problem["line"] for problem in ran.error["problems"]} == {1}


@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), ChildFailedError("trace\noh")])
def test_a_bug_leaves_its_traceback_in_a_file(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raising(error, monkeypatch)

    ran = shell("target", "list")

    assert ran.code == 70
    assert "this is a bug in edgekit" in ran.err
    assert ran.err.count("\n") == 2
    found = re.search(r"traceback in (\S+)", ran.err)
    assert found is not None
    assert type(error).__name__ in Path(found[1]).read_text()


def test_a_bug_with_nowhere_to_write_shows_its_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    raising(ZeroDivisionError("oh"), monkeypatch)

    ran = shell("target", "list")

    assert ran.code == 70
    assert "Traceback (most recent call last)" in ran.err


def test_an_interrupt_says_what_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)

    ran = shell("target", "list")

    assert ran.code == 130
    assert "finished steps are kept" in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_a_command_as_an_interrupt_does(
    number: signal.Signals, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(target.list_targets, "callback", lambda **_: os.kill(os.getpid(), number))

    ran = shell("target", "list")

    assert ran.code == 130
    assert f"interrupted by {number.name}; finished steps are kept" in ran.err
    assert signal.getsignal(number) is before


def test_a_command_under_nohup_outlives_its_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        target.list_targets, "callback", lambda **_: os.kill(os.getpid(), signal.SIGHUP)
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ran = shell("target", "list")
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (ran.code, ran.err) == (0, "")


def test_a_reader_that_goes_away_is_no_reason_to_complain() -> None:
    script = "import os, sys; os.close(0)"
    reader = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    reader.wait(timeout=20)

    ran = subprocess.run(
        [*EDGEKIT, "recipe", "schema"],
        stdout=reader.stdin,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    assert reader.stdin is not None
    reader.stdin.close()
    assert ran.returncode == 128 + signal.SIGPIPE
    assert ran.stderr == b""


@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">/dev/full", 2, "error: what edgekit writes: the disk is full"),
    ],
)
def test_streams_that_take_nothing_are_no_bug(streams: str, code: int, said: str) -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {streams}', "sh", *EDGEKIT, "recipe", "schema"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr.partition("\n")[0]) == (code, said)


def test_the_help_imports_nothing_heavy() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edgekit", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()
    }
    assert "click" in imported
    assert imported.isdisjoint(
        {"numpy", "pydantic", "torch", "onnx", "onnxruntime", "ruamel", "rich"}
    )


def test_the_list_of_targets_imports_no_framework() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edgekit", "target", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()
    }
    assert imported.isdisjoint({"numpy", "torch", "onnx", "onnxruntime", "rich"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("target show ho", "host"),
        ("recip", "recipe"),
        ("target show zz", ""),
        ("check --bud", "--budget"),
        ("quantize --metric tok", "token_accuracy"),
    ],
)
def test_the_shell_completes_commands_options_and_names(
    line: str, expected: str, tmp_path: Path
) -> None:
    words = f"edgekit {line}"
    environment = os.environ | {
        "_EDGEKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }

    ran = subprocess.run(
        EDGEKIT,
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert expected in ran.stdout
