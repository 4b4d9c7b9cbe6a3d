"""What is counted and measured of a run: the names of it, the numbers, and their way to Beam."""
