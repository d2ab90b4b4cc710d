"""Generation tasks: answers decoded as trees, or by execution with blocks really skipped."""
