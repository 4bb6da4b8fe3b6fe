"""The web side: scrapes, probes, life cycle."""
