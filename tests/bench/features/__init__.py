"""`make bench-features`: five features of the same loans in six ways; see docs/guides/loans.md."""
