"""What both sides of HTTP agree on: names, states, the JSON codec, devices, the discovery file."""
