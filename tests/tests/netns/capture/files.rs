//! Files that other tools read, and how much is in them.
