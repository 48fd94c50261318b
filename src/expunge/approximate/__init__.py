"""Model in, model out: unlearning methods for models that were not made of units. One method, one file, its formula.

What they do is measured by attacks and never called more than that. `edit` runs any of them.
"""

from typing import TYPE_CHECKING

from expunge.approximate._registry import methods
from expunge.core.lazily import lazily

if TYPE_CHECKING:
    from expunge.approximate._disk import OnDisk as OnDisk
    from expunge.approximate._disk import on_disk as on_disk
    from expunge.approximate._edit import Edited as Edited
    from expunge.approximate._edit import run_edit as run_edit
    from expunge.approximate._lat import Lat as Lat
    from expunge.approximate._method import Method as Method
    from expunge.approximate._method import Objective as Objective
    from expunge.approximate._sam import Sam as Sam
    from expunge.approximate._settings import Edit as Edit

_HOMES = {
    "Edit": "_settings",
    "Edited": "_edit",
    "Lat": "_lat",
    "Method": "_method",
    "Objective": "_method",
    "Sam": "_sam",
    "OnDisk": "_disk",
    "on_disk": "_disk",
    "run_edit": "_edit",
}

__all__ = ["Edit", "Edited", "Lat", "Method", "Objective", "OnDisk", "Sam", "methods", "on_disk", "run_edit"]
# The engine behind `edit`, imported when first used, so that listing methods needs no torch.
__getattr__ = lazily(__name__, _HOMES)
