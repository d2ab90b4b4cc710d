"""The entry exam of a policy."""
