import gc
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edgekit.core.results import LatencyKind
from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.profiling.settings import ProfileSettings
from edgekit.profiling.timing import time_sessions

SIGNATURE = Signature(
    (TensorSpec("x", DType.FLOAT32, ("batch", 2)),), (TensorSpec("y", DType.FLOAT32, (1, 2)),)
)
QUICK = ProfileSettings(runs=40, time_limit=0.4)


@dataclass
class Sleeper:
    """A model that takes a known time, and remembers what it was asked, and when."""

    takes_s: float = 0.0
    log: list[str] = field(default_factory=list)
    name: str = ""
    rows: list[Array] = field(default_factory=list)
    collecting: list[bool] = field(default_factory=list)
    signature: Signature = SIGNATURE
    version: str = "1"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.log.append(self.name)
        self.rows.append(inputs["x"])
        self.collecting.append(gc.isenabled())
        if self.takes_s:
            time.sleep(self.takes_s)
        return {"y": inputs["x"]}


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return save_samples(tmp_path, {"x": np.arange(8, dtype=np.float32).reshape(4, 2)})


def test_latency_is_the_time_an_inference_takes(samples: Samples) -> None:
    sessions = {"slow": Sleeper(0.004), "quick": Sleeper(0.001)}

    found = time_sessions(sessions, samples, QUICK, np.random.default_rng(0), threads=1)

    # A sleep never ends early, and on a busy machine it ends late.
    assert 4e6 <= found["slow"].low_ns <= found["slow"].median_ns <= found["slow"].high_ns
    assert 1e6 <= found["quick"].median_ns < found["slow"].median_ns
    assert found["slow"].p95_ns >= found["slow"].median_ns
    assert found["slow"].kind is LatencyKind.MEASURED
    assert found["quick"].runs == 40


def test_models_take_turns(samples: Samples) -> None:
    log: list[str] = []
    sessions = {name: Sleeper(0.0005, log, name) for name in ("a", "b")}

    time_sessions(sessions, samples, QUICK, np.random.default_rng(0), threads=1)

    timed = "".join(log[-80:])  # after the warm-up, 40 runs each
    changes = sum(one != other for one, other in itertools.pairwise(timed))
    assert changes >= 10  # one after the other would change once
    assert timed.count("a") == timed.count("b") == 40


def test_slow_model_gets_fewer_runs_and_says_so(samples: Samples) -> None:
    settings = ProfileSettings(runs=1000, time_limit=0.2)

    found = time_sessions(
        {"slow": Sleeper(0.02)}, samples, settings, np.random.default_rng(0), threads=1
    )

    assert 5 <= found["slow"].runs < 20


def test_model_that_gets_slower_is_cut_short(samples: Samples) -> None:
    @dataclass
    class Slowing(Sleeper):
        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            self.takes_s = 0.001 if len(self.rows) < 20 else 0.05
            return super().run(inputs)

    settings = ProfileSettings(runs=100, time_limit=0.3)
    slowing = Slowing()

    found = time_sessions({"x": slowing}, samples, settings, np.random.default_rng(0), threads=1)

    assert found["x"].runs < 100
    # Counted, not timed: a busy machine makes fewer runs, never more.
    assert len(slowing.rows) < 60


def test_inference_shorter_than_the_clock_is_repeated(samples: Samples) -> None:
    session = Sleeper()

    found = time_sessions({"x": session}, samples, QUICK, np.random.default_rng(0), threads=1)

    assert len(session.rows) > 2 * found["x"].runs
    assert found["x"].median_ns < 20_000


def test_real_samples_are_fed_one_by_one(samples: Samples) -> None:
    session = Sleeper(0.0005)

    time_sessions({"x": session}, samples, QUICK, np.random.default_rng(0), threads=1)

    assert {row.shape for row in session.rows} == {(1, 2)}
    assert {float(row[0, 0]) for row in session.rows} == {0.0, 2.0, 4.0, 6.0}


def test_garbage_collector_is_off_while_timing_and_on_again_after(samples: Samples) -> None:
    session = Sleeper(0.0005)

    time_sessions({"x": session}, samples, QUICK, np.random.default_rng(0), threads=1)

    assert not any(session.collecting)
    assert gc.isenabled()
