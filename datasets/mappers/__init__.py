"""From a sample to tensors."""
