"""What a run finds out about a board that it cannot emulate."""

from pathlib import Path

import numpy as np
import pytest
from support import onnx_models

from edgekit.core.progress import SILENT
from edgekit.core.results import Unavailable
from edgekit.core.samples import Samples, save_samples
from edgekit.core.workspace import Workspace
from edgekit.errors import TargetUnavailableError
from edgekit.fetching.packages import CACHE_VARIABLE
from edgekit.loading.artifact import open_artifact
from edgekit.pipeline import findings
from edgekit.pipeline.rows import Line, Row
from edgekit.pipeline.stages import PlannedStep, Stage
from edgekit.pipeline.workbench import Workbench
from edgekit.profiling.settings import ProfileSettings

SETTINGS = ProfileSettings(targets=("rpi4",))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    file = onnx_models.write(onnx_models.mlp(), tmp_path / "mlp.onnx")
    return Line(Row.ONNX_FP32, open_artifact(file), None)


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    def absent() -> None:
        raise TargetUnavailableError("the emulator is not set up", hint="run this")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(findings, "emulator", absent)
    step = PlannedStep(Stage.PROFILE, "rpi4", "key", cached=False, afresh=False)
    return Workbench(Workspace(tmp_path / "w"), {(Stage.PROFILE, "rpi4"): step}, SILENT)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return save_samples(tmp_path / "s", {"x": np.zeros((1, 8), np.float32)})


def test_a_board_without_an_emulator_has_profiles_that_say_how_to_get_one(
    workbench: Workbench, line: Line, samples: Samples
) -> None:
    found = findings.profiles(workbench, [line], samples, SETTINGS)

    taken = found.by_row["ONNX fp32"]
    why = Unavailable("the emulator is not set up; run this")
    assert (taken.latency, taken.load_ns, taken.peak_memory_bytes) == (why, why, why)
    assert (taken.target, taken.runtime) == ("rpi4", "onnxruntime")
    # What does not depend on the board is there.
    assert not isinstance(taken.size, Unavailable)
    assert taken.int8_macs_percent == 0.0


def test_nothing_is_kept_of_a_board_without_an_emulator(
    workbench: Workbench, line: Line, samples: Samples
) -> None:
    findings.profiles(workbench, [line], samples, SETTINGS)

    assert not workbench.workspace.has(Stage.PROFILE.value, "key")
