"""Vision-language architectures, composed of the other parts."""
