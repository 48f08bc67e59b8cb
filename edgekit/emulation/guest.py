"""Run a model in the guest: the real aarch64 runtime, on the target's clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from edgekit.core.artifact import Format
from edgekit.core.process import GIB, Finished, Limits, run_program
from edgekit.core.scratch import scratch_folder
from edgekit.core.target import Board, Runtime, Target
from edgekit.core.tensors import Array
from edgekit.core.workspace import digest
from edgekit.emulation.board_machine import board_of, machine_of
from edgekit.emulation.counters import Counters, read_counters
from edgekit.emulation.identity import identity_of
from edgekit.emulation.operators import (
    OperatorCycles,
    operators_of_onnxruntime,
    operators_of_tflite,
)
from edgekit.emulation.pins import pins
from edgekit.emulation.setup import Emulator, emulator, emulator_workspace
from edgekit.emulation.sysfs import write_board_files
from edgekit.emulation.toolchain import build_plugin, build_runner
from edgekit.errors import TargetUnavailableError, UnsupportedError

_ROOTS = "emulator-roots"
_LONGEST_LINE = 4000
_MEMORY_OF_QEMU = 2 * GIB


class _GuestExit(Enum):
    """Why a runner gave up; the numbers are those of native/guest.h."""

    LIBRARY = 10
    MODEL = 11
    RUN = 12
    REQUEST = 13
    OUTPUT = 14


@dataclass(frozen=True)
class Work:
    """What the guest is to do.

    Attributes:
        model: The model file; what it refers to lies beside it.
        sha256: The digest of it and of what it refers to.
        format: Its format, which decides the runtime.
        inputs: One array `[calls, ...]` an input, what one inference takes behind axis 0.
        warmup: Inferences before the counted ones.
        runs: Counted inferences; inference i takes entry i, modulo the calls.
        profiled: Inferences under the runtime's own profiler, after the counted ones.
    """

    model: Path
    sha256: str
    format: Format
    inputs: Mapping[str, Array]
    warmup: int
    runs: int
    profiled: int


@dataclass(frozen=True)
class GuestRun:
    """What a run in the guest took. Cycles are those of the target's core."""

    runtime_version: str
    memory_bytes: int
    operators: tuple[OperatorCycles, ...]
    counters: Counters


def run_in_guest(work: Work, target: Target, *, wall_s: float) -> tuple[GuestRun, dict[str, Array]]:
    """Run `work` on the emulated `target`; return what it took and the outputs, `[calls, ...]`.

    Raises:
        UnsupportedError: The target's core is not known, or the input cannot be handed over.
        MissingExtraError: There is no compiler for the emulator's C parts.
        TargetUnavailableError: The emulator is not set up, the runtime refuses the model, the
            guest crashed, or it did not finish in time.
    """
    board = board_of(target)
    machine = emulator()
    runtime = target.runtime_of(work.format)
    with scratch_folder("guest") as scratch:
        (scratch / "machine").write_text(machine_of(target), encoding="ascii")
        (scratch / "plugin.so").symlink_to(build_plugin())
        (scratch / "runner").symlink_to(build_runner(runtime.value))
        (scratch / "library.so").symlink_to(machine.library(runtime.value))
        (scratch / "root").symlink_to(_root(machine, board))
        (scratch / "models").symlink_to(work.model.resolve().parent)
        (scratch / "out").mkdir()
        _write_request(work, scratch)
        finished = _finish(_command(machine, work, board), work, board, scratch, wall_s)
        _check(finished, work)
        return _read(work, runtime, scratch), _outputs(scratch / "out")


def _finish(command: list[str], work: Work, board: Board, scratch: Path, wall_s: float) -> Finished:
    try:
        return run_program(
            command,
            wall_s=wall_s,
            directory=scratch,
            # Nothing of this machine's environment reaches the guest: its size would show in
            # the counts.
            environment={"EDGEKIT_CLOCK": "clock", "ORT_DISABLE_TELEMETRY": "1"},
            limits=Limits(memory_bytes=board.ram + _MEMORY_OF_QEMU, cpu_s=int(wall_s) + 60),
        )
    except TargetUnavailableError as error:
        raise TargetUnavailableError(
            f"{work.model.name}: the emulated run did not finish within {wall_s:.0f} s",
            hint="allow more with --timeout, or try a smaller input: emulation takes about a "
            "hundred times as long as the board",
        ) from error


def _command(machine: Emulator, work: Work, board: Board) -> list[str]:
    # Names relative to the scratch folder: QEMU splits a plugin's arguments at commas, which a
    # path may hold, and the guest's stack must look the same wherever it runs.
    plugin = "./plugin.so,machine=machine,clock=clock,out=counters"
    options = ["-cpu", identity_of(board.core).qemu_cpu, "-L", "root", "-plugin", plugin]
    model = f"models/{work.model.resolve().name}"
    return [*machine.qemu.command, *options, "./runner", "./library.so", model, "request", "out"]


def _root(machine: Emulator, board: Board) -> Path:
    """Return the folder in which the guest finds its libraries and its board."""

    def make(folder: Path) -> None:
        for name in ("lib", "usr"):
            if (machine.guest / name).is_dir():
                (folder / name).symlink_to(machine.guest / name)
        write_board_files(board, folder)

    return emulator_workspace().produce(_ROOTS, digest(board, machine.guest), make)


def _write_request(work: Work, scratch: Path) -> None:
    calls = {len(array) for array in work.inputs.values()}
    assert len(calls) == 1, "every input has as many entries as there are calls"
    lines = [f"warmup {work.warmup}", f"runs {work.runs}", f"profile {work.profiled}"]
    lines.append(f"samples {calls.pop()}")
    for index, (name, array) in enumerate(work.inputs.items()):
        shape = " ".join(str(size) for size in (array.ndim - 1, *array.shape[1:]))
        line = f"input {array.dtype} {shape} input{index} {name}"
        if re.search(r"[\0\n\r]", name) or len(line) > _LONGEST_LINE:
            raise UnsupportedError(
                f"the input name {name[:60]!r} cannot be handed to the emulator",
                hint="rename it: a name has one line of at most 4000 characters",
            )
        lines.append(line)
        np.ascontiguousarray(array).tofile(scratch / f"input{index}")
    (scratch / "request").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check(finished: Finished, work: Work) -> None:
    """Turn the end of a guest that failed into the error that says why.

    Raises:
        TargetUnavailableError: It did not end well.
    """
    if finished.returncode == 0:
        return
    said = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
    last = said[-1][-500:] if said else "it said nothing"
    known = {each.value: each for each in _GuestExit}
    hints = {
        _GuestExit.LIBRARY: "run 'edgekit emulator remove' and 'edgekit emulator setup' again",
        _GuestExit.MODEL: "the board's runtime would refuse it too: use operators and types that "
        "this version has, or export again",
        _GuestExit.RUN: "the board's runtime would fail on it too; try the model on this machine "
        "with --target host",
        _GuestExit.REQUEST: "pass samples that fit the model's inputs",
        _GuestExit.OUTPUT: "free some disk space",
    }
    found = known.get(finished.returncode)
    if found is not None:
        raise TargetUnavailableError(f"{work.model.name}: {last}", hint=hints[found])
    signal = re.search(r"uncaught target signal (\d+) \(([^)]*)\)", finished.stderr)
    how = f"crashed: {signal.group(2)}" if signal else f"ended with code {finished.returncode}"
    raise TargetUnavailableError(
        f"{work.model.name}: the emulated run {how} ({last})",
        hint="try the model on this machine with --target host; if it runs there, report this",
    )


def _read(work: Work, runtime: Runtime, scratch: Path) -> GuestRun:
    out = scratch / "out"
    lines = (out / "result").read_text(encoding="utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines)
    operators: tuple[OperatorCycles, ...] = ()
    if work.profiled and runtime.format is Format.TFLITE:
        operators = operators_of_tflite(out / "events", work.profiled)
    elif work.profiled:
        profile = next(iter(out.glob("profile*.json")), out / "profile.json")
        operators = operators_of_onnxruntime(profile, work.warmup, work.profiled)
    return GuestRun(
        runtime_version=said.get("version", pins().library[runtime.value].version),
        memory_bytes=int(said["memory_kib"]) * 1024,
        operators=operators,
        counters=read_counters(scratch / "counters"),
    )


def _outputs(out: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for line in (out / "outputs").read_text(encoding="utf-8").splitlines():
        dtype, rank, rest = line.split(" ", 2)
        *dims, file, name = rest.split(" ", int(rank) + 1)
        flat: Array = np.fromfile(out / file, dtype=np.dtype(dtype))
        found[name] = flat.reshape(-1, *(int(dim) for dim in dims))
    return found
