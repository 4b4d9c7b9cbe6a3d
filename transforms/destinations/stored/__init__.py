"""What a destination has stored, asked of itself: for audits. ``registry`` lists who can be asked, and how."""
