"""Stand-ins at the seams: a registry over HTTP, and the images it serves."""
