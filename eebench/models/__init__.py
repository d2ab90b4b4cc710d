"""Models: from the name a user types to weights in memory."""
