"""Reading Duo: the only package that knows its API."""
