"""Notices about events on their way: filters, redactions, own functions, formats, dead letters. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices.notice import error, warning

DEAD_LETTERS = error(
    "E001",
    "Events could not be delivered and are kept as dead letters",
    meaning="Events were refused, or cannot be written as the destination wants them. They are kept with the reason, and can "
    "be sent again. The stream goes on.",
    check="'duologsync dead-letters CONFIG list' counts them by reason, 'show' says why each was refused.",
    fix="Mend the reason, then 'duologsync replay CONFIG'.",
)
FILTER_FAILED = warning(
    "E002",
    "A filter cannot be applied to some events",
    meaning="The filter's expression fails for them. They are sent all the same, with everything redacted that any route "
    "redacts.",
    check="'duologsync test CONFIG' applies the routes to sample events; the metric filter_failures counts them.",
    fix="Let the expression ask whether a field is there, has(user.name), before it uses it.",
)
EVENT_FAILED = error(
    "E003",
    "A function or a redaction fails for an event",
    meaning="Your own function raised an error, or a value cannot be redacted. The event is a dead letter, the stream goes on. "
    "Each place is told once.",
    check="The place in your function that the line names; 'duologsync test CONFIG' runs it on sample events.",
    fix="Correct the function, start the program again, then 'duologsync replay CONFIG'.",
)
FORMAT_BUG = error(
    "E004",
    "A bug in writing an event in a format",
    meaning="An error that nobody expected. The event is a dead letter, the stream goes on. Each place is told once.",
    check="The place that the line names, and the event: 'duologsync dead-letters CONFIG show'.",
    fix="Report it with the place; after an update 'duologsync replay CONFIG' delivers the event.",
)
BAD_ROUTE = error(
    "E005",
    "A filter, redaction or function cannot be used here",
    meaning="What a route names cannot be loaded on this machine. Nothing goes through that route; all else goes on.",
    check="'duologsync check CONFIG' on the machine (or in the image) that runs it.",
    fix="Install what the line names, or correct the route.",
)
