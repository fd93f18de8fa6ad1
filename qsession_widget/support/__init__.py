"""What all folders may use: locks and forks, warnings, values in messages."""
