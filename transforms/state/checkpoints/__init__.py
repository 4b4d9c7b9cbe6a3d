"""The checkpoint store: how far every stream is delivered, in a local directory or on another file system."""
