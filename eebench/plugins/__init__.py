"""Finding policies: those that came with EEBench, those of installed packages, and those in files."""
