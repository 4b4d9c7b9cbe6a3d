"""All by which a local run is seen from outside: observer, log lines, HTTP endpoint, systemd. One object of the run.

Place in the flow: ``run_local`` opens it when the streams are started, ticks it from its loop and closes it last.

Contract: none of it can stop a run, or keep it from its end.
"""

from __future__ import annotations

import logging
import secrets

from pipelines.beam_internals.log_records import in_words
from pipelines.monitoring import server
from pipelines.monitoring.log_tail import LogTail
from pipelines.monitoring.observe import Observer, Running
from pipelines.monitoring.routes import routes
from pipelines.monitoring.systemd import Notifier
from transforms.metrics.log_counts import LogCounts
from transforms.notices import program
from transforms.notices.notice import tell
from transforms.process.log_once import LogOnce
from transforms.settings import Job

_LOGGER = logging.getLogger("duologsync.monitoring")


class Endpoint:
    """See the module."""

    def __init__(self, job: Job, running: Running) -> None:
        self._job = job
        self._log = LogTail()
        self._log.attach()
        self._log_counts = LogCounts()
        self._log_counts.addFilter(in_words)  # what the log does not show is not counted
        self._log_counts.attach()
        self._observer = Observer(job, running, self._log)
        self._systemd = Notifier()
        self._server: server.Server | None = None
        self._mistake = LogOnce()

    def open(self) -> None:
        """The streams are started: from now on it can be asked."""
        key, directory = secrets.token_urlsafe(24), self._job.storage.checkpoint_dir
        try:
            self._server = server.start(self._job.monitoring, routes(self._observer, key), directory, key)
        except Exception:  # as in ``tick``
            tell(
                _LOGGER,
                program.NO_STATUS_PAGE,
                "There is no status page and there are no metrics; the run goes on.",
                exc_info=True,
            )
        self._systemd.ready()

    def tick(self) -> None:
        """The main loop has come round."""
        try:
            self._observer.tick()
            self._systemd.tick(self._observer.verdict, lambda: not self._observer.ailing())
        except Exception:  # it only looks: a mistake here must not end what it looks at
            if self._mistake.due() is not None:
                tell(_LOGGER, program.PAGE_FAILED, "How the run is could not be looked at; it goes on.", exc_info=True)

    def ends(self) -> None:
        """The run is asked to end; it can be asked until it has."""
        self._systemd.stopping()

    def close(self) -> None:
        """The end."""
        if self._server is not None:
            self._server.close()
        self._log.detach()
        self._log_counts.detach()
