"""The pages for people who are signed in: HTML of the package, and nothing from other hosts."""
