"""Fetching ahead of the reader: the feed of a stream, its thread, its pages, its failures."""
