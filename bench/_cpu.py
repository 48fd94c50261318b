"""What work costs, whatever else the machine does meanwhile."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any


def cpu(work: Callable[[], Any], times: int = 1) -> float:
    """CPU seconds, the median of several runs."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return median(spent)
