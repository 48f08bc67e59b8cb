from pathlib import Path

import numpy as np
import pytest
from support import onnx_models, tflite_models

from edgekit.core.results import Unavailable
from edgekit.profiling import litert_library
from edgekit.profiling.litert_library import Event
from edgekit.profiling.operators import litert, onnxruntime
from edgekit.profiling.timing import Row


def inference(start: int, *kernels: tuple[str, str, int, int]) -> list[dict[str, object]]:
    events: list[dict[str, object]] = [
        {"cat": "Node", "name": f"{name}_kernel_time", "ts": start + at, "dur": took,
         "args": {"op_name": op_type}}
        for name, op_type, at, took in kernels
    ]  # fmt: skip
    run: dict[str, object] = {"cat": "Session", "name": "model_run", "ts": start, "dur": 100}
    # onnxruntime writes the whole after its parts.
    return [*events, run]


def test_onnxruntime_times_are_means_without_the_warm_up() -> None:
    events = [
        *inference(0, ("a", "Conv", 0, 90)),
        *inference(100, ("a", "Conv", 0, 30), ("b", "Gemm", 30, 10)),
        *inference(200, ("a", "Conv", 0, 50), ("b", "Gemm", 50, 10)),
    ]

    found = onnxruntime.summarize(events, warm_up=1)

    assert isinstance(found, tuple)
    assert [(row.name, row.op_type, row.time_ns) for row in found] == [
        ("a", "Conv", 40_000),
        ("b", "Gemm", 10_000),
    ]
    assert [row.share_percent for row in found] == pytest.approx([80, 20])


def test_one_interrupted_run_does_not_count() -> None:
    runs = [inference(100 * i, ("a", "Conv", 0, 99 if i == 3 else 20)) for i in range(8)]

    found = onnxruntime.summarize([event for run in runs for event in run], warm_up=0)

    assert isinstance(found, tuple)
    assert found[0].time_ns == 20_000


def test_operator_that_does_not_always_run_gets_its_mean() -> None:
    events = [*inference(0, ("a", "Conv", 0, 30)), *inference(100, ("b", "Gemm", 0, 10))]

    found = onnxruntime.summarize(events, warm_up=0)

    assert isinstance(found, tuple)
    assert {row.name: row.time_ns for row in found} == {"a": 15_000, "b": 5_000}


def test_a_profile_that_a_full_disk_cut_off_gives_no_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx_models.write(onnx_models.mlp(), tmp_path / "mlp.onnx")
    (tmp_path / "profile.json").write_text('[{"cat": "Ses')

    def end(_: object) -> str:
        return str(tmp_path / "profile.json")

    monkeypatch.setattr("onnxruntime.InferenceSession.end_profiling", end)
    (name,) = (one.name for one in onnx_models.mlp().graph.input)
    row: Row = {name: np.zeros((1, 8), np.float32)}

    found = onnxruntime.OnnxRuntimeOperators().time(model, [row], 1, 0.01)

    assert isinstance(found, Unavailable)
    assert "temporary folder full" in found.reason


def test_body_of_a_branch_is_not_counted_twice() -> None:
    events = inference(0, ("if", "If", 0, 50), ("inside", "Conv", 5, 40), ("after", "Add", 50, 10))

    found = onnxruntime.summarize(events, warm_up=0)

    assert isinstance(found, tuple)
    assert {row.name: row.time_ns for row in found} == {
        "if": 10_000,
        "inside": 40_000,
        "after": 10_000,
    }


def test_profile_without_operators_is_unavailable() -> None:
    assert isinstance(onnxruntime.summarize(inference(0), warm_up=0), Unavailable)


def test_litert_counts_what_is_inside_a_delegate_and_not_the_delegate() -> None:
    events = [
        Event(tag=b"TfLiteXNNPackDelegate", kind=2, duration_us=30, node=0),
        Event(tag=b"Convolution (NHWC, F32)", kind=8, duration_us=20, node=0),
        Event(tag=b"Fully Connected", kind=8, duration_us=10, node=1),
        Event(tag=b"GATHER", kind=2, duration_us=10, node=3),
        Event(tag=b"Invoke", kind=1, duration_us=99, node=0),
    ]

    found = litert.summarize(events * 2, runs=2)

    assert isinstance(found, tuple)
    assert {row.op_type: row.time_ns for row in found} == {
        "Convolution (NHWC, F32)": 20_000,
        "Fully Connected": 10_000,
        "GATHER": 10_000,
    }
    assert sum(row.share_percent for row in found) == pytest.approx(100)


def test_litert_profile_without_operators_is_unavailable() -> None:
    assert isinstance(litert.summarize([], runs=1), Unavailable)


@pytest.fixture
def lite(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_models.mlp())
    return path


def reason(path: Path, row: Row) -> str:
    found = litert.LiteRtOperators().time(path, [row], 1, 0.01)
    assert isinstance(found, Unavailable)
    return found.reason


ROW: Row = {"args_0": np.ones((1, 8), np.float32)}


def test_litert_times_a_real_model(lite: Path) -> None:
    found = litert.LiteRtOperators().time(lite, [ROW], 1, 0.01)

    assert isinstance(found, tuple)
    assert "Fully Connected" in {row.op_type.split(" (")[0] for row in found}


def test_missing_litert_is_told(lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert "LiteRT is not installed" in reason(lite, ROW)


def test_library_that_cannot_be_loaded_is_told(lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_library, "_LIBRARY", "none.so")

    assert "cannot be loaded" in reason(lite, ROW)


def test_library_of_another_version_is_told(lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_library, "_load", object)

    assert "this version of LiteRT has no LiteRtCreateEnvironment" in reason(lite, ROW)


def test_model_that_the_library_refuses_is_told(tmp_path: Path) -> None:
    assert "LiteRtCreateModelFromFile answered" in reason(tmp_path / "none.tflite", ROW)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"x": np.ones((1, 8), np.float32)}, "knows an input 'args_0'"),
        ({"args_0": np.ones((9, 999), np.float32)}, "of another size"),
    ],
)
def test_inputs_that_the_library_sees_otherwise_are_told(
    lite: Path, row: Row, expected: str
) -> None:
    assert expected in reason(lite, row)
