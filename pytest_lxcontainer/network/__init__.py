"""HOW IT IS REACHED: a bridge, an address for each container, and names."""
