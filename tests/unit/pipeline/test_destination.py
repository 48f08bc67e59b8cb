import pytest

from edgekit.core.artifact import Format
from edgekit.core.target import ANYWHERE, Runtime
from edgekit.pipeline.destination import destination


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(["rpi4"], False), (["rpi5"], True), (["rpi5", "rpi4"], False), (["rpi2"], False)],
)
def test_one_core_without_dot_products_decides(targets: list[str], *, expected: bool) -> None:
    assert destination(targets, Format.ONNX).dot_products is expected


def test_this_machine_counts_as_a_core_of_today() -> None:
    assert destination(["host"], Format.ONNX).dot_products


def test_without_a_target_a_file_is_for_the_usual_libraries() -> None:
    assert destination([], Format.TFLITE) == ANYWHERE


def test_every_runtime_of_the_targets_counts() -> None:
    found = destination(["rpi3b+", "rpi3b+-tflite-runtime"], Format.TFLITE)

    assert found.runtimes == (Runtime.LITERT, Runtime.TFLITE_RUNTIME)
