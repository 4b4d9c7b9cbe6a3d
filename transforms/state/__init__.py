"""What outlives a process: cursors, checkpoints, dead letters, and what of it is safe."""
