"""What ``duologsync replay`` is made of: where events come from, which of them are chosen, and how they are sent."""
