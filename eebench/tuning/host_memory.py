"""Memory on a CPU: what was freed is kept for what is asked for next.

In training, logits and their gradients are positions x vocabulary, tens of megabytes that are allocated and freed at
every read of the head. glibc asks the system for each block of that size and gives it back when it is freed, and the
system clears it page by page every time. Kept in the heap (mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD), the
same pages are used again. `python -m benchmarks.host_memory` measures what that is worth.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""The names of glibc's malloc.h."""

NEVER_TRIM = -1
GROW_BY = 64 << 20


def keep_freed_memory() -> bool:
    """Have the process keep memory that it frees; whether it will.

    Left alone are other systems and C libraries, and whoever has set up malloc by its environment variables.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if "glibc" not in _c_library():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(name, value) for name, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER_TRIM), (TOP_PAD, GROW_BY))
    )


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):  # it is another's name
        return ""
