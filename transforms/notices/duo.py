"""Notices about reading Duo. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices import program
from transforms.notices.notice import Notice, error, warning

KEYS_REFUSED = error(
    "D001",
    "Duo refuses the keys",
    meaning="Duo answers 401: the integration key, the secret key or the API host is wrong, or the key was revoked. Nothing of "
    "this account is read; its positions stay, so nothing is lost as long as Duo keeps the events (180 days).",
    check="Compare ikey, api_host and the secret with the application of type Admin API in Duo's Admin Panel: "
    "'duologsync check CONFIG' asks Duo once and says what it answers.",
    fix="Correct the key, or make the application in Duo's Admin Panel active again; a running program goes on by itself.",
)
KEYS_IN_DOUBT = warning(
    "D002",
    "Duo refuses the keys, and is asked again",
    meaning="A single refusal may be a gateway's mishap or a key that is being changed: it is believed after a minute.",
    check="Wait for a minute: either reading goes on, or DLS-D001 follows.",
    fix="Nothing to do, unless DLS-D001 follows.",
)
RATE_LIMITED = warning(
    "D003",
    "Duo has answered 429 for a long time",
    meaning="Duo allows fewer calls than are made, 20 times in a row. The program slows down by itself; events come later.",
    check="Look for other programs that use the same Admin API application: Duo counts the calls of all of them.",
    fix="Give this program an Admin API application of its own.",
)
UNREACHABLE = warning(
    "D004",
    "Duo cannot be reached",
    meaning="The name is not resolved, the connection fails, or no answer comes in time. It is tried again, less and less "
    "often, at least once a minute; nothing is lost.",
    check="'duologsync check CONFIG'; from the same machine: 'curl -v https://API_HOST/auth/v2/ping'.",
    fix="Allow HTTPS from this machine to the account's api_host, or correct the proxy.",
)
SERVER_ERROR = warning(
    "D005",
    "Duo answers with an error of its own",
    meaning="Duo's servers have a problem (5xx). It is tried again; nothing is lost.",
    check="Look at https://status.duo.com.",
    fix="Wait; if it stays for hours, ask Duo's support with the code of the answer.",
)
NOT_DUO = warning(
    "D006",
    "Something that is not Duo answers in its place",
    meaning="The answer is not what Duo's API sends: a proxy's or a portal's page, or it was cut or changed on the way.",
    check="From the same machine: 'curl -v https://API_HOST/auth/v2/ping' and look who answers.",
    fix="Let the proxy pass calls to the account's api_host unchanged.",
)
CLOCK_SKEW = warning(
    "D007",
    "This machine's clock is wrong",
    meaning="Duo takes signed calls only within five minutes of its own clock. Nothing is read until the clock is right.",
    check="'timedatectl', 'chronyc tracking'; the line says by how much the clock is off.",
    fix="Let NTP set this machine's clock.",
)
TLS = warning(
    "D008",
    "Duo's certificate is not accepted",
    meaning="The certificate that was shown is not signed by a known authority, or is not Duo's: usually something inspects "
    "TLS.",
    check="'openssl s_client -connect API_HOST:443 -servername API_HOST' shows who signed it.",
    fix="Exclude the account's api_host from TLS inspection, or name the inspecting authority in ca_file.",
)
PROXY = warning(
    "D009",
    "The proxy does not let calls to Duo through",
    meaning="The proxy refuses, or asks for another user and password. It is tried again; nothing is lost.",
    check="'curl -v --proxy PROXY https://API_HOST/auth/v2/ping' from the same machine.",
    fix="Correct the proxy's address or password, or let it pass calls to the account's api_host.",
)
NOT_SERVED = warning(
    "D010",
    "Duo does not serve this log",
    meaning="The edition does not have this log, or the application lacks a permission. It is asked again every 15 minutes; "
    "other logs go on.",
    check="In Duo's Admin Panel: the edition, and whether the Admin API application has 'Grant read log'.",
    fix="Grant the permission, or take the log out of the configuration.",
)
PAGE_REFUSED = warning(
    "D011",
    "Duo does not take its own page cursor any more",
    meaning="A page cursor has expired or was refused. The rest of the window is read by time instead; nothing is skipped, "
    "some events may be sent twice.",
    check="How often it comes: now and then it is harmless.",
    fix="Nothing to do; if it comes for every window, report it with the log's name.",
)
OUT_OF_REACH = error(
    "D012",
    "Events are older than what Duo still serves",
    meaning="Duo keeps 180 days. The position is older than that, so the days between cannot be read any more.",
    check="How long the program was stopped or the destination was away: 'duologsync status CONFIG'.",
    fix="Nothing brings those days back from Duo; take them from a backup or an archive, if there is one.",
)
AHEAD_OF_CLOCK = error(
    "D013",
    "A checkpoint lies in the future",
    meaning="This machine's clock is, or was, wrong. Nothing of the stream is read until the clock reaches the checkpoint.",
    check="'timedatectl' and the position in 'duologsync status CONFIG'.",
    fix="Correct the clock; if it was wrong when the checkpoint was written, move the checkpoint aside and start again.",
)
CLOCK_SET_BACK = warning(
    "D014",
    "The clock was set back before anything was read",
    meaning="The look-back of a stream that was never read begins earlier by that. Nothing is skipped.",
    check="'timedatectl'.",
    fix="Let NTP set this machine's clock.",
)
CIRCLED = warning(
    "D015",
    "Duo's page cursor leads in a circle",
    meaning="Duo's answer points back to a page that was read. Reading goes on by time, or with the next overlap; nothing is "
    "lost.",
    check="How often it comes: now and then it is harmless.",
    fix="Nothing to do; if it comes for every window, report it with the log's name.",
)
UNREADABLE_EVENTS = error(
    "D016",
    "More events in one instant than Duo gives",
    meaning="This log cannot be read past the first page of one second or millisecond. Those events are missing.",
    check="The line says which instant; look at it in Duo's Admin Panel.",
    fix="Export that instant by hand in Duo's Admin Panel.",
)
EVENTS_MISSING = error(
    "D017",
    "Duo counts more events than it gives",
    meaning="Duo's own count of a stretch is higher than what its pages held. The stretch is read again several times, later "
    "and later; nothing else waits for it.",
    check="'duologsync status CONFIG' lists the stretches that are still missing.",
    fix="Wait: late events are found by the repeats; DLS-D018 follows if they are not.",
)
EVENTS_GIVEN_UP = error(
    "D018",
    "Events that Duo counts were never given",
    meaning="All repeats of a stretch gave fewer events than Duo counts. They are given up, and may not exist.",
    check="Compare the stretch in Duo's Admin Panel with the SIEM.",
    fix="'duologsync backfill CONFIG --from … --to …' over that stretch looks once more.",
)
BACKFILL_INCOMPLETE = error(
    "D019",
    "A backfill ends without some events",
    meaning="Duo counted more events than it gave in a stretch, and a backfill does not come back later.",
    check="Compare the stretch in Duo's Admin Panel with the SIEM.",
    fix="Start a backfill of another stretch that includes this one.",
)
OVERLAP_SHORTENED = warning(
    "D020",
    "More events than the overlap remembers",
    meaning="Events that Duo publishes late are found by reading again. So many are published that only a part of the "
    "overlap can be compared; a late event further back would be missed.",
    check="How many events a minute the log has: 'duologsync status CONFIG'.",
    fix="Raise overlap_max_rows; 1,000 rows take about 100 kB of memory per stream.",
)
CHILDREN_NOT_LISTED = warning(
    "D021",
    "An MSP's child accounts cannot be listed now",
    meaning="Children that are known go on; new ones are found when the list can be read again.",
    check="The line says why; 'duologsync check CONFIG' asks again.",
    fix="What the cause says; the list is read again by itself.",
)
CHILDREN_UNKNOWN = error(
    "D022",
    "An MSP's child accounts cannot be listed at the start",
    meaning="Without the list none of the account's logs is read.",
    check="Whether ikey and secret are those of an application of type Accounts API.",
    fix="Correct the account's keys and start again.",
)
CHILD_NOT_FOUND = warning(
    "D023",
    "A list names a child account that does not exist",
    meaning="An entry of the allow or block list matches no child: it allows or blocks nothing.",
    check="'duologsync check CONFIG' lists the children with their names and ids.",
    fix="Correct the entry, or take it out.",
)
NO_CHILDREN = warning(
    "D024",
    "An MSP account has no child that is to be read",
    meaning="Nothing of it is read until a child appears that the lists allow.",
    check="'duologsync check CONFIG' lists the children; compare with the allow and block lists.",
    fix="Correct the lists, or add children in Duo.",
)
BACKFILL_REFUSED = error(
    "D025",
    "A backfill or a bounded run ends without a log that Duo does not serve",
    meaning="Duo answered 403 or 404 for this log. The other logs are complete.",
    check="In Duo's Admin Panel: the edition, and whether the Admin API application has 'Grant read log'.",
    fix="Grant the permission and start it again, or leave the log out by --log-types.",
)
NOT_CONFIGURED = error(
    "D026",
    "A running job reads what the configuration does not have any more",
    meaning="A savepoint of an earlier configuration holds a stream that this one does not name. It is not read.",
    check="Compare the accounts, log types and destinations with those of the job that the savepoint is of.",
    fix="Put it back into the configuration, or start the job without the savepoint.",
)
UNEXPECTED = error(
    "D027",
    "A bug in reading Duo",
    meaning="An error that nobody expected. The stream goes on from where it was; nothing is skipped.",
    check="The traceback in the log.",
    fix="Report it with the traceback; it holds no secret and no event.",
)

BY_KIND: dict[str, Notice] = {
    "bad_credentials": KEYS_REFUSED,
    "rate_limited": RATE_LIMITED,
    "server_error": SERVER_ERROR,
    "not_duo": NOT_DUO,
    "malformed": NOT_DUO,
    "cut_body": NOT_DUO,
    "clock_skew": CLOCK_SKEW,
    "tls": TLS,
    "proxy": PROXY,
    "forbidden": NOT_SERVED,
    "not_found": NOT_SERVED,
    "refused": PAGE_REFUSED,
    "unexpected": UNEXPECTED,
    "connections": program.NO_DESCRIPTOR,
    "descriptors": program.NO_DESCRIPTOR,
}
"""What a kind of failing call is (``transforms.errors``); what is not here is UNREACHABLE."""
