"""The checkpoint store: how far every stream is delivered to each of its destinations, in a local directory or on another file system."""
