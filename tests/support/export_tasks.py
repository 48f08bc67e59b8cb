"""Builds and exports a model of every family, in a child: converters are large and noisy."""

from dataclasses import dataclass
from pathlib import Path

import torch
from support.torch_models import conv_bn, model_for, samples_for
from torch import Tensor, nn

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.process import Task
from edgekit.core.progress import Progress
from edgekit.core.samples import Samples
from edgekit.core.tensors import Signature
from edgekit.exporting.export import export
from edgekit.exporting.report import ExportReport
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature


@dataclass(frozen=True)
class ExportFamilies:
    """Which families to write in which format, into `directory`."""

    families: tuple[str, ...]
    format: Format
    directory: Path
    settings: ExportSettings


@dataclass(frozen=True)
class Exported:
    """What came out of one family, beside what its model takes and how large its weights are."""

    family: str
    report: ExportReport
    signature: Signature
    weights_bytes: int


@dataclass(frozen=True)
class ExportedFamilies:
    """One entry a family, in the order asked for."""

    exported: tuple[Exported, ...]


EXPORT_FAMILIES = Task("support.export_tasks:run", ExportFamilies, ExportedFamilies)


def run(request: ExportFamilies, progress: Progress) -> ExportedFamilies:
    exported = []
    for index, family in enumerate(request.families):
        progress.update("export", index, len(request.families), family)
        samples = samples_for(family, request.directory / f"{family}.samples")
        model = model_for(family, samples)
        out = request.directory / f"{family}.{request.format.value}"
        report = export(model, samples, request.format, out, request.settings)
        stored = model.module.state_dict().values()
        weights_bytes = sum(value.numel() * value.element_size() for value in stored)
        exported.append(Exported(family, report, model.signature, weights_bytes))
    return ExportedFamilies(tuple(exported))


class Cnn(nn.Module):
    """A MobileNet-like net of 134 thousand parameters for pictures of 28 by 28."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(16, 32, 1), (32, 64, 2), (64, 128, 1), (128, 128, 2), (128, 256, 1)]
        blocks = [conv_bn(1, 16, stride=2)]
        for inputs, outputs, stride in [*widths, (256, 256, 1)]:
            blocks.append(conv_bn(inputs, inputs, stride=stride, groups=inputs))
            pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
            blocks.append(nn.Sequential(pointwise, nn.BatchNorm2d(outputs), nn.ReLU6()))
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(256, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).mean((2, 3)))
        return logits


@dataclass(frozen=True)
class ExportCnn:
    """Export a `Cnn` whose batch norms have seen `samples`."""

    samples: Samples
    format: Format
    out: Path


EXPORT_CNN = Task("support.export_tasks:export_cnn", ExportCnn, ExportReport)


def export_cnn(request: ExportCnn, _progress: Progress) -> ExportReport:
    torch.manual_seed(0)
    module = Cnn()
    with torch.no_grad():
        for batch in list(request.samples.batches(16)) * 5:
            module(torch.from_numpy(batch["images"]))
    module.eval()
    model = Model(module, find_signature(module, request.samples), ())
    return export(model, request.samples, request.format, request.out, ExportSettings())
