"""Children forked from a process that is kept are as apart as spawned ones."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.child_tasks import DO_KEPT, Deed
from support.threaded_task import TASK

from edgekit.core import nursery, process
from edgekit.core.process import Limits
from edgekit.errors import InputRefusedError

TESTS = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not nursery.CAN_FORK, reason="children are spawned here")


@pytest.fixture(autouse=True)
def _an_empty_nursery(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    nursery.end_all_but(0)
    yield
    nursery.end_all_but(0)
    nursery._hopeless.clear()


def do(name: str, argument: str = "") -> str:
    return process.call(DO_KEPT, Deed(name, argument), limits=Limits()).text


def test_children_one_after_another_come_from_one_process() -> None:
    first, second = do("tell parent"), do("tell parent")

    assert first == second
    assert first != str(os.getpid())


def test_a_child_sees_nothing_of_what_another_did() -> None:
    assert do("remember", "a") == "aa"
    assert do("remember", "b") == "bb"


def test_a_child_has_the_folder_and_environment_of_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do("echo")
    monkeypatch.setenv("SAID_LATER", "yes")
    monkeypatch.chdir(tmp_path)

    assert do("environment", "SAID_LATER") == "yes"
    assert do("tell folder") == str(tmp_path)


def test_what_a_child_leaves_running_ends_with_it(tmp_path: Path) -> None:
    do("leave behind", str(tmp_path / "pid"))

    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    _wait_until_gone(pid)
    assert do("echo", "still here") == "still here"


def test_a_module_that_starts_threads_is_not_forked() -> None:
    for _ in range(2):
        outcome = process.call(TASK, Deed("done"), limits=Limits())

        assert outcome.text == "done"
    assert nursery._hopeless == {"support.threaded_task"}
    assert nursery._idle == []


def test_a_kept_process_that_was_killed_meanwhile_is_replaced() -> None:
    parent = int(do("tell parent"))
    os.kill(parent, signal.SIGKILL)
    _wait_until_gone(parent)

    assert do("echo", "again") == "again"
    assert int(do("tell parent")) != parent


def test_a_kept_process_killed_at_work_reads_as_a_killed_child() -> None:
    with pytest.raises(InputRefusedError, match="ran out of memory"):
        do("kill parent")

    assert do("echo", "again") == "again"


def test_few_are_kept_and_all_end_when_asked() -> None:
    held = [nursery.Nursery(f"absent_{number}", dict(os.environ)) for number in range(6)]
    nursery._idle.extend(held)

    nursery.end_all_but(4)

    assert nursery._idle == held[2:]
    nursery.end_all_but(0)
    assert [kept._process.returncode for kept in held] == [0] * 6


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
        if state == "Z":
            return
        assert time.monotonic() < deadline, "did not end in time"
        time.sleep(0.02)
