"""Has the C library give the memory of large requests and results back to the system."""

from __future__ import annotations

import ctypes
import logging
import platform

log = logging.getLogger(__name__)

LARGE_BYTES = 2**20
"""Blocks that are larger get pages of their own, which go back as soon as they are freed."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""As in glibc's malloc.h."""


def give_back_large_blocks() -> None:
    """Keep no large block that was freed.

    By itself glibc raises the threshold to the largest block that was ever freed, so that after one
    large job the next ones are carved from a heap that never shrinks. Other C libraries have
    neither that habit nor this call.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not (mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)):
        log.info("the C library does not take a threshold for large blocks")
