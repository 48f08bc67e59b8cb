"""Nets that litert-torch cannot convert well by itself, and their export in a child."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.process import Task
from edgekit.core.progress import Progress
from edgekit.core.samples import save_samples
from edgekit.exporting.export import export
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature


class Whole(nn.Module):
    """Two bidirectional LSTM layers, with states from outside and to it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 32, 2, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs, ends = self.lstm(steps, (h.transpose(0, 1), c.transpose(0, 1)))
        h_end, c_end = (end.transpose(0, 1) for end in ends)
        return outputs, h_end, c_end


class LastState(nn.Module):
    """Reads the last state of a GRU only, behind a layer and before one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.gru = nn.GRU(6, 48, batch_first=True)
        self.head = nn.Linear(48, 4)

    def forward(self, steps: Tensor) -> Tensor:
        _, end = self.gru(torch.relu(self.first(steps)))
        logits: Tensor = self.head(end[-1])
        return logits


class Halves(nn.Module):
    """Runs both halves of a sequence through an RNN side by side, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(6, 48, bidirectional=True, nonlinearity="relu", bias=False)

    def forward(self, steps: Tensor) -> Tensor:
        rows, length, features = steps.shape
        halves = steps.reshape(2 * rows, length // 2, features).transpose(0, 1)
        outputs, _ = self.rnn(halves)
        both: Tensor = outputs.transpose(0, 1).reshape(rows, length, -1)
        return both


class Long(nn.Module):
    """Reads more steps than one loop takes, from both ends."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 32, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        outputs, (_, c) = self.lstm(steps)
        return outputs, c.transpose(0, 1)


class OneStep(nn.Module):
    """A recurrent policy that sees one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 16, batch_first=True)

    def forward(self, steps: Tensor) -> Tensor:
        outputs: Tensor = self.gru(steps)[0]
        return outputs


class Generator(nn.Module):
    """A picture from noise: transposed convolutions that pad, one before a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16 * 4 * 4)
        self.second = nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.third = nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1)
        nn.init.uniform_(self.norm.bias)

    def forward(self, noise: Tensor) -> Tensor:
        small = torch.relu(self.first(noise)).reshape(-1, 16, 4, 4)
        return torch.tanh(self.third(torch.relu(self.norm(self.second(small)))))


STATE = (4, 32)
NETS: Mapping[str, tuple[Callable[[], nn.Module], Mapping[str, tuple[int, ...]]]] = {
    "whole": (Whole, {"steps": (10, 6), "h": STATE, "c": STATE}),
    "last": (LastState, {"steps": (10, 6)}),
    "halves": (Halves, {"steps": (10, 6)}),
    "long": (Long, {"steps": (259, 6)}),
    "one_step": (OneStep, {"steps": (1, 6)}),
    "generator": (Generator, {"noise": (6,)}),
}


@dataclass(frozen=True)
class ExportNets:
    """Where the files go: `<net>.tflite`, beside the samples `<net>.samples`."""

    directory: Path


@dataclass(frozen=True)
class ExportedNets:
    """The largest relative error of each net, in the order of `NETS`."""

    errors: tuple[float, ...]


EXPORT_NETS = Task("support.converted_nets:run", ExportNets, ExportedNets)


def run(request: ExportNets, _progress: Progress) -> ExportedNets:
    rng = np.random.default_rng(0)
    errors = []
    for name, (build, shapes) in NETS.items():
        arrays = {k: rng.standard_normal((8, *s), dtype=np.float32) for k, s in shapes.items()}
        samples = save_samples(request.directory / f"{name}.samples", arrays)
        torch.manual_seed(0)
        module = build().eval()
        model = Model(module, find_signature(module, samples), ())
        out = request.directory / f"{name}.tflite"
        report = export(model, samples, Format.TFLITE, out, ExportSettings())
        errors.append(report.worst_relative_error)
    return ExportedNets(tuple(errors))
