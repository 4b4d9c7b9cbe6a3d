"""Dead letters: events that can never be delivered as they are, kept with their reason."""
