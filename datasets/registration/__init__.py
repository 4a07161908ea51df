"""Dataset registrations: one small file per benchmark."""
