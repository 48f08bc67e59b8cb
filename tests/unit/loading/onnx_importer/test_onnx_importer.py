"""What a whole imported model keeps, refuses and is made of."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, mlp, tensor, weights
from support.onnx_text import assert_close, imported, model, reference, run
from torch import nn

from edgekit.core.tensors import DType, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.onnx_importer import import_onnx

# Tens of float32 products, summed in another order.
TOLERANCE = 1e-5


def modules(module: nn.Module) -> dict[str, str]:
    return {
        name: type(part).__name__
        for name, part in module.named_modules()
        if name and type(part) is not nn.Module
    }


def normal(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return weights(*shape, seed=7)


def test_names_dtypes_and_dynamic_axes_are_kept(tmp_path: Path) -> None:
    proto = model(
        "m (float[batch, 3] x, int64[batch] n, bool[1] flag) => (float[batch, 3] y, int64[batch] k)"
        "{ f = Cast<to = 1>(flag) y = Add(x, f) k = Identity(n) }"
    )

    found = imported(proto, tmp_path)

    assert found.signature.inputs == (
        TensorSpec("x", DType.FLOAT32, ("batch", 3)),
        TensorSpec("n", DType.INT64, ("batch",)),
        TensorSpec("flag", DType.BOOL, (1,)),
    )
    assert found.signature.outputs == (
        TensorSpec("y", DType.FLOAT32, ("batch", 3)),
        TensorSpec("k", DType.INT64, ("batch",)),
    )


def test_an_axis_without_a_name_gets_one(tmp_path: Path) -> None:
    proto = graph_model(
        [helper.make_node("Relu", ["x"], ["y"])], [tensor("x", [None, 2])], [tensor("y", None)]
    )

    found = imported(proto, tmp_path)

    assert found.signature.inputs[0].shape == ("x_0", 2)
    assert found.signature.outputs[0].shape == ("x_0", 2)


@pytest.mark.parametrize("axis", ["batch*8", "unk__2"])
def test_odd_names_of_axes_are_kept(axis: str, tmp_path: Path) -> None:
    found = imported(mlp(axis), tmp_path)

    assert found.signature.inputs[0].shape == (axis, 8)
    assert found.signature.outputs[0].shape == (axis, 3)


@pytest.mark.parametrize("axis", ["-1", "?"])
def test_what_is_no_name_of_an_axis_is_replaced(axis: str, tmp_path: Path) -> None:
    found = imported(mlp(axis), tmp_path)

    assert found.signature.inputs[0].shape == ("x_0", 8)
    assert found.signature.outputs[0].shape == ("x_0", 3)


def test_inputs_whose_names_python_refuses_are_taken_in_order(tmp_path: Path) -> None:
    proto = graph_model(
        [helper.make_node("Sub", ["gpu_0/data:0", "in"], ["out/0"])],
        [tensor("gpu_0/data:0", [2]), tensor("in", [2])],
        [tensor("out/0", [2])],
    )

    found = imported(proto, tmp_path)

    outputs = found.module(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0]))
    assert outputs["out/0"].tolist() == [2.0, 3.0]


def test_constant_weights_become_modules_with_readable_names(tmp_path: Path) -> None:
    proto = model(
        "m (float[n, 3, 8, 8] x) => (float[n, 5] y) {"
        " a = Conv<pads = [1, 1, 1, 1]>(x, encoder__conv__weight, encoder__conv__bias)"
        " b = BatchNormalization(a, encoder__bn__weight, encoder__bn__bias, mean, variance)"
        " c = Relu(b) d = GlobalAveragePool(c) e = Flatten(d)"
        " f = MatMul(e, weight) y = Add(f, head__bias) }",
        {
            "encoder.conv.weight": normal(4, 3, 3, 3),
            "encoder.conv.bias": normal(4),
            "encoder.bn.weight": normal(4),
            "encoder.bn.bias": normal(4),
            "mean": normal(4),
            "variance": np.abs(normal(4)) + 1,
            "weight": normal(4, 5),
            "head.bias": normal(5),
        },
    )
    x = normal(2, 3, 8, 8)

    found = imported(proto, tmp_path)

    assert modules(found.module) == {
        "encoder.conv": "Conv2d",
        "encoder.bn": "BatchNorm2d",
        "head": "Linear",
    }
    assert_close(run(found, x=x), reference(proto, x=x), TOLERANCE)


def test_a_reshape_that_only_flattens_holds_no_sizes_that_pruning_would_break(
    tmp_path: Path,
) -> None:
    proto = model(
        "m (float[n, 3, 2, 2] x) => (float[n, 12] y, float[n, 2, 6] z) {"
        " y = Reshape(x, flat) z = Reshape(x, pairs) }",
        {"flat": np.array([-1, 12]), "pairs": np.array([-1, 2, 6])},
    )
    x = normal(2, 3, 2, 2)

    found = imported(proto, tmp_path)

    assert "torch.flatten(x, 1)" in str(found.module.code)
    assert_close(run(found, x=x), reference(proto, x=x), TOLERANCE)


def test_weights_in_constant_nodes_become_modules_too(tmp_path: Path) -> None:
    kernel = numpy_helper.from_array(normal(2, 1, 3), "kernel")
    proto = graph_model(
        [
            helper.make_node("Constant", [], ["w"], name="first/weights", value=kernel),
            helper.make_node("Conv", ["x", "w"], ["y"], name="first/conv"),
        ],
        [tensor("x", ["n", 1, 8])],
        [tensor("y", ["n", 2, 6])],
    )

    found = imported(proto, tmp_path)

    assert modules(found.module) == {"first.conv": "Conv1d"}


def test_weights_that_are_dequantized_become_float_parameters(tmp_path: Path) -> None:
    proto = model(
        "m (float[n, 3] x) => (float[n, 2] y)"
        "{ w = DequantizeLinear<axis = 0>(q, s, z) y = Gemm<transB = 1>(x, w) }",
        {
            "q": np.array([[1, 2, 3], [-4, 5, 6]], np.int8),
            "s": np.array([0.5, 0.25], np.float32),
            "z": np.array([0, 1], np.int8),
        },
    )

    found = imported(proto, tmp_path)

    (weight,) = found.module.parameters()
    assert weight.tolist() == [[0.5, 1.0, 1.5], [-1.25, 1.0, 1.25]]


def test_masks_and_numbers_are_not_trained(tmp_path: Path) -> None:
    mask = np.array([[0, -np.inf], [0, 0]], np.float32)
    proto = model(
        "m (float[2, 2] x) => (float[2, 2] y) { a = Add(x, mask) b = Mul(a, half) y = Add(b, w) }",
        {"mask": mask, "half": np.array(0.5, np.float32), "w": normal(2, 2)},
    )

    found = imported(proto, tmp_path)

    assert [name for name, _ in found.module.named_parameters()] == ["w"]
    assert [name for name, _ in found.module.named_buffers()] == ["mask"]


def test_parameters_can_be_trained(tmp_path: Path) -> None:
    found = imported(mlp(), tmp_path)

    found.module(torch.ones(2, 8))["y"].sum().backward()

    gradients = [parameter.grad for parameter in found.module.parameters()]
    assert len(gradients) == 4
    assert all(gradient is not None for gradient in gradients)


def test_a_weight_that_two_nodes_use_stays_one_parameter(tmp_path: Path) -> None:
    proto = model(
        "m (float[n, 4] x) => (float[n, 4] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, w) }",
        {"w": normal(4, 4)},
    )

    found = imported(proto, tmp_path)

    assert len(list(found.module.parameters())) == 1
    assert len(modules(found.module)) == 1


def test_a_bias_is_not_taken_from_a_product_that_something_else_reads(tmp_path: Path) -> None:
    proto = model(
        "m (float[n, 4] x) => (float[n, 3] y, float[n, 3] z){ z = MatMul(x, w) y = Add(z, b) }",
        {"w": normal(4, 3), "b": normal(3)},
    )
    x = normal(2, 4)

    found = imported(proto, tmp_path)

    assert_close(run(found, x=x), reference(proto, x=x), TOLERANCE)


def test_everything_that_cannot_be_imported_is_named_at_once(tmp_path: Path) -> None:
    proto = graph_model(
        [
            helper.make_node("NoSuchThing", ["x"], ["a"], name="first"),
            helper.make_node("Relu", ["a"], ["b"], name="fine"),
            helper.make_node("FancyOp", ["b"], ["y"], name="second", domain="com.example"),
        ],
        [tensor("x", [2])],
        [tensor("y", [2])],
    )

    with pytest.raises(UnsupportedError) as caught:
        imported(proto, tmp_path)

    assert "2 nodes" in caught.value.message
    assert "NoSuchThing 'first'" in caught.value.message
    assert "com.example.FancyOp 'second'" in caught.value.message
    assert "docs/onnx-import.md" in caught.value.hint


def test_settings_that_cannot_be_imported_are_named_at_once(tmp_path: Path) -> None:
    proto = model(
        "m (float[2, 3] x, int64[1] n) => (float[2, 3] y, float[2, 3] z) {"
        " y, m = Dropout(x, ratio, training) "
        " z = Loop(n, , x) <body = b (int64 i, bool c, float[2, 3] v) => (bool d, float[2, 3] w)"
        " { d = Identity(c) w = Relu(v) }> }",
        {"ratio": np.array(0.5, np.float32), "training": np.array(True)},  # noqa: FBT003
    )

    with pytest.raises(UnsupportedError) as caught:
        imported(proto, tmp_path)

    assert "Dropout '-> y': dropout in training mode is random" in caught.value.message
    assert "Loop '-> z': its number of steps must not depend" in caught.value.message


@pytest.mark.parametrize("opset", [6, 999])
def test_an_opset_outside_the_range_is_refused(opset: int, tmp_path: Path) -> None:
    proto = mlp(opset=7)
    proto.opset_import[0].version = opset

    with pytest.raises(UnsupportedError, match=f"opset {opset}; opsets 7 to"):
        imported(proto, tmp_path)


def test_a_model_without_the_standard_opset_is_refused(tmp_path: Path) -> None:
    proto = mlp()
    proto.opset_import[0].domain = "com.example"

    with pytest.raises(UnsupportedError, match="no standard opset"):
        imported(proto, tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.onnx"
    path.write_bytes(b"this is no protobuf at all")

    with pytest.raises(InputRefusedError, match="not a readable ONNX model"):
        import_onnx(path)


def test_an_output_that_nothing_computes_is_refused(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.output[0].name = "other"

    with pytest.raises(InputRefusedError, match="nothing computes output 'other'"):
        imported(proto, tmp_path)


def test_nodes_out_of_order_are_refused(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.node.append(proto.graph.node[0])
    del proto.graph.node[0]

    with pytest.raises(InputRefusedError, match="reads a value that nothing computes"):
        imported(proto, tmp_path)


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.BFLOAT16, TensorProto.FLOAT8E5M2])
def test_an_element_type_that_no_signature_can_name_is_refused(kind: int, tmp_path: Path) -> None:
    proto = graph_model(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", [2], kind)], [tensor("y", [2])]
    )

    with pytest.raises(UnsupportedError, match="input 'x'"):
        imported(proto, tmp_path)


def test_an_input_without_a_number_of_axes_is_refused(tmp_path: Path) -> None:
    proto = graph_model(
        [helper.make_node("Relu", ["x"], ["y"])], [tensor("x", None)], [tensor("y", None)]
    )

    with pytest.raises(UnsupportedError, match="does not tell its number of axes"):
        imported(proto, tmp_path)


def test_an_initializer_that_is_also_an_input_is_a_weight(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.input.append(tensor("w1", [8, 16]))

    found = imported(proto, tmp_path)

    assert [spec.name for spec in found.signature.inputs] == ["x"]


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x) => (float[2] y) { y = local.twice(x) }",
        functions='<domain: "local", opset_import: ["" : 18]> twice (a) => (b) { b = Add(a, a) }',
    )

    found = imported(proto, tmp_path)

    assert run(found, x=np.array([1, 2], np.float32))["y"].tolist() == [2, 4]


def test_an_operator_without_a_handler_is_expanded_as_onnx_defines_it(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x, float[2] z) => (float[4] y) { s = SequenceConstruct(x, z) "
        "t = SequenceMap(s) <body = b (float[2] v) => (float[2] w) { w = Neg(v) }> "
        "y = ConcatFromSequence<axis = 0>(t) }"
    )
    x, z = np.array([1, 2], np.float32), np.array([3, 4], np.float32)

    found = imported(proto, tmp_path)

    assert run(found, x=x, z=z)["y"].tolist() == [-1, -2, -3, -4]


def test_the_history_says_what_was_imported(tmp_path: Path) -> None:
    found = imported(mlp(), tmp_path)

    assert [change.step for change in found.history] == ["import"]
    assert found.history[0].summary == "imported 3 ONNX nodes of opset 18"


def test_float16_models_run_in_float16(tmp_path: Path) -> None:
    proto = model(
        "m (float16[n, 4] x) => (float16[n, 3] y) { y = MatMul(x, w) }",
        {"w": normal(4, 3).astype(np.float16)},
    )
    x = normal(2, 4).astype(np.float16)

    found = imported(proto, tmp_path)

    # A float16 step at 1 is 1e-3.
    assert_close(run(found, x=x), reference(proto, x=x), 2e-3)


def test_names_that_clash_with_a_modules_own_are_kept_apart(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x) => (float[2] y)"
        "{ a = Add(x, training) b = Add(a, float__w) y = Mul(b, a__b) }",
        {"training": normal(2), "float.w": normal(2), "a.b": normal(2)},
    )
    x = normal(2)

    found = imported(proto, tmp_path)

    np.testing.assert_array_equal(run(found, x=x)["y"], reference(proto, x=x)["y"])
    assert not found.module.training


def test_external_data_beside_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(mlp(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)

    found = import_onnx(path)

    assert sum(parameter.numel() for parameter in found.module.parameters()) == 8 * 16 + 16 + 51
