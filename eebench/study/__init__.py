"""The study of a model: how early it could stop, where policies stop it, and what joint optimisation changes."""
