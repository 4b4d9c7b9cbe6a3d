"""How many events of each day this program has handled, as evidence for an audit."""
