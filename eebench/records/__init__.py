"""The records of runs, and the database that keeps them."""
