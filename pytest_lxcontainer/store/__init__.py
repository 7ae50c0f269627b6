"""Where images are kept: the store, a cache directory that every run and process of a user shares."""
