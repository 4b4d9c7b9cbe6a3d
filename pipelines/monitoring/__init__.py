"""What people and machines see of a run: its report, the page, the endpoints, the words."""
