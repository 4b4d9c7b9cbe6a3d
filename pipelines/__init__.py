"""What runs: the configuration, the graph, the local supervisor and the command line. Data steps are in ``transforms``."""

__version__ = "1.0.0"
