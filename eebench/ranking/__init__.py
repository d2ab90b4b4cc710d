"""The ranking: EE-scores with their intervals, from records that may be compared."""
