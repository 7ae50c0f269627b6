"""The page of a run: one HTML file, made of what is in this directory and of the run's data."""
