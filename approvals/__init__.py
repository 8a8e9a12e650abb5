"""Change requests, approval policies, rounds and sign-offs."""
