"""The pages of the figures: what the queries of `kpis` answer, as words, charts and tables; none is computed here."""
