"""How fast Duo may be called: one budget per credentials and endpoint, estimated from its answers."""
