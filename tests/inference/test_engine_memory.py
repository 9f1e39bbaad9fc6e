"""What loading a model took and no longer needs goes back to the system."""

import ctypes
import sys
from pathlib import Path

import pytest

from limbeck.inference.engines._memory import give_back_memory

SIZE, COUNT = 100_000, 500


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return 4096 * pages


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' libraries have no such call")
def test_freed_memory_is_given_back():
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        pytest.skip("not glibc")
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(SIZE) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, SIZE)
    last = library.malloc(SIZE)  # above them, so that the library can't shorten its heap
    for block in blocks:
        library.free(block)
    kept = resident_bytes()
    give_back_memory()
    given_back = kept - resident_bytes()
    library.free(last)
    assert given_back > 0.8 * SIZE * COUNT
