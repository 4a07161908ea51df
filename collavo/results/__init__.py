"""From stored answers to reports."""
