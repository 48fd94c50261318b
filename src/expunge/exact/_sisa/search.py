"""A search over settings that is under way: what it chooses follows from all the records that it scored on.

No deletion takes such a choice back, so it stands beside the model as an influence. Searches of scikit-learn are seen,
since they fit the best settings again themselves; others are covered by what the promise assumes.
"""

import sys
from types import FrameType
from typing import Any

from sklearn.model_selection._search import BaseSearchCV


def search_under_way() -> dict[str, Any] | None:
    """The search of scikit-learn that is fitting its choice just now, by its class, and which parameters it chose."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit":
            search = frame.f_locals.get("self")
            if isinstance(search, BaseSearchCV) and hasattr(search, "best_params_"):
                return {"by": type(search).__name__, "chosen": sorted(search.best_params_)}
        frame = frame.f_back
    return None


def influence(search: dict[str, Any]) -> str:
    """What a search leaves behind, for a plan."""
    chosen = ", ".join(search["chosen"]) or "nothing"
    return (
        f"{chosen} chosen by {search['by']} on records that may have to leave: the choice stays when they do; "
        "search again without them if it must not"
    )
