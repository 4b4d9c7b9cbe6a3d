"""From a configuration file to a ``transforms.settings.Job``, with every problem told at once.

    file → reading (strict YAML, with places) → own_model or dls_model (shape) → own or incumbent (meaning) → files → Job

Two dialects: our own (``version: 2``) and Duo Log Sync's (``version: '1.0.0'``). ``schema`` and ``sample`` are generated from
the model of our own. No network is used, and nothing is written or created.
"""

from pipelines.config.loading import Dialect, Loaded, check_files, load
from pipelines.config.problems import ConfigProblems, Finding, Notice, Problem

__all__ = ["ConfigProblems", "Dialect", "Finding", "Loaded", "Notice", "Problem", "check_files", "load"]
