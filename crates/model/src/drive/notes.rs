//! What the programs were found to do.
