"""Why a converter refused a model, in one sentence."""

from edgekit.exporting.refusal import refusal


def raised(inner: Exception, outer: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


def test_control_flow_on_values_is_told_with_its_line() -> None:
    inner = RuntimeError(
        "Could not guard on data-dependent expression Eq(u0, 1)\n"
        f"  # File: {__file__}:7 in forward, code: return x if x.sum() > 0 else -x"
    )

    found = refusal(raised(inner, ValueError("Failed to export")), "PyTorch", "ONNX")

    assert f"depends on the values of tensors (at {__file__}:7)" in found.message
    assert "torch.where" in found.hint


def test_an_operator_without_translation_is_named() -> None:
    inner = RuntimeError("Lowering not found: aten._linalg_svd.default")

    found = refusal(inner, "litert-torch", "TFLite")

    assert found.message == (
        "litert-torch cannot convert the model to TFLite: there is no translation of "
        "aten._linalg_svd.default"
    )
    assert found.hint.endswith("leave tflite out of export.formats")


def test_of_anything_else_the_innermost_first_line_is_told() -> None:
    error = raised(ValueError("\n  kernel too large\nsee the documentation"), RuntimeError("sorry"))

    found = refusal(error, "PyTorch", "ONNX")

    assert found.message == "PyTorch cannot convert the model to ONNX: kernel too large"


def test_an_error_without_words_is_told_as_such() -> None:
    assert "it says nothing more" in refusal(AssertionError(), "PyTorch", "ONNX").message
