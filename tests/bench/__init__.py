"""`make bench`: the product beside a floor and a limit, in one run on one machine, as ratios."""
