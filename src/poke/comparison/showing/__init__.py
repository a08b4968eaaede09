"""How it is shown: text, LaTeX, pages, pandas frames."""
