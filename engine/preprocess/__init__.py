"""From an event as a harness sends it to the input that policies read."""
