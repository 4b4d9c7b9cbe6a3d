"""More histories, for as long as is wished: ``python -m tests.proof --minutes 60``, or ``tests/run.sh proof --minutes 60``.

``--seed N`` runs one again, as a failure has printed it. ``--chaos`` torments real processes instead (``chaos``). Seeds are
random unless ``--from`` says where to begin; each is printed where it matters. Exit code 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

from tests.proof.history import run
from tests.proof.plans import FAMILIES, plan_of, shrink

_TELL_EVERY_SECS = 60.0


def main() -> int:
    """The exit code."""
    words = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    words.add_argument("--minutes", type=float, default=1.0)
    words.add_argument("--seed", type=int, help="run this one history")
    words.add_argument("--from", type=int, dest="first", help="begin with this seed")
    words.add_argument(
        "--family", action="append", choices=sorted(FAMILIES), help="only troubles of this kind; may be repeated"
    )
    words.add_argument("--chaos", action="store_true", help="real processes")
    chosen = words.parse_args()
    if chosen.chaos:
        from tests.proof import chaos

        return chaos.main(chosen.minutes, chosen.seed)
    families = tuple(chosen.family) if chosen.family else None
    if chosen.seed is not None:
        outcome = run(plan_of(chosen.seed, families))
        print(outcome, f"{dict(outcome.counts)}", sep="\n")
        return 1 if outcome.wrong else 0
    first = chosen.first if chosen.first is not None else random.SystemRandom().randrange(2**31)
    return _go_on(first, families, chosen.minutes * 60)


def _go_on(first: int, families: tuple[str, ...] | None, secs: float) -> int:
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began = told = time.monotonic()
    virtual_secs, seed = 0.0, first
    while time.monotonic() - began < secs:
        plan = plan_of(seed, families)
        outcome = run(plan)
        counts.update(outcome.counts + Counter({"histories": 1, "actions": len(plan.actions)}))
        virtual_secs += outcome.virtual_secs
        if outcome.wrong:
            failed.append(seed)
            smallest = shrink(plan, fails=lambda smaller: bool(run(smaller).wrong))
            print(outcome, "", "and, with less trouble:", run(smallest), "", sep="\n", flush=True)
        seed += 1
        if time.monotonic() - told > _TELL_EVERY_SECS:
            told = time.monotonic()
            print(f"{counts['histories']:,} histories, {len(failed)} failed; seeds {first} to {seed - 1}", flush=True)
    print(f"seeds {first} to {seed - 1}; {virtual_secs / 86_400:,.1f} days of simulated time")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count:,}")
    print(f"failed: {len(failed)}{f', seeds {failed}' if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
