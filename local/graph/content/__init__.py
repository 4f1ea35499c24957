"""What happens in the tenant: people who talk to Copilot and to each other, made up from a seed."""
