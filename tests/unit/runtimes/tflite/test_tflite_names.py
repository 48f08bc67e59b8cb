from ai_edge_litert.tools import flatbuffer_utils
from support import tflite_models
from support.tflite_graphs import classifier

from edgekit.runtimes.tflite.names import shorten_names
from edgekit.runtimes.tflite.writer import to_bytes


def names(content: bytes) -> list[str]:
    model = flatbuffer_utils.read_model_from_bytearray(content)
    shorten_names(model)
    return [tensor.name.decode() for tensor in model.subgraphs[0].tensors]


def test_a_call_path_becomes_the_name_of_the_layer() -> None:
    assert names(classifier())[:3] == ["x", "hidden", "y"]


def test_inputs_and_outputs_keep_their_names() -> None:
    assert names(tflite_models.mlp(named=False))[0] == "serving_default_x:0"


def test_equal_names_are_told_apart() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(classifier())
    for tensor in model.subgraphs[0].tensors[3:]:
        tensor.name = b"net.Net/torch.nn.modules.linear.Linear_head;"

    shorten_names(model)

    found = [tensor.name for tensor in model.subgraphs[0].tensors[3:]]
    assert found == [b"head", b"head:1", b"head:2", b"head:3"]


def test_nested_layers_are_joined_by_dots() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(classifier())
    path = (
        b"net.Net/torch.nn.modules.container.Sequential_body/torch.nn.modules.conv.Conv2d_0;;x.Y_z;"
    )
    model.subgraphs[0].tensors[1].name = path

    shorten_names(model)

    assert model.subgraphs[0].tensors[1].name == b"body.0"


def test_weights_are_written_where_the_schema_wants_them_aligned() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(classifier())

    content = to_bytes(model)

    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data):
            assert content.index(buffer.data.tobytes()) % 16 == 0
