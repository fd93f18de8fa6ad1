"""What client and runtime share: documents, names, states, the JSON codec, targets, discovery."""
