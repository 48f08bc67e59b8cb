import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.child_tasks import DO, DO_KEPT, Deed, Outcome

from edgekit.core import process
from edgekit.core.process import Limits, Task
from edgekit.errors import (
    EdgekitError,
    InputRefusedError,
    StorageError,
    TargetUnavailableError,
    UnsupportedError,
)

TESTS = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _children_find_the_support_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


DoTask = Task[Deed, Outcome]


@pytest.fixture(params=[DO, DO_KEPT], ids=["spawned", "forked"])
def do(request: pytest.FixtureRequest) -> DoTask:
    task: DoTask = request.param
    return task


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int, str]] = []

    def update(self, step: str, done: int, total: int, note: str = "") -> None:
        self.seen.append((step, done, total, note))


def test_response_of_the_child_comes_back_typed(do: DoTask) -> None:
    outcome = process.call(do, Deed("echo", "żółw"), limits=Limits())

    assert outcome == Outcome("żółw")


def test_progress_of_the_child_reaches_the_caller(do: DoTask) -> None:
    recorder = Recorder()

    process.call(do, Deed("echo"), limits=Limits(), progress=recorder)

    assert recorder.seen == [("echo", 1, 2, "half way")]


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"])
def test_crash_of_the_child_is_an_error_that_names_the_signal(do: DoTask, name: str) -> None:
    with pytest.raises(InputRefusedError, match=name) as caught:
        process.call(do, Deed("signal", name), limits=Limits())

    assert caught.value.exit_code == 3


@pytest.mark.parametrize("code", ["0", "3"])
def test_a_child_that_ends_itself_did_not_do_its_work(do: DoTask, code: str) -> None:
    with pytest.raises(InputRefusedError, match=f"ended with code {code} before it was done"):
        process.call(do, Deed("end", code), limits=Limits())


def test_a_child_that_closes_its_output_still_answers(do: DoTask) -> None:
    assert process.call(do, Deed("close output"), limits=Limits()) == Outcome("None")


def test_killed_child_is_suspected_to_have_run_out_of_memory(do: DoTask) -> None:
    with pytest.raises(InputRefusedError, match="ran out of memory"):
        process.call(do, Deed("signal", "SIGKILL"), limits=Limits())


def test_memory_limit_ends_the_work_and_says_the_limit(do: DoTask) -> None:
    limits = Limits(memory_bytes=process.GIB)

    with pytest.raises(InputRefusedError, match=r"more than the 1\.0 GiB"):
        process.call(do, Deed("exhaust memory"), limits=limits)


def test_wall_clock_limit_ends_the_child_as_a_time_out(do: DoTask) -> None:
    started = time.monotonic()

    with pytest.raises(TargetUnavailableError, match="within 1 s") as caught:
        process.call(do, Deed("sleep"), limits=Limits(wall_s=1.0))

    assert caught.value.exit_code == 5
    assert time.monotonic() - started < 30  # far from the 60 s the child would have slept


def test_processor_limit_ends_the_child(do: DoTask) -> None:
    with pytest.raises(InputRefusedError, match="processor time"):
        process.call(do, Deed("spin"), limits=Limits(cpu_s=1))


def test_file_limit_stops_a_child_that_writes_too_much(do: DoTask, tmp_path: Path) -> None:
    limits = Limits(file_bytes=2**20)

    with pytest.raises(StorageError, match="larger than a step may write"):
        process.call(do, Deed("write", str(tmp_path / "big")), limits=limits)


def test_error_of_the_task_is_raised_here_with_its_hint(do: DoTask) -> None:
    with pytest.raises(InputRefusedError) as caught:
        process.call(do, Deed("refuse"), limits=Limits())

    assert (caught.value.message, caught.value.hint) == ("no", "do this")


def test_bug_in_the_task_is_no_user_error_and_keeps_its_traceback(do: DoTask) -> None:
    with pytest.raises(process.ChildFailedError, match="KeyError: 'surprise'") as caught:
        process.call(do, Deed("raise", "surprise"), limits=Limits())

    assert not isinstance(caught.value, EdgekitError)


def test_telemetry_is_off_in_every_child(do: DoTask) -> None:
    outcome = process.call(do, Deed("environment", "ORT_DISABLE_TELEMETRY"), limits=Limits())

    assert outcome.text == "1"


def test_child_dies_with_a_parent_that_is_killed(do: DoTask, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "from support.child_tasks import DO, DO_KEPT, Deed\n"
        "from edgekit.core import process\n"
        f"deed = Deed('tell pid', {str(note)!r})\n"
        f"process.call({'DO_KEPT' if do.kept else 'DO'}, deed, limits=process.Limits())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    _wait_until(note.exists)
    _wait_until(lambda: note.read_text(encoding="utf-8") != "")
    child_pid = int(note.read_text(encoding="utf-8"))

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    _wait_until(lambda: not _alive(child_pid))


def test_program_output_and_exit_code_are_returned() -> None:
    finished = process.run_program(["sh", "-c", "echo out; echo err >&2; exit 3"], wall_s=10)

    assert finished == process.Finished(3, "out\n", "err\n")


def test_unknown_program_is_named() -> None:
    with pytest.raises(UnsupportedError, match="no-such-program"):
        process.run_program(["no-such-program"], wall_s=10)


def test_program_that_hangs_is_stopped_with_everything_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    with pytest.raises(TargetUnavailableError, match="did not finish"):
        process.run_program(
            ["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], wall_s=1, directory=tmp_path
        )

    _wait_until(lambda: not _alive(int(note.read_text(encoding="utf-8"))))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")
def test_program_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    # Bare, as the emulator is: no environment, and a folder of its own.
    code = (
        "from pathlib import Path\n"
        "from edgekit.core.process import run_program\n"
        f"argv = ['/bin/sh', '-c', 'echo $$ > {note}; exec sleep 60']\n"
        f"run_program(argv, wall_s=60, environment={{}}, directory=Path({str(tmp_path)!r}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    _wait_until(lambda: note.exists() and note.read_text(encoding="utf-8").endswith("\n"))
    program_pid = int(note.read_text(encoding="utf-8"))
    assert _alive(program_pid)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    _wait_until(lambda: not _alive(program_pid))


@pytest.mark.parametrize("setpriv", ["", "echo 'unknown option' >&2; exit 1"])
def test_program_runs_where_no_setpriv_ties_it_to_us(
    setpriv: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setpriv:
        (tmp_path / "setpriv").write_text(f"#!/bin/sh\n{setpriv}\n", encoding="utf-8")
        (tmp_path / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    process._tied_to_us.cache_clear()
    try:
        finished = process.run_program(["/bin/sh", "-c", "echo done"], wall_s=10)
    finally:
        process._tied_to_us.cache_clear()

    assert finished.stdout == "done\n"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has reaped yet still answers to signal 0.
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    return state != "Z"


def _wait_until(condition: object, patience_s: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
