"""Hold a step of a request while it runs, so that a second worker cannot run it too, and one whose lease was lost stops."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from expunge.core.errors import ExpungeError
from expunge.ledger import Step
from expunge.workflow.project.files import is_only_writer
from expunge.workflow.project.project import Project

LEASE_S = 300.0


@dataclass(frozen=True)
class Lease:
    """A step that this worker holds."""

    project: Project
    step: Step

    def check(self) -> None:
        """Right before an effect that cannot be undone. Raises: ProjectLocked, if another worker holds the step now."""
        self.project.ledger.heartbeat_step(self.step)

    def finish(self, **result: object) -> None:
        """Inside the transaction of the effect. Raises: ProjectLocked, as `check`; then nothing of it is recorded."""
        self.project.ledger.finish_step(self.step, result)


@contextmanager
def leased(project: Project, request: str, name: str, lease_s: float = LEASE_S) -> Iterator[Lease]:
    """Claim a step and keep its lease alive, by a thread, until the block ends. A block that raises leaves the step unclaimed.

    Who holds the project's lock takes over what a worker that was killed had claimed.

    Raises: ProjectLocked, while another worker holds the step.
    """
    step = project.ledger.claim_step(request, name, lease_s=lease_s, take_over=is_only_writer(project.root))
    ended = Event()
    thread = Thread(target=_beat, args=(project, step, lease_s, ended), name=f"lease of {name}", daemon=True)
    thread.start()
    try:
        yield Lease(project, step)
    except BaseException:
        with suppress(ExpungeError):  # what was raised says more
            project.ledger.drop_step(step)
        raise
    finally:
        ended.set()
        thread.join()


def _beat(project: Project, step: Step, lease_s: float, ended: Event) -> None:
    """Until the step ends, or is another's. A beat that cannot be written now is made up for by the next."""
    while not ended.wait(lease_s / 3):
        with suppress(SQLAlchemyError):
            if not project.ledger.beat_step(step, lease_s=lease_s):
                return
