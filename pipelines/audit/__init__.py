"""Whether everything that Duo has is where it should be: what ``duologsync audit`` is made of."""
