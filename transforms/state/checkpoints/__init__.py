"""The checkpoint store: how far every stream is delivered to each destination, in a local directory or elsewhere."""
