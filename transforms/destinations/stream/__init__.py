"""Delivery over a byte stream: TCP and TLS."""
