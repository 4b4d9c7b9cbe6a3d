"""How Duo is called: HTTP, connections, names, and what an answer's bytes mean."""
