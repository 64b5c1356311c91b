//! Splits: which variant of a route a request gets, and why.
