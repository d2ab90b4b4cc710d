"""Joint optimisation: a training after which every layer can be stopped at."""
