//! SHA-1 and SHA-256 of several pieces at a time.
