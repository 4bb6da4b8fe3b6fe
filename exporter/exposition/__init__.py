"""From what is known to the bytes of a scrape."""
