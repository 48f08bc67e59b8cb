"""Where a run does its steps: finds results in the cache, or has them made and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgekit.core import wire
from edgekit.core.process import GIB, Limits, Task, call
from edgekit.core.progress import Progress
from edgekit.core.workspace import Workspace, write_atomic
from edgekit.errors import EdgekitError
from edgekit.pipeline.stages import Plan, Stage

T = TypeVar("T")
Request = TypeVar("Request")

USER_CODE = Limits(memory_bytes=16 * GIB, cpu_s=12 * 3600, wall_s=12 * 3600.0, file_bytes=16 * GIB)
"""For training and what else is the user's own: it is trusted, and may take its time."""

_RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Workbench:
    """The workspace of one run, its plan, and whom to tell how it goes."""

    workspace: Workspace
    plan: Plan
    progress: Progress

    def result(
        self, stage: Stage, subject: str, kind: type[T], make: Callable[[Path], T]
    ) -> tuple[T, Path]:
        """Return the typed result of a planned step, and the folder with its files.

        `make(folder)` does the work when the cache does not have it; what it returns is kept
        beside the files it wrote. Paths inside a kept result are those of the folder while it
        was made, so a caller puts the folder's present place in.
        """
        step = self.plan[stage, subject]

        def keep(folder: Path) -> None:
            self.progress.update(step.label, 0, 1)
            try:
                write_atomic(folder / _RESULT_FILE, wire.encode(make(folder)))
            except EdgekitError:
                self.progress.update(step.label, 1, 1, "failed")
                raise

        place = self.workspace.produce(
            stage.value,
            step.key,
            keep,
            afresh=step.afresh,
            waiting=lambda: self.progress.update(step.label, 0, 0, "another run is making it"),
        )
        self.progress.update(step.label, 1, 1, "" if step.has_work else "as before")
        return wire.read(kind, place / _RESULT_FILE), place

    def call(self, task: Task[Request, T], request: Request, *, threads: int = 1) -> T:
        """Run a task of the user's code in a child; see `core.process.call` for what it raises."""
        return call(task, request, limits=USER_CODE, progress=self.progress, threads=threads)
