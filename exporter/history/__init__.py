"""What is remembered of a target's builds and runs, and what follows from it. Pure."""
