//! Sizes, rates, times and shares in a form that a person takes in at a glance.

use proto::size::Size;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes as `ls -lh` shows them, at most five columns: `0`, `999`, `1.5K`, `12M`, `1023G`.
pub(crate) fn short(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "";
    for next in ["K", "M", "G", "T", "P", "E"] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit.is_empty() || value >= 9.95 { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

/// Bytes per second, short; a dash for nothing.
pub(crate) fn short_rate(rate: u64) -> String {
    if rate == 0 { "-".to_owned() } else { format!("{}/s", short(rate)) }
}

/// Bytes at length: `1.46 GiB (1,567,890,123 bytes)`.
pub(crate) fn long(bytes: u64) -> String {
    if bytes < 1000 {
        format!("{bytes} bytes")
    } else {
        format!("{} ({} bytes)", Size(bytes), grouped(bytes))
    }
}

/// Bytes per second: `3.12 MiB/s`.
pub(crate) fn rate(rate: u64) -> String {
    format!("{}/s", Size(rate))
}

/// A rate limit; 0 is none.
pub(crate) fn limit(bytes: u64) -> String {
    if bytes == 0 { "none".to_owned() } else { rate(bytes) }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as per cent. 100% is shown for the whole only, never for 99.96%.
pub(crate) fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100%".to_owned();
    }
    format!("{:.1}%", (share.max(0.0) * 1000.0).floor() / 10.0)
}

/// Seconds in two units: `42s`, `3m12s`, `2h05m`, `4d03h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        86_400..31_536_000 => format!("{days}d{:02}h", hours % 24),
        // Nobody waits for that to the day.
        _ => format!("{}y", days / 365),
    }
}

/// The seconds now, since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment: the date and time in UTC, and how long ago that is (or how soon).
pub(crate) fn moment(unix: u64) -> String {
    let now = now();
    let distance = match unix <= now {
        true => format!("{} ago", duration(now - unix)),
        false => format!("in {}", duration(unix - now)),
    };
    format!("{} ({distance})", date(unix))
}

/// `2026-11-23 02:13:45 UTC`.
pub(crate) fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days since 0000-03-01, so that leap days come last in a year; then eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

/// A duration as people write it: seconds, or `90m`, `2h`, `3d`.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("“{text}” is no time: write seconds, or 90m, 2h, 3d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_in_ls() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (10 << 20, "10M"),
            ((1 << 20) - 1, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(short(bytes), text);
        }
        assert_eq!(long(1_567_890_123), "1.46 GiB (1,567,890,123 bytes)");
        assert_eq!(long(5), "5 bytes");
    }

    #[test]
    fn the_last_block_still_counts() {
        assert_eq!(percent(0.99999), "99.9%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(0.0), "0.0%");
        assert_eq!(percent(f64::NAN), "0.0%");
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in
            [(0, "0s"), (192, "3m12s"), (7_500, "2h05m"), (356_400, "4d03h"), (u64::MAX, "584942417355y")]
        {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(parse_duration("90m"), Ok(5_400));
        assert_eq!(parse_duration("7"), Ok(7));
        for wrong in ["", "h", "1.5h", "-1", "9y", "99999999999999999999d", "5é"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_those_of_date_u() {
        // From `date -u -d @N`.
        for (unix, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_795_400_025, "2026-11-23 02:13:45 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(unix), text);
        }
    }
}
