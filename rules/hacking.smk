"""Does a stitch preserve the expected representation, or hack the receiver?"""

HACKING = []
