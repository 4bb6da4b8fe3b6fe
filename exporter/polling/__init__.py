"""What is due, how it is read, and what an answer changes."""
