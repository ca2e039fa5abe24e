//! Sizes and times for people.

use std::time::Duration;

/// A number of bytes, such as `1.2 GiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Reads a speed as people write it: a number of KiB a second, or one with its unit, such as `500`, `1.5M` or
/// `2 MiB/s`. Units are powers of 1024, however they are written.
///
/// # Errors
/// When it is no such thing.
pub(crate) fn speed(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is no speed; expected KiB/s such as 500, or with a unit such as 1.5M or 2MiB/s");
    let plain = text.trim().to_ascii_lowercase();
    let plain = plain.strip_suffix("/s").unwrap_or(&plain);
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let (digits, unit) = plain.split_at(end);
    let unit: u64 = match unit.trim() {
        "b" => 1,
        "" | "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let most = MAX_SPEED / unit;
    #[expect(clippy::cast_precision_loss, reason = "limits are far from where that matters")]
    if number > most as f64 {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "digits and a point are no negative number, and it was compared with the largest"
    )]
    let bytes = (number * unit as f64).ceil() as u64;
    Ok(bytes)
}

/// A terabyte per second, more than any real limit.
const MAX_SPEED: u64 = 1 << 40;

/// A time such as 90, 10m, 2h or 1d, as people write it; without a unit seconds.
///
/// # Errors
/// When it is none: a text for the user.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => (&text[..at], unit),
        _ => (text, 's'),
    };
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err("expected seconds, or a number with s, m, h or d".into()),
    };
    let number = digits.parse::<u32>().map_err(|_| "expected seconds, or a number with s, m, h or d")?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// A number such as 1.5, in thousandths; further digits are cut.
pub(crate) fn thousandths(text: &str) -> Result<u64, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let first = part.chars().chain("000".chars()).take(3).collect::<String>();
    match (whole.parse::<u32>(), first.parse::<u64>()) {
        (Ok(number), Ok(part))
            if is_number(whole) && is_number(text.rsplit('.').next().unwrap_or_default()) =>
        {
            Ok(u64::from(number) * 1000 + part)
        }
        _ => Err("expected a number such as 1 or 1.5".into()),
    }
}

/// A time, such as `1h02m`, `3m05s` or `14s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d{:02}h", hours % 24),
    }
}

/// A number of things, such as `1 seeder` or `12 seeders`.
pub(crate) fn count(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ratios_are_read_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1", "1.5h", "10 m", "10w", "99999999999", "1\u{20ac}"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, expected) in [("1", 1000), ("1.5", 1500), ("0.05", 50), ("2.0009", 2000), ("0", 0)] {
            assert_eq!(thousandths(text), Ok(expected), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1.5.1", "1,5", "x", "99999999999"] {
            assert!(thousandths(text).is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("500", 500 << 10),
            ("0.5", 512),
            ("64k", 64 << 10),
            ("64 KiB/s", 64 << 10),
            ("64kB/s", 64 << 10),
            ("1.5M", 3 << 19),
            ("2MiB/s", 2 << 20),
            ("1G", 1 << 30),
            ("100b", 100),
            ("0.001", 2),
        ] {
            assert_eq!(speed(text), Ok(expected), "{text}");
        }
        for text in
            ["", "x", "-1", "1e3", "1.2.3", "M", "1T", "1 M x", "99999999999G", "inf", "nan", ".", "1/s/s"]
        {
            assert!(speed(text).unwrap_err().contains("expected KiB/s"), "{text}");
        }
    }

    #[test]
    fn sizes_and_times_are_readable() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [(14, "14s"), (185, "3m05s"), (3720, "1h02m"), (90_000, "1d01h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
