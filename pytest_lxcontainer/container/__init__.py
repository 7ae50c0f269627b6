"""HOW IT RUNS: one container as a test sees it, and the backend that makes it real."""
