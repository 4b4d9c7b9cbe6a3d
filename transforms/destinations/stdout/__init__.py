"""Delivery to the program's standard output."""
