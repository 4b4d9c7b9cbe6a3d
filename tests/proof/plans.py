"""What happens in a history, chosen by a seed: a few families of trouble, many of each, at moments that hurt.

Place: ``history`` runs a plan. A plan is a value: it can be printed, run again, and cut down to what matters.

Why not ``RuleBasedStateMachine``: its rules run one after another, and the faults that lose events come while the program is
in the middle of something: waiting for a SIEM, writing a file, between a delivery and its commit. Here a plan says when each
blow falls, in virtual time or by number of disk and network operations, and the program's own threads go on meanwhile. It
finds more for its time, too: a history is chosen within microseconds, and takes only some families of trouble ("swarm
testing"), because many at once hide one another. ``shrink`` cuts a failing plan down as Hypothesis would.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from tests.proof.duo import LOG_TYPES, ODDITIES, TROUBLES

HOSTS = ("json-siem", "cef-siem")
ONE_AWAY = "one_away"


@dataclass(frozen=True)
class Action:
    """Something that happens ``after_secs`` the action before it. ``what`` is a method of ``history.History``."""

    after_secs: float
    what: str
    arguments: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"+{self.after_secs:g} s {self.what}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True)
class Plan:
    """A history to be.

    Attributes:
      backlog: rows of each log that are hours old at the beginning.
      receive_bytes: what a SIEM's kernel takes unread. lag_secs: how soon its application reads.
      gives_up, finalizes_late, drops_finalizers: how likely the runner does so, per bundle.
      families: the kinds of trouble that were asked for; none for a choice of the seed's own.
      rest_secs: from the last action until all troubles end.
    """

    seed: int
    log_types: tuple[str, ...]
    page_rows: int
    backlog: int
    receive_bytes: int
    lag_secs: float
    gives_up: float
    finalizes_late: float
    drops_finalizers: float
    actions: tuple[Action, ...]
    rest_secs: float = 10.0
    families: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What runs this plan again, as long as it is not cut down."""
        return " ".join((f"tests/run.sh proof --seed {self.seed}", *(f"--family '{name}'" for name in self.families)))

    def __str__(self) -> str:
        settings = ", ".join(f"{one.name} {getattr(self, one.name)}" for one in fields(self) if one.name != "actions")
        return "\n".join((settings, *(f"  {action}" for action in self.actions)))


Choose = Callable[[random.Random, tuple[str, ...]], Action]


def _moment(rng: random.Random) -> float:
    """Mostly soon, now and then much later."""
    return round(rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 3), rng.uniform(0, 3), rng.uniform(30, 200))), 3)


def _rows(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    ago = rng.choice((0.0, 11.0, 15.0, 200.0))
    return Action(_moment(rng), "publish", (rng.choice(log_types), rng.choice((1, 3, 8, 25)), ago))


def _away(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    """The program is down for long while Duo goes on, and has much to catch up with."""
    return Action(_moment(rng), "away", (rng.choice((900.0, 4000.0, 9000.0)), rng.choice((5, 20))))


def _one_away(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    dies_meanwhile = rng.random() < 0.4
    return Action(_moment(rng), ONE_AWAY, (rng.choice(HOSTS), rng.choice((200.0, 900.0, 4000.0)), dies_meanwhile))


def _late_rows(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(_moment(rng), "publish_late", (rng.choice(log_types), rng.randint(1, 4), rng.choice((130.0, 300.0, 500.0))))


def _odd_row(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(_moment(rng), "publish_odd", (rng.choice(log_types), rng.choice((*ODDITIES, "same id"))))


def _answer(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(_moment(rng), "trouble_of_duo", (rng.choice(TROUBLES), rng.choice((1, 1, 2, 4))))


def _empty(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    if rng.random() < 0.3:
        return _away(rng, log_types)
    return Action(_moment(rng), "trouble_of_duo", ("empty answer", rng.choice((1, 2, 6)), rng.choice((0, 1, 2))))


def _siem(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    host = rng.choice(HOSTS)
    what, arguments = rng.choice(
        (
            ("reset", ()),
            ("restart", (rng.choice((0.5, 5.0, 40.0)),)),
            ("slow", (rng.choice((2.0, 30.0)),)),
            ("hang", (rng.choice((1.0, 40.0)),)),
            ("cut_cable", (rng.choice((1.0, 45.0, 90.0)),)),
            ("power_of_siem", (rng.choice((3.0, 40.0)),)),
        )
    )
    return Action(_moment(rng), what, (host, *arguments))


def _hang(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    if rng.random() < 0.3:
        return Action(_moment(rng), "terminate")
    return Action(_moment(rng), "hang_and_reset", (rng.choice(HOSTS), rng.choice((1, 2, 3)), rng.choice((2.0, 64.0))))


def _rejections(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(_moment(rng), "refuse", (rng.choice(HOSTS), rng.choice((1, 2, 5)), rng.choice((5.0, 60.0, 400.0))))


def _goodbye(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    after = rng.choice((0.2, 1.0, 5.0))
    return Action(_moment(rng), "goodbye_then_reset", (rng.choice(HOSTS), after, rng.choice((0.05, 1.5))))


def _process(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return rng.choice(
        (
            Action(_moment(rng), "kill"),
            Action(_moment(rng), "kill_at", (rng.randint(1, 60),)),
            Action(_moment(rng), "power_cut_at", (rng.randint(1, 60),)),
            Action(_moment(rng), "terminate"),
        )
    )


def _both(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    hanging = Action(_moment(rng), "hang", (rng.choice(HOSTS), rng.choice((3.0, 100.0))))
    return rng.choice((hanging, Action(_moment(rng), "both_die"), Action(_moment(rng), "both_die_at", (rng.randint(1, 60),))))


def _clock(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    offset = rng.choice((-3600.0, -7200.0, 3600.0, 240.0, -240.0, -86_400.0 * 365 * 20, 86_400.0 * 30))
    return Action(_moment(rng), "clock_jumps", (offset, rng.choice((1.0, 15.0, 100.0, 900.0))))


def _disk(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(
        _moment(rng), "trouble_of_disk", (rng.choice(("ENOSPC", "EIO", "short writes")), rng.choice((1.0, 20.0, 100.0)))
    )


def _bit(rng: random.Random, log_types: tuple[str, ...]) -> Action:
    return Action(_moment(rng), "flip_a_bit", (rng.choice((900.0, 3000.0, 9000.0)), rng.choice((5, 20))))


FAMILIES: dict[str, Choose] = {
    "late rows": _late_rows,
    "odd rows": _odd_row,
    "answers": _answer,
    "empty answers": _empty,
    "SIEM": _siem,
    "one SIEM away": _one_away,
    "hanging SIEM": _hang,
    "goodbyes": _goodbye,
    "rejections": _rejections,
    "process": _process,
    "both": _both,
    "clock": _clock,
    "disk": _disk,
    "bits": _bit,
}


def plan_of(seed: int, families: tuple[str, ...] | None = None) -> Plan:
    """The plan that a seed stands for; of these families of trouble only, if any are named."""
    rng = random.Random(seed)
    chosen = families or tuple(rng.sample(sorted(FAMILIES), rng.choice((1, 2, 2, 3, 4))))
    log_types = tuple(rng.sample(LOG_TYPES, rng.choice((1, 1, 2, 3))))
    actions = [_rows(rng, log_types)]
    choices = [FAMILIES[name] for name in chosen]
    actions += [(rng.choice(choices) if rng.random() < 0.55 else _rows)(rng, log_types) for _ in range(rng.randint(4, 14))]
    return Plan(
        seed=seed,
        log_types=log_types,
        page_rows=rng.choice((2, 5, 20)),
        backlog=rng.choice((0, 10, 40)),
        receive_bytes=rng.choice((2_000, 64_000, 256_000)),
        lag_secs=rng.choice((0.0005, 0.05, 1.0)),
        gives_up=rng.choice((0.0, 0.0, 0.05)),
        finalizes_late=rng.choice((0.0, 0.0, 0.5)),
        drops_finalizers=rng.choice((0.0, 0.0, 0.1)),
        actions=tuple(actions),
        rest_secs=rng.choice((10.0, 150.0, 300.0)),
        families=families or (),
    )


def shrink(plan: Plan, fails: Callable[[Plan], bool], attempts: int = 150) -> Plan:
    """A plan that fails as well, with fewer actions and fewer things switched on."""
    size = max(1, len(plan.actions) // 2)
    while attempts > 0:
        at = 0
        while at < len(plan.actions) and attempts > 0:
            attempts -= 1
            smaller = replace(plan, actions=plan.actions[:at] + plan.actions[at + size :])
            if fails(smaller):
                plan = smaller
            else:
                at += size
        if size == 1:
            break
        size //= 2
    for simpler in ({"gives_up": 0.0}, {"finalizes_late": 0.0}, {"drops_finalizers": 0.0}, {"log_types": plan.log_types[:1]}):
        smaller = replace(plan, **simpler)
        if smaller != plan and fails(smaller):
            plan = smaller
    return plan
