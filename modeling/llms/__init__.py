"""Language model bodies, tokenizers and chat templates."""
