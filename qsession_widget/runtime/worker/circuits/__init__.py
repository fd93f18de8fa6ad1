"""What workers do with circuits before they run: plain instructions, independent parts."""
