"""Local runs: the graph on the in-process DirectRunner, in passes, one pipeline per stream."""
