"""Operator times from the profile that onnxruntime writes."""

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from edgekit.core.results import OperatorTime, Unavailable
from edgekit.core.scratch import scratch_folder
from edgekit.profiling.operator_times import FEWEST_RUNS, MOST_RUNS, operator_rows
from edgekit.profiling.timing import Row
from edgekit.runtimes.engines.onnxruntime import refusing, session_options

_WARM_UP = 3
_KERNEL_SUFFIX = "_kernel_time"
_INFERENCE = "model_run"


@dataclass(frozen=True)
class OnnxRuntimeOperators:
    """Reads onnxruntime's own profiling file; it counts in whole microseconds."""

    def time(
        self, path: Path, rows: Sequence[Row], threads: int, limit_s: float
    ) -> tuple[OperatorTime, ...] | Unavailable:
        """Return typical operator times; see `OperatorTimer.time`.

        Args:
            path: The model file.
            rows: Single samples, shape `[1, ...]` an input.
            threads: Threads an inference may use.
            limit_s: When to stop.

        Raises:
            InputRefusedError: The model fails on the samples.
            UnsupportedError: onnxruntime lacks a kernel.
        """
        with scratch_folder("profile") as folder:
            options = session_options(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")
            with refusing(path.name):
                session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                deadline = time.perf_counter() + limit_s
                for done, row in enumerate(itertools.cycle(rows)):
                    enough = done >= _WARM_UP + FEWEST_RUNS
                    if done >= MOST_RUNS or (enough and time.perf_counter() > deadline):
                        break
                    session.run(None, row)
            written = Path(session.end_profiling()).read_text(encoding="utf-8")
        try:
            events = json.loads(written)
        except json.JSONDecodeError:
            # onnxruntime does not look whether its writing succeeds.
            return Unavailable("onnxruntime's profile is cut off: is the temporary folder full?")
        return summarize(events, _WARM_UP)


def summarize(
    events: Iterable[Mapping[str, object]], warm_up: int
) -> tuple[OperatorTime, ...] | Unavailable:
    """Add up the kernel events of a profile, leaving out the first `warm_up` inferences."""
    spans = sorted((_span(event) for event in events), key=lambda span: (span.start, -span.end))
    durations_ns: dict[tuple[str, str], list[float]] = defaultdict(list)
    inferences = 0
    enclosing: list[_Span] = []
    for span in spans:
        if span.name == _INFERENCE:
            inferences += 1
        if inferences <= warm_up or not span.op_type:
            continue
        durations_ns[span.key].append(span.duration_ns)
        while enclosing and enclosing[-1].end <= span.start:
            enclosing.pop()
        if enclosing:
            # The body of an If or a Loop is counted by its own operators.
            durations_ns[enclosing[-1].key][-1] -= span.duration_ns
        enclosing.append(span)
    if not durations_ns:
        return Unavailable("onnxruntime's profile holds no operator")
    return operator_rows(durations_ns, inferences - warm_up)


@dataclass(frozen=True)
class _Span:
    """An event, from `start` to `end` in microseconds; only kernels have an `op_type`."""

    name: str
    op_type: str
    start: float
    end: float

    @property
    def key(self) -> tuple[str, str]:
        return self.name.removesuffix(_KERNEL_SUFFIX), self.op_type

    @property
    def duration_ns(self) -> float:
        return 1000 * (self.end - self.start)


def _span(event: Mapping[str, object]) -> _Span:
    name, arguments = str(event.get("name")), event.get("args")
    is_kernel = name.endswith(_KERNEL_SUFFIX) and isinstance(arguments, dict)
    op_type = str(arguments.get("op_name")) if isinstance(arguments, dict) and is_kernel else ""
    start, duration = event.get("ts"), event.get("dur")
    assert isinstance(start, int | float)
    assert isinstance(duration, int | float)
    return _Span(name, op_type, start, start + duration)
