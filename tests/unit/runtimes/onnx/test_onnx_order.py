import onnx
from onnx import helper
from support import onnx_models
from support.onnx_models import graph_model, tensor

from edgekit.runtimes.onnx.order import put_in_order


def test_nodes_follow_what_they_read() -> None:
    model = onnx_models.quantized()
    wanted = [node.output[0] for node in model.graph.node]
    model.graph.node.reverse()

    put_in_order(model.graph)

    onnx.checker.check_model(model)
    assert {node.output[0] for node in model.graph.node} == set(wanted)


def test_an_order_that_holds_is_kept() -> None:
    model = onnx_models.cnn()

    put_in_order(model.graph)

    assert model == onnx_models.cnn()


def test_a_node_follows_what_its_body_reads() -> None:
    model = onnx_models.branches()
    model.graph.node.append(helper.make_node("Identity", ["x"], ["z"]))
    for attribute in model.graph.node[-2].attribute:
        attribute.g.node[1].input[0] = "z"
        attribute.g.node.reverse()

    put_in_order(model.graph)

    onnx.checker.check_model(model)


def test_nodes_in_a_circle_stay_as_they_are() -> None:
    nodes = [helper.make_node("Neg", ["b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    model = graph_model(nodes, [tensor("x", [1])], [tensor("b", [1])])

    put_in_order(model.graph)

    assert [node.output[0] for node in model.graph.node] == ["a", "b"]
