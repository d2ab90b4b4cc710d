"""Small random models of every causal-LM type that transformers knows, and what EEBench makes of them."""
