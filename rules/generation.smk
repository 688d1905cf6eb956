"""Images that stitches into the receiver's input make."""

GENERATION = []
