"""What follows from what: decisions about a domain's NICs that a person must be able to predict, each a pure function."""
