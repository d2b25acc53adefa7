"""A serving process keeps its memory together."""

from __future__ import annotations

import subprocess
import sys

import pytest

_THREADS = """
import ctypes, sys, threading
from dragoman import memory
if sys.argv[1] == "gathered":
    memory.gather()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
found = []
here = threading.Barrier(4)
def take():
    here.wait()
    found.append(libc.malloc(100_000))
threads = [threading.Thread(target=take) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
heap = next(line for line in open("/proc/self/maps") if "[heap]" in line).split()[0]
begin, end = (int(part, 16) for part in heap.split("-"))
print(sum(begin <= place < end for place in found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are the GNU C library's")
def test_all_threads_allocate_from_one_arena_unless_the_operator_says_otherwise():
    def inside(way, more=None):
        told = subprocess.run(
            [sys.executable, "-c", _THREADS, way],
            env={"PATH": "/usr/bin:/bin", **(more or {})},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(told.stdout)

    assert inside("gathered") == 4
    assert inside("spread") < 4
    assert inside("gathered", {"MALLOC_ARENA_MAX": "8"}) < 4
