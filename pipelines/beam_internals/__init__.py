"""What Beam keeps to itself and we use or replace all the same: one module for each, with the reason.

Place in the flow: between Beam and ``pipelines.local``, ``pipelines.runners`` and ``pipelines.logs``. Private names of Beam
stand here and in ``transforms.duo.read`` (the reader that lives for one bundle), and nowhere else.

Contract: made for the version below, which ``setup.py`` pins. Each module has a test in ``tests/internals`` that fails when
Beam no longer does what the module is there for, so that it can go, and when it no longer fits.
"""

BEAM_VERSION = "2.77.0"
