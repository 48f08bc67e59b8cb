"""Short names for the tensors of a TFLite file; a converter writes whole call paths into them."""

import re
from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

_CLASS = re.compile(r"^[\w.<>]*\.[A-Za-z]\w*?_(?=\w)")


def shorten_names(model: schema.ModelT) -> None:
    """Give every tensor of `model` a short name that no other has, in place.

    `net.Net/torch.nn.Sequential_body/torch.nn.Conv2d_0;` becomes `body.0`, the name that the
    layer has in PyTorch; a name without such a path stays. Those of the main graph's inputs
    and outputs stay, as files without signatures are called by them.
    """
    main = model.subgraphs[0]
    kept = {*main.inputs, *main.outputs}
    used = {main.tensors[index].name for index in kept}
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            if graph is main and index in kept:
                continue
            tensor.name = next(
                name for name in _numbered(_short(tensor.name or b"")) if name not in used
            )
            used.add(tensor.name)


def _short(name: bytes) -> str:
    first = name.decode("utf-8", "replace").split(";")[0]
    layers = [_CLASS.sub("", part) for part in first.split("/")[1:]]
    return ".".join(layers) or first.rsplit("/", 1)[-1]


def _numbered(name: str) -> Iterator[bytes]:
    yield name.encode()
    number = 1
    while True:
        yield f"{name}:{number}".encode()
        number += 1
