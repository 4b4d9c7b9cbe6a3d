"""What a process has once: clock, threads, descriptors, files, memory, and the word to stop. Knows nothing of events."""
