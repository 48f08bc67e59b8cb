from pathlib import Path

import pytest
from support.onnx_text import imported, model

from edgekit.errors import UnsupportedError


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(UnsupportedError) as caught:
        imported(model(text), folder)
    return caught.value.message


def test_operators_and_nodes_are_refused_in_one_go(tmp_path: Path) -> None:
    message = refusal(
        """g (float[2, 3] x, float[1, 1, 4, 4] image) => (float[n, m] y, float[a, b] z) {
            a = Scan<num_scan_inputs = 0, body = nothing () => () {}>(x)
            b = MaxRoiPool(a, a)
            y = RandomNormalLike(x)
            z = RoiAlign(image, x, x)
        }""",
        tmp_path,
    )

    assert "4 nodes that cannot be imported" in message
    assert "Scan '-> a': its inputs do not fit it" in message
    assert "MaxRoiPool '-> b': there is no such operator here" in message
    assert "RandomNormalLike '-> y': it draws random numbers" in message
    assert "RoiAlign '-> z': sampling_ratio 0, as many samples as the values of rois say" in message


def test_what_stands_in_the_body_of_a_refused_node_is_named_too(tmp_path: Path) -> None:
    message = refusal(
        """g (float[2, 3] x) => (float[n, m] y) {
            odd = RandomUniformLike(x)
            yes = Cast<to = 9>(odd)
            y = If(yes) <
                then_branch = left () => (float[n, m] l) { l = MaxRoiPool(x, x) },
                else_branch = right () => (float[n, m] r) { r = Relu(x) }>
        }""",
        tmp_path,
    )

    assert "RandomUniformLike '-> odd'" in message
    assert "MaxRoiPool '-> l'" in message


def test_a_node_whose_inputs_cannot_fit_it_is_refused_by_name(tmp_path: Path) -> None:
    message = refusal(
        "g (float[2, 3] x) => (float[n] y) { axis = Constant<value = int64[1] {5}>()"
        " y = ReduceMean(x, axis) }",
        tmp_path,
    )

    assert "ReduceMean '-> y': its inputs do not fit it" in message
