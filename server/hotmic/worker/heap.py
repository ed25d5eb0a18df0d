"""How the C library keeps the memory that inference frees.

An encoder takes and frees buffers of megabytes for every batch. As glibc is set up, each of them is mapped anew and
its pages are zeroed by the kernel on first touch, which took a tenth to a quarter of the time of a small model. Kept
in the heap, the next batch finds them warm; a worker holds some 20 MB more.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of ``malloc.h``, see mallopt(3)."""
_SETTINGS = {
    _MMAP_THRESHOLD: 32 << 20,  # the most that every glibc takes
    _TRIM_THRESHOLD: 512 << 20,
    _TOP_PAD: 64 << 20,
}


def keep_freed_memory() -> bool:
    """Let this process reuse what it frees instead of giving it back; return whether the C library can be told so."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        # musl has none.
        return False
    return all(libc.mallopt(name, value) for name, value in _SETTINGS.items())
