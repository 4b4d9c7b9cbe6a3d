"""Both ends of the pipeline on this machine: a Duo that answers and a SIEM that counts; for the demo, tests and benchmarks."""
