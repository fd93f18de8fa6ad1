"""Whether numbers are what they claim to be: independent samples of the right distribution."""
