"""How the tokens of a step are weighed against each other."""
