"""Who may do what, and which input is fit to be looked at."""
