"""``lxcontainer doctor``: what this host lacks, and the command that mends it."""
