"""Makes the C library return the memory of large blocks to the system."""

from __future__ import annotations

import ctypes
import logging
import platform

log = logging.getLogger(__name__)

LARGE_BYTES = 2**20
"""Larger blocks get pages of their own, which are returned as soon as they are freed."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Constants of glibc's malloc.h."""


def give_back_large_blocks() -> None:
    """Fix the thresholds from which freed blocks are returned to the system.

    By default glibc raises the threshold to the largest block that was ever freed: after one large
    job, the next ones come from a heap that never shrinks. Other C libraries need no such call.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not (mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)):
        log.info("the C library does not take a threshold for large blocks")
