"""Which nodes cannot be imported, why, and how all of them are told at once."""

from collections.abc import Iterator, Sequence

import onnx

from edgekit.errors import UnsupportedError
from edgekit.loading.onnx_importer.registry import handler_for, supported_operators

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
"""What the operators of ONNX itself belong to."""


def is_handled(node: onnx.NodeProto) -> bool:
    """Whether some handler imports a node."""
    return node.domain in STANDARD_DOMAINS and handler_for(node.op_type) is not None


_RANDOM = frozenset(
    {"Bernoulli", "Multinomial"}
    | {f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")}
)


def why_unhandled(node: onnx.NodeProto) -> str:
    """Say why no handler imports a node."""
    if node.op_type in _RANDOM and node.domain in STANDARD_DOMAINS:
        return (
            "it draws random numbers, so that no two runs agree and nothing can be checked; "
            "export the model with its noise as an input"
        )
    return "there is no such operator here"


def label(node: onnx.NodeProto) -> str:
    """Name a node for people: its operator and its name, or what it computes."""
    kind = node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"
    name = node.name or next((f"-> {output}" for output in node.output if output), "unnamed")
    return f"{kind} '{name}'"


def unsupported(source: str, refused: Sequence[tuple[str, str]]) -> UnsupportedError:
    """Return the error that tells all refused nodes, each with its label and the reason."""
    lines = "\n".join(f"  {label}: {reason}" for label, reason in refused)
    count = "1 node" if len(refused) == 1 else f"{len(refused)} nodes"
    return UnsupportedError(
        f"{source} has {count} that cannot be imported:\n{lines}",
        hint=f"{len(supported_operators())} operators are supported; see docs/onnx-import.md",
    )


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the bodies in it, however deep."""
    for node in graph.node:
        yield from with_bodies(node)


def with_bodies(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield a node and those of its bodies, however deep."""
    yield node
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield from all_nodes(attribute.g)
