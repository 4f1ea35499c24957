"""One story per module: a flow decides the order, the core decides the rules, ports reach the world."""
