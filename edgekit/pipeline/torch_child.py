"""The steps that need a PyTorch module: load it, call the step, save what came out.

Each function is a task's entry and runs in a child process of its own.
"""

import time

import numpy as np

from edgekit.core.data import SplitName
from edgekit.core.model import Model, SavedModel
from edgekit.core.progress import Progress
from edgekit.core.samples import Samples
from edgekit.errors import InputRefusedError
from edgekit.exporting.export import export
from edgekit.exporting.report import ExportReport
from edgekit.loading.factory import build_model
from edgekit.loading.saved import load_model, save_model
from edgekit.loading.source import OnnxSource
from edgekit.loading.train_function import train_function
from edgekit.pipeline.data_checks import refuse_unfit_test_labels
from edgekit.pipeline.onnx_parity import import_checked, refuse_fixed_batch
from edgekit.pipeline.score_child import score
from edgekit.pipeline.tasks import (
    BuildRequest,
    ExecuteRequest,
    ExecuteResponse,
    ExportRequest,
    FinetuneRequest,
    LabelUses,
    PruneRequest,
    ScoreRequest,
    TimeRequest,
    TimeResponse,
)
from edgekit.pipeline.torch_session import TorchSession
from edgekit.profiling.memory import peak_memory
from edgekit.profiling.timing import single_rows, time_sessions
from edgekit.pruning.prune import prune
from edgekit.runtimes.execute_child import stream
from edgekit.runtimes.feed import batch_of, match_names
from edgekit.training.fit import fit, refuse_unfit_labels
from edgekit.verification.scoring import Score


def build(request: BuildRequest, progress: Progress) -> SavedModel:
    """Call the factory, load or learn the weights, and save the model."""
    source, samples = request.source, request.samples
    if isinstance(source, OnnxSource):
        progress.update("model", 0, 0, source.file.name)
        model = import_checked(source, samples)
    else:
        progress.update("model", 0, 0, source.factory)
        model = build_model(source, samples)
    if request.labels is not None:
        _refuse_unfit_labels(model, request.labels)
    if request.fit is not None:
        train = train_function(request.fit, source.code_directory)
        samples = _named_alike(samples, model)
        refuse_fixed_batch(model, samples, request.fit.batch_size)
        model = fit(model, samples, request.fit, teacher=None, progress=progress, train=train)
    return save_model(model, request.source, request.directory)


def prune_model(request: PruneRequest, progress: Progress) -> SavedModel:
    """Prune a saved model."""
    progress.update("prune", 0, 0)
    rng = np.random.default_rng(request.settings.seed)
    model = load_model(request.model)
    batch = batch_of(model.signature)
    samples = _named_alike(request.samples, model).head(batch or request.samples.count)
    smaller = prune(model, samples, request.settings, rng)
    return save_model(smaller, request.source, request.directory)


def finetune(request: FinetuneRequest, progress: Progress) -> SavedModel:
    """Fit a saved model again, taught by what it was before it was pruned."""
    student, teacher = load_model(request.model), load_model(request.teacher)
    train = train_function(request.fit, request.source.code_directory)
    samples = _named_alike(request.samples, student)
    refuse_fixed_batch(student, samples, request.fit.batch_size)
    tuned = fit(student, samples, request.fit, teacher=teacher, progress=progress, train=train)
    return save_model(tuned, request.source, request.directory)


def export_model(request: ExportRequest, progress: Progress) -> ExportReport:
    """Write a saved model as a file of one format."""
    progress.update("export", 0, 0, request.format.value)
    model = load_model(request.model)
    return export(model, request.samples, request.format, request.path, request.settings)


def execute_model(request: ExecuteRequest, progress: Progress) -> ExecuteResponse:
    """Run a saved model on samples."""
    model = load_model(request.model)
    session = TorchSession(model, threads=1)
    names = match_names(request.samples, model.signature.inputs)
    stream(session, request.samples, names, request.directory, progress)
    return ExecuteResponse(request.samples.count)


def score_module(request: ScoreRequest, _progress: Progress) -> Score:
    """Let the recipe's function score a saved model."""
    assert isinstance(request.subject, SavedModel), "a file needs no PyTorch"
    return score(TorchSession(load_model(request.subject), threads=1), request)


def time_model(request: TimeRequest, progress: Progress) -> TimeResponse:
    """Load a saved model and time it as any other, with PyTorch as the runtime."""
    rng = np.random.default_rng(0)
    with peak_memory() as peak:
        start = time.perf_counter_ns()
        session = TorchSession(load_model(request.model), threads=request.threads)
        load_ns = float(time.perf_counter_ns() - start)
        session.run(single_rows(session, request.samples)[0])
    latencies = time_sessions(
        {"torch": session},
        request.samples,
        request.settings,
        rng,
        threads=request.threads,
        progress=progress,
    )
    return TimeResponse(latencies["torch"], load_ns, peak.added_bytes, session.version)


def _refuse_unfit_labels(model: Model, uses: LabelUses) -> None:
    """Refuse labels that the model cannot learn, or be judged by; those of all splits at once.

    Raises:
        InputRefusedError: The loss or the metric cannot take them.
    """
    problems: dict[str, str] = {}
    outputs, train = model.signature.outputs, uses.splits.get(SplitName.TRAIN)
    try:
        if train is not None:
            for settings in uses.fits:
                refuse_unfit_labels(outputs, train, settings)
    except InputRefusedError as error:
        problems[f"split '{SplitName.TRAIN.value}': {error.message}"] = error.hint
    try:
        refuse_unfit_test_labels(uses.splits, uses.verify, model.signature)
    except InputRefusedError as error:
        problems[f"split '{SplitName.TEST.value}': {error.message}"] = error.hint
    if problems:
        hints = dict.fromkeys(problems.values())
        raise InputRefusedError("; ".join(problems), hint="; ".join(hints))


def _named_alike(samples: Samples, model: Model) -> Samples:
    """Return samples named as the model's inputs; a file's names need not be those of the data."""
    return samples.renamed(match_names(samples, model.signature.inputs))
