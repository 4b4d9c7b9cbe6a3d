"""Delivery over HTTP: requests whose answer says what became of each event."""
