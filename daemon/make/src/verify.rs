//! Checking data against a torrent.
