"""One outside system per module, no decisions."""
