"""Functions as a user might write them, good and bad ones."""

import asyncio

calls = []


def nothing(row, stream):
    """Keeps no event."""


def unchanged(row, stream):
    calls.append((row, stream))
    return row


def tagged(row, stream):
    row["tenant"] = f"{stream.account}/{stream.log_type}"
    return row


def twice(row, stream):
    return [row, {**row, "copy": True}, {"note": "without an id"}, {**row, "copy": 2}]


def broken(row, stream):
    raise ValueError(f"the user is {row['user']}")


def leaves(row, stream):
    raise SystemExit(3)


def is_cancelled(row, stream):
    raise asyncio.CancelledError(row["user"])


def says_a_number(row, stream):
    return 7


def says_an_object(row, stream):
    row["x"] = object()
    return row


NOT_A_FUNCTION = 5
