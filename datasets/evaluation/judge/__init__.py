"""LLM judges: protocols that ask a language model, and the back-ends that answer."""
