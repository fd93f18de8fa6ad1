"""Turns the counts and shots of Aer into results."""
