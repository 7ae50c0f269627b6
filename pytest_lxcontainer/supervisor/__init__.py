"""WHO OWNS IT: one helper process a test run, which alone calls liblxc."""
