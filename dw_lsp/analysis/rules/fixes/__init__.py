"""How the findings of the rules may be mended: each function gives the fixes of one mistake."""
