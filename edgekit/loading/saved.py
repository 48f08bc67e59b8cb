"""A model in a folder: how to build it, how it was changed, and its weights; no pickle.

A pruned module is not what its factory builds, so the sizes that differ are kept beside the
weights: attributes such as `out_channels`, found by comparing with a freshly built module. What
was read from an ONNX file is built by reading a copy of that file again; it says sizes in calls.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, fx, nn

from edgekit.core import wire
from edgekit.core.artifact import file_sha256
from edgekit.core.model import Change, Model, SavedModel
from edgekit.core.tensors import Signature
from edgekit.core.workspace import replacing, storage, write_atomic
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.factory import build_module
from edgekit.loading.graph_sizes import graph_sizes, set_graph_sizes
from edgekit.loading.onnx_importer import import_onnx
from edgekit.loading.plain_weights import make_weights_plain
from edgekit.loading.source import SOURCE_FILE, ModelSource, OnnxSource, Source

MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"

Size = int | tuple[int, ...]

_IN_CALLS = "sizes in calls"
"""Stands for an attribute of graphs that they do not have."""


@dataclass(frozen=True)
class SavedForm:
    """What `model.json` holds.

    `sizes` has, by module path, the attributes that differ from a freshly built module.
    `shared` maps every further name of a tensor to the one it is stored under.
    """

    source: Source
    sizes: dict[str, dict[str, Size]]
    shared: dict[str, str]
    signature: Signature
    history: tuple[Change, ...]


def save_model(model: Model, source: Source, directory: Path) -> SavedModel:
    """Write a model that `source` built (and pruning may have changed) into `directory`.

    The digest covers what the model computes, not where its code lies, so equal models have
    equal digests.

    Raises:
        InputRefusedError: The source's ONNX file is not the one it was.
        UnsupportedError: Modules were added, removed or replaced since the factory built it.
        StorageError: The folder cannot be written to.
    """
    fresh = _build(source)
    sizes = _size_changes(fresh, model.module, _called(source))
    tensors, shared = _tensors(model.module, fresh)
    with storage(directory):
        directory.mkdir(parents=True, exist_ok=True)
        source = _kept(source, directory)
    with storage(directory), replacing(directory / WEIGHTS_FILE) as partial:
        save_file(tensors, partial)
    form = SavedForm(source, sizes, shared, model.signature, model.history)
    write_atomic(directory / MODEL_FILE, wire.encode(form))
    weights = (directory / WEIGHTS_FILE).read_bytes()
    identity = repr((*_identity(source), sorted(shared.items())))
    identity += wire.encode(model.signature) + repr(sorted(sizes.items()))
    return SavedModel(
        directory=directory,
        sha256=hashlib.sha256(identity.encode() + weights).hexdigest(),
        parameters=sum(parameter.numel() for parameter in model.module.parameters()),
        size_bytes=len(weights),
        signature=model.signature,
        history=model.history,
    )


def load_model(saved: SavedModel) -> Model:
    """Return the model that `save_model` wrote, equal in every output.

    Raises:
        InputRefusedError: The folder is damaged, or the user's code builds another model now.
        UsageError: The factory fails.
    """
    form = wire.read(SavedForm, saved.directory / MODEL_FILE)
    tensors = _read(saved.directory / WEIGHTS_FILE)
    module = _build(_located(form.source, saved.directory))
    modules = dict(module.named_modules())
    problems = [f"module '{path}' is gone" for path in form.sizes if path not in modules]
    names = set(tensors) | set(form.shared)
    problems += [f"'{name}' is gone" for name in sorted(names - set(_named_tensors(module)))]
    problems += [f"'{name}' is new" for name in sorted(set(module.state_dict()) - names)]
    if problems:
        raise InputRefusedError(
            f"the model in {saved.directory} is no longer what {_called(form.source)} builds: "
            + "; ".join(problems),
            hint="its code changed after the model was saved; run the recipe again",
        )
    for path, attributes in form.sizes.items():
        for name, value in attributes.items():
            _set_size(modules[path], name, value)
    _put(module, tensors, form.shared)
    return Model(module.eval(), form.signature, form.history)


def _build(source: Source) -> nn.Module:
    match source:
        case ModelSource():
            module = build_module(source)
            make_weights_plain(module)
            return module
        case OnnxSource(file=file, example=example):
            if not file.is_file() or file_sha256(file) != source.sha256:
                raise InputRefusedError(
                    f"{file} is not the model file that it was",
                    hint="delete its folder and run the command again",
                )
            return import_onnx(file, example).module


def _called(source: Source) -> str:
    return f"'{source.factory}'" if isinstance(source, ModelSource) else str(source.file)


def _identity(source: Source) -> tuple[object, ...]:
    if isinstance(source, ModelSource):
        return source.factory, sorted(source.options.items())
    return (source.sha256,)


def _kept(source: Source, directory: Path) -> Source:
    """Put an ONNX file beside the weights; it is named without its folder, which may move."""
    if isinstance(source, ModelSource):
        return source
    copy = directory / SOURCE_FILE
    if source.file.absolute() != copy.absolute():
        shutil.copyfile(source.file, copy)
    return replace(source, file=Path(SOURCE_FILE))


def _located(source: Source, directory: Path) -> Source:
    if isinstance(source, ModelSource):
        return source
    return replace(source, file=directory / source.file)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        stored = load(path.read_bytes())
    except OSError as error:
        raise InputRefusedError(f"{path} cannot be read: {error.strerror}") from error
    except (SafetensorError, ValueError) as error:
        raise InputRefusedError(
            f"{path} is damaged: {error}", hint="delete its folder and run the recipe again"
        ) from error
    # A tensor inside a file's bytes is aligned by chance, and kernels round differently by that.
    return {name: tensor.clone() for name, tensor in stored.items()}


def _size_changes(fresh: nn.Module, module: nn.Module, source: str) -> dict[str, dict[str, Size]]:
    before, after = dict(fresh.named_modules()), dict(module.named_modules())
    if list(before) != list(after) or any(_kind(before[p]) is not _kind(after[p]) for p in before):
        raise UnsupportedError(
            f"the model holds other modules than {source} builds, and only changed sizes "
            "can be saved",
            hint="build every module in the factory, not while it runs or is trained",
        )
    changes = {}
    for path, changed in after.items():
        old = _sizes(before[path])
        different = {name: size for name, size in _sizes(changed).items() if old.get(name) != size}
        if different:
            changes[path] = different
    return changes


def _kind(module: nn.Module) -> type[nn.Module]:
    # A graph module is the only one of its class, which holds the code made from its graph.
    return fx.GraphModule if isinstance(module, fx.GraphModule) else type(module)


def _sizes(module: nn.Module) -> dict[str, Size]:
    """Return the whole numbers, and tuples of them, that a module keeps about itself."""
    found: dict[str, Size] = {}
    for name, value in vars(module).items():
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
        elif isinstance(value, tuple) and value and all(type(part) is int for part in value):
            found[name] = tuple(value)
    if isinstance(module, fx.GraphModule):
        found[_IN_CALLS] = graph_sizes(module)
    return found


def _set_size(module: nn.Module, name: str, size: Size) -> None:
    if isinstance(module, fx.GraphModule) and name == _IN_CALLS:
        assert isinstance(size, tuple)
        set_graph_sizes(module, size)
    else:
        setattr(module, name, size)


def _named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers under every name they have."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(
        module.named_buffers(remove_duplicate=False)
    )


def _tensors(module: nn.Module, fresh: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what has to be stored, and the further names of tensors that have several."""
    persistent, rebuilt = set(module.state_dict()), _named_tensors(fresh)
    first_names: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, tensor in _named_tensors(module).items():
        # A buffer that the factory computes again (a mask, a table of positions) costs no bytes.
        if name not in persistent and _equal(tensor, rebuilt.get(name)):
            continue
        first = first_names.setdefault(id(tensor), name)
        if first == name:
            tensors[name] = tensor.detach().clone().contiguous()
        else:
            shared[name] = first
    return tensors, shared


def _equal(tensor: Tensor, other: Tensor | None) -> bool:
    return other is not None and tensor.shape == other.shape and bool((tensor == other).all())


def _put(module: nn.Module, tensors: Mapping[str, Tensor], shared: Mapping[str, str]) -> None:
    old = _named_tensors(module)
    new = {
        name: nn.Parameter(tensor, requires_grad=old[name].requires_grad)
        if isinstance(old[name], nn.Parameter)
        else tensor
        for name, tensor in tensors.items()
    }
    new |= {name: new[first] for name, first in shared.items()}
    for name, tensor in new.items():
        path, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(path), attribute, tensor)
