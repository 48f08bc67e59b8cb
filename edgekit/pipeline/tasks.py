"""The work of a run that needs the user's code or PyTorch, as tasks for a child process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.artifact import Artifact, Format
from edgekit.core.data import SplitName
from edgekit.core.model import SavedModel
from edgekit.core.process import Task
from edgekit.core.results import Latency, Unavailable
from edgekit.core.samples import Samples
from edgekit.exporting.report import ExportReport
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.source import DataSource, Source
from edgekit.profiling.settings import ProfileSettings
from edgekit.pruning.settings import PruneSettings
from edgekit.training.settings import FitSettings
from edgekit.verification.scoring import Score
from edgekit.verification.settings import VerifySettings


@dataclass(frozen=True)
class LoadDataRequest:
    """Call the recipe's data function and write its splits into `directory`."""

    source: DataSource
    directory: Path


@dataclass(frozen=True)
class LoadDataResponse:
    """The splits that the data function gave."""

    splits: tuple[str, ...]


@dataclass(frozen=True)
class LabelUses:
    """What the labels of a run are for, so that a model which they do not fit is not trained."""

    splits: Mapping[SplitName, Samples]
    fits: tuple[FitSettings, ...]
    verify: VerifySettings


@dataclass(frozen=True)
class BuildRequest:
    """Build a model, fit it when `fit` says how, and save it into `directory`."""

    source: Source
    samples: Samples
    fit: FitSettings | None
    directory: Path
    labels: LabelUses | None = None


@dataclass(frozen=True)
class PruneRequest:
    """Prune a saved model and save what is left into `directory`."""

    source: Source
    model: SavedModel
    samples: Samples
    settings: PruneSettings
    directory: Path


@dataclass(frozen=True)
class FinetuneRequest:
    """Fit a saved model to samples, with another as its teacher, into `directory`."""

    source: Source
    model: SavedModel
    teacher: SavedModel
    samples: Samples
    fit: FitSettings
    directory: Path


@dataclass(frozen=True)
class ExportRequest:
    """Write a saved model as a file of `format`, checked on `samples`."""

    model: SavedModel
    samples: Samples
    format: Format
    settings: ExportSettings
    path: Path


@dataclass(frozen=True)
class ExecuteRequest:
    """Run a saved model on samples and write its outputs into `directory`."""

    model: SavedModel
    samples: Samples
    directory: Path


@dataclass(frozen=True)
class ExecuteResponse:
    """How many rows were run."""

    rows: int


@dataclass(frozen=True)
class ScoreRequest:
    """Let `function` of the recipe's folder score a saved model or a file on samples."""

    subject: SavedModel | Artifact
    samples: Samples
    function: str
    code_directory: Path


@dataclass(frozen=True)
class TimeRequest:
    """Time a saved model on this machine."""

    model: SavedModel
    samples: Samples
    settings: ProfileSettings
    threads: int


@dataclass(frozen=True)
class TimeResponse:
    """What was measured, and with which PyTorch."""

    latency: Latency
    load_ns: float
    peak_memory_bytes: int | Unavailable
    version: str


LOAD_DATA = Task("edgekit.pipeline.data_child:load_data", LoadDataRequest, LoadDataResponse)
BUILD = Task("edgekit.pipeline.torch_child:build", BuildRequest, SavedModel, kept=True)
PRUNE = Task("edgekit.pipeline.torch_child:prune_model", PruneRequest, SavedModel, kept=True)
FINETUNE = Task("edgekit.pipeline.torch_child:finetune", FinetuneRequest, SavedModel, kept=True)
EXPORT = Task("edgekit.pipeline.torch_child:export_model", ExportRequest, ExportReport, kept=True)
EXECUTE = Task(
    "edgekit.pipeline.torch_child:execute_model", ExecuteRequest, ExecuteResponse, kept=True
)
SCORE_FILE = Task("edgekit.pipeline.score_child:score_file", ScoreRequest, Score)
SCORE_MODULE = Task("edgekit.pipeline.torch_child:score_module", ScoreRequest, Score, kept=True)
# What is timed starts fresh.
TIME = Task("edgekit.pipeline.torch_child:time_model", TimeRequest, TimeResponse)
