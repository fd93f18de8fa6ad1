"""Jobs: waiting for them, decoding their results, and their callbacks."""
