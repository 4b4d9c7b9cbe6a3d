"""The C library's allocator: large blocks that are free are given back."""

import os
import subprocess
import sys

from transforms.process.allocator import give_memory_back

PROGRAM = """
from pathlib import Path
from transforms.process.allocator import give_memory_back

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

if {given_back}:
    assert give_memory_back()
once = bytearray(30_000_000)
del once
before = resident_mb()
blocks, kept = [], []
for _ in range(64):
    blocks.append(b"x" * 1_000_000)
    kept.append(b"y" * 50_000)
del blocks
print(resident_mb() - before)
"""


def left_behind_mb(given_back):
    """What stays of 64 MB in large blocks that were freed, each beside something small that was not."""
    program = [sys.executable, "-c", PROGRAM.format(given_back=given_back)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    return float(subprocess.run(program, stdout=subprocess.PIPE, check=True, text=True, env=env).stdout)


def test_large_blocks_that_are_free_go_back_to_the_system():
    assert left_behind_mb(True) < 10
    assert left_behind_mb(False) > 30, "nothing is left behind without it, so it is not needed"


def test_it_may_be_asked_for_again():
    assert give_memory_back()
    assert give_memory_back()
