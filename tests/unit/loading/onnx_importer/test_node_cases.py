"""A sample of the node tests that the onnx package carries; the integration tests run all."""

import random

import pytest
from support.onnx_cases import Case, Outcome, node_cases, run_case

from edgekit.loading.onnx_importer.registry import supported_operators

# Differences that are known: float16 sums in another order, a float32 transform of 1e-7
# absolute tolerance, and a corner that onnxruntime also places elsewhere than the reference.
KNOWN = {
    "test_attention_4d_causal_fp16",
    "test_attention_4d_causal_fp16_expanded",
    "test_dft_inverse",
    "test_dft_inverse_opset19",
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}


def chosen(count: int) -> list[Case]:
    cases = [case for case in node_cases() if case.name not in KNOWN]
    return random.Random(0).sample(cases, count)


@pytest.mark.filterwarnings("ignore")  # overflow and division by zero are part of the cases
def test_a_sample_of_the_node_tests_is_right_or_refused() -> None:
    results = {case.name: run_case(case) for case in chosen(60)}

    failed = {name: text for name, (outcome, text) in results.items() if outcome is Outcome.FAILED}
    passed = sum(outcome is Outcome.PASSED for outcome, _ in results.values())
    assert failed == {}
    assert passed > 39  # about four of five can be expressed with edgekit's element types


def test_the_operators_promised_are_there() -> None:
    assert len(supported_operators()) >= 120
