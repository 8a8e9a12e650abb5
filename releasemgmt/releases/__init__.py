"""Release records, builds, commits, test runs, documents and known defects."""
