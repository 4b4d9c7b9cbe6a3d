"""How long the commands take that touch nothing but files: ``python -m benchmarks.commands [CONFIG]``.

``validate`` and ``status`` are typed by people, who notice 0.3 s. They load no Beam (``tests/packaging/test_imports.py``); what
is left is Python's own start and pydantic. The best of some starts is shown, by the clock and by the processor.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = 10
SAMPLE = Path(__file__).parents[1] / "docs" / "config.sample.yml"
COMMANDS = (["-c", "pass"], ["-m", "pipelines", "--version"], ["-m", "pipelines", "validate"], ["-m", "pipelines", "status"])


def best_of(words: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    took = []
    for _ in range(STARTS):
        before, began = _used_secs(), time.perf_counter()
        subprocess.run([sys.executable, *words], check=False, capture_output=True)
        took.append((time.perf_counter() - began, _used_secs() - before))
    return min(clock for clock, _ in took), min(used for _, used in took)


def _used_secs() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Prints one line for each command."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yml"
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
        config.write_text(source.read_text().replace("/var/lib/duologsync", folder))
        for words in COMMANDS:
            full = [*words, str(config)] if words[-1] in ("validate", "status") else words
            clock_secs, used_secs = best_of(full)
            print(f"{' '.join(words):<24} {clock_secs:6.3f} s by the clock {used_secs:6.3f} s of the processor")


if __name__ == "__main__":
    main()
