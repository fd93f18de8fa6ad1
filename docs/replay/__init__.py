"""The page that replays recorded sessions: its recordings, and the tool that makes them."""
