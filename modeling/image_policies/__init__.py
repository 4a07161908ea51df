"""From one RGB image to what a vision encoder takes of it."""
