"""The harnesses' own languages: events in, answers out. Pure."""
