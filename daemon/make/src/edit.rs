//! Changing what is outside the info dictionary.
