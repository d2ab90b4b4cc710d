"""The leaderboard as a web site: plain files that need no server and fetch nothing."""
