"""Lets a job live longer than the time in which its server must be reached.

Place: a launch on a runner sets this just before it hands the job over.

Why: Beam gives one timeout, ``job_server_timeout``, both to reaching the job server and to each call that follows the job. A
job without an end has its calls end after Beam's five minutes: the launch would fail, and take workers that live in this
process along. So whoever launches waits for the server within that timeout by itself, and Beam gets one that no job outlives.

Contract: returns the seconds in which the server must be reached, as the flags or Beam have them.
"""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

_TEN_YEARS_SECS = 315_360_000


def let_the_job_live_long(options: PipelineOptions) -> float:
    """From now on these options end no call that follows the job. What the timeout was."""
    portable = options.view_as(PortableOptions)
    within_secs = float(portable.job_server_timeout)
    portable.job_server_timeout = _TEN_YEARS_SECS
    return within_secs
