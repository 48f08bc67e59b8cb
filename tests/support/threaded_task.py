"""A task whose module starts a thread as it is imported, as some libraries do."""

import threading

from support.child_tasks import Deed, Outcome

from edgekit.core.process import Task
from edgekit.core.progress import Progress

threading.Thread(target=threading.Event().wait, daemon=True).start()


def run(request: Deed, progress: Progress) -> Outcome:
    return Outcome(request.name)


TASK = Task("support.threaded_task:run", Deed, Outcome, kept=True)
