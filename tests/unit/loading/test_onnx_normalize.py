from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models

from edgekit.core.progress import SILENT
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading import onnx_normalize_child
from edgekit.loading.onnx_normalize import NormalizeRequest, normalize_onnx

X = onnx_models.weights(2, 8, seed=9)


def outputs(path: Path, **inputs: onnx_models.FloatArray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def normalized(folder: Path, model: onnx.ModelProto) -> tuple[tuple[str, ...], onnx.ModelProto]:
    source = onnx_models.write(model, folder / "model.onnx")
    notes = normalize_onnx(source, folder / "normal.onnx")
    return notes, onnx.load(folder / "normal.onnx", load_external_data=False)


def normalize_here(folder: Path, model: onnx.ModelProto) -> None:
    source = onnx_models.write(model, folder / "model.onnx")
    onnx_normalize_child.run(NormalizeRequest(source, folder / "normal.onnx"), SILENT)


def same_outputs(folder: Path, **inputs: onnx_models.FloatArray) -> bool:
    before = outputs(folder / "model.onnx", **inputs)
    after = outputs(folder / "normal.onnx", **inputs)
    return all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_constants_become_initializers_and_stale_shapes_go(tmp_path: Path) -> None:
    notes, model = normalized(tmp_path, onnx_models.constant_weights(opset=11))

    assert notes == (
        "2 Constant nodes made initializers",
        "opset raised from 11 to 17",
        "inner shapes inferred anew",
    )
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Mul"]
    assert {tensor.name for tensor in model.graph.initializer} == {"w", "half"}
    shapes = {value.name: value.type.tensor_type.shape.dim[1] for value in model.graph.value_info}
    assert shapes["m"].dim_value == 3
    assert same_outputs(tmp_path, x=X)


def test_a_normal_model_is_left_alone(tmp_path: Path) -> None:
    notes, model = normalized(tmp_path, onnx_models.mlp())

    assert notes == ()
    assert model.opset_import[0].version == 18
    assert same_outputs(tmp_path, x=X)


def test_whole_number_constants_become_initializers(tmp_path: Path) -> None:
    source = onnx_models.graph_model(
        [
            helper.make_node("Constant", [], ["shape"], value_ints=[0, 2, 4]),
            helper.make_node("Constant", [], ["axis"], value_int=1),
            helper.make_node("Constant", [], ["words"], value_strings=[b"kept"]),
            helper.make_node("Reshape", ["x", "shape"], ["r"]),
            helper.make_node("Unsqueeze", ["r", "axis"], ["y"]),
        ],
        [onnx_models.tensor("x", ["batch", 8])],
        [onnx_models.tensor("y", ["batch", 1, 2, 4])],
    )

    notes, model = normalized(tmp_path, source)

    assert notes == ("2 Constant nodes made initializers",)
    assert model.graph.node[0].op_type == "Constant"
    assert same_outputs(tmp_path, x=X)


def test_bodies_of_branches_are_treated_like_the_main_graph(tmp_path: Path) -> None:
    notes, model = normalized(tmp_path, onnx_models.branches())

    bodies = [attribute.g for attribute in model.graph.node[-1].attribute]
    assert notes == ("2 Constant nodes made initializers",)
    assert [[node.op_type for node in body.node] for body in bodies] == [["MatMul"]] * 2
    assert same_outputs(tmp_path, x=X[:1, :4])


def test_operators_in_branches_are_raised_too(tmp_path: Path) -> None:
    def body(name: str) -> onnx.GraphProto:
        # Until opset 13, Softmax flattened from its axis on and Squeeze had axes as an attribute.
        nodes = [
            helper.make_node("Softmax", ["x"], [f"{name}_s"]),
            helper.make_node("Squeeze", [f"{name}_s"], [f"{name}_y"], axes=[0]),
        ]
        return helper.make_graph(nodes, name, [], [onnx_models.tensor(f"{name}_y", [2, 4])])

    source = onnx_models.graph_model(
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "zero"], ["yes"]),
            helper.make_node("If", ["yes"], ["y"], then_branch=body("a"), else_branch=body("b")),
        ],
        [onnx_models.tensor("x", [1, 2, 4])],
        [onnx_models.tensor("y", [2, 4])],
        [numpy_helper.from_array(np.array(0, np.float32), "zero")],
        opset=11,
    )

    notes, _ = normalized(tmp_path, source)

    assert "opset raised from 11 to 17" in notes
    assert same_outputs(tmp_path, x=X[:1].reshape(1, 2, 4))


def test_functions_are_written_out(tmp_path: Path) -> None:
    twice = helper.make_function(
        "local",
        "Twice",
        ["a", "w"],
        ["b"],
        [
            helper.make_node("MatMul", ["a", "w"], ["c"]),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "w"], ["b"]),
        ],
        [helper.make_opsetid("", 15)],
    )
    source = onnx_models.graph_model(
        [helper.make_node("Twice", ["x", "weight"], ["y"], domain="local")],
        [onnx_models.tensor("x", ["batch", 8])],
        [onnx_models.tensor("y", ["batch", 8])],
        [numpy_helper.from_array(np.eye(8, dtype=np.float32), "weight")],
        opset=15,
    )
    source.functions.append(twice)
    source.opset_import.append(helper.make_opsetid("local", 1))

    notes, found = normalized(tmp_path, source)

    assert "1 functions written out where they are used" in notes
    assert [node.op_type for node in found.graph.node] == ["MatMul", "Relu", "MatMul"]
    assert same_outputs(tmp_path, x=X)


def test_what_a_pad_does_not_fill_with_is_forgotten(tmp_path: Path) -> None:
    pad = helper.make_node("Pad", ["x"], ["y"], mode="edge", pads=[0, 1, 0, 1], value=0.5)
    source = onnx_models.graph_model(
        [pad], [onnx_models.tensor("x", [2, 8])], [onnx_models.tensor("y", [2, 10])], opset=10
    )

    normalize_here(tmp_path, source)

    assert same_outputs(tmp_path, x=X[:2])


@pytest.mark.parametrize(
    ("opset", "scales"),
    [(7, (2.0, 2.0)), (9, (2.0, 3.0)), (10, (1.5, 2.0)), (10, (0.5, 0.7))],
)
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_pictures_of_old_models_are_resized_as_they_were(
    mode: str, opset: int, scales: tuple[float, float], tmp_path: Path
) -> None:
    values = [1.0, 1.0, *scales]
    if opset == 7:
        node = helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=values)
    else:
        kind = "Upsample" if opset == 9 else "Resize"
        node = helper.make_node(kind, ["x", "scales"], ["y"], mode=mode)
    source = onnx_models.graph_model(
        [node],
        [onnx_models.tensor("x", [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(values, np.float32), "scales")],
        opset=opset,
    )

    normalize_here(tmp_path, source)

    assert same_outputs(tmp_path, x=onnx_models.weights(1, 1, 8, 8))


def test_a_branch_may_return_a_constant(tmp_path: Path) -> None:
    source = onnx_models.branches()
    body = source.graph.node[-1].attribute[0].g
    del body.node[1]
    body.output[0].name = body.node[0].output[0]
    body.node[0].attribute[0].t.CopyFrom(numpy_helper.from_array(np.ones((1, 4), np.float32)))

    notes, _ = normalized(tmp_path, source)

    assert notes == ("1 Constant nodes made initializers",)
    assert same_outputs(tmp_path, x=np.ones((1, 4), np.float32))


def test_weights_listed_as_inputs_become_constant(tmp_path: Path) -> None:
    source = onnx_models.mlp()
    source.ir_version = 3
    source.graph.input.append(onnx_models.tensor("w1", [8, 16]))

    notes, model = normalized(tmp_path, source)

    assert notes == ("1 weights listed as inputs made constant",)
    assert [value.name for value in model.graph.input] == ["x"]
    assert same_outputs(tmp_path, x=X)


def test_external_data_is_taken_in(tmp_path: Path) -> None:
    source = onnx_models.external("w.bin", offset=8, length=512)
    whole = onnx_models.mlp().graph.initializer[0].raw_data
    (tmp_path / "w.bin").write_bytes(bytes(8) + whole)

    notes, model = normalized(tmp_path, source)

    assert notes == ("1 tensors taken in from w.bin",)
    assert model.graph.initializer[0].raw_data == whole
    assert same_outputs(tmp_path, x=X)


def test_external_data_elsewhere_is_refused_and_nothing_written(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()

    with pytest.raises(InputRefusedError, match="leaves the model's folder"):
        normalized(folder, onnx_models.external("../w.bin"))

    assert [file.name for file in folder.iterdir()] == ["model.onnx"]


def test_an_operator_that_cannot_be_raised_is_named(tmp_path: Path) -> None:
    source = onnx_models.graph_model(
        [helper.make_node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 2.0])],
        [onnx_models.tensor("x", [1, 1, 2, 4])],
        [onnx_models.tensor("y", [1, 1, 4, 8])],
        opset=7,
    )
    source.graph.node[0].op_type = "Scatter"

    with pytest.raises(UnsupportedError, match=r"opset 7 cannot be raised to 17: .*Scatter"):
        normalized(tmp_path, source)


def test_a_model_whose_shapes_cannot_be_inferred_is_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> onnx.ModelProto:
        raise onnx.shape_inference.InferenceError("no rule\nfor this")

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", fail)
    source = onnx_models.write(onnx_models.mlp(), tmp_path / "model.onnx")

    done = onnx_normalize_child.run(NormalizeRequest(source, tmp_path / "normal.onnx"), SILENT)

    assert done.notes == ("inner shapes could not be inferred: no rule for this",)
    assert same_outputs(tmp_path, x=X)


def test_more_than_one_file_can_hold_is_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_normalize_child, "_LARGEST_BYTES", 100)
    source = onnx_models.write(onnx_models.mlp(), tmp_path / "model.onnx")

    with pytest.raises(UnsupportedError, match="more than 2 GiB"):
        onnx_normalize_child.run(NormalizeRequest(source, tmp_path / "normal.onnx"), SILENT)


def test_a_constant_of_another_type_keeps_its_bytes(tmp_path: Path) -> None:
    source = onnx_models.constant_weights(opset=18)
    half = helper.make_tensor("h", TensorProto.FLOAT16, [2], np.ones(2, np.float16).tobytes(), True)  # noqa: FBT003  onnx's own order
    source.graph.node.append(helper.make_node("Constant", [], ["spare"], value=half))

    _, model = normalized(tmp_path, source)

    spare = next(tensor for tensor in model.graph.initializer if tensor.name == "spare")
    assert numpy_helper.to_array(spare).dtype == np.float16
