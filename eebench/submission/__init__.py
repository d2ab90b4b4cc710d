"""Results that travel: bundles, and what a leaderboard checks before it accepts one."""
