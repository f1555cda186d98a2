"""Models analysed once, the claims about them, and what is measured for a claim."""
