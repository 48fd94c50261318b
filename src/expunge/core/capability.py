"""The processor mode in which bits are made to repeat; set in the environment before torch starts."""

import os

# AVX2 is common to processors of the last decade; the same seed gives other bits under other instruction sets.
CAPABILITY = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "OMP_NUM_THREADS": "1",
}


def pin_capability() -> None:
    """Ask for this mode where the user has not asked for another; of use only before torch is imported."""
    for name, value in CAPABILITY.items():
        os.environ.setdefault(name, value)
