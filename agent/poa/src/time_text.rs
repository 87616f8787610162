//! The envelope's way to write an instant: `2026-01-31 23:59:59.999000` and a zone such as `UTC+3`.

const DAY_MS: u64 = 86_400_000;

/// An instant (milliseconds since 1970-01-01 UTC) as UTC text with microseconds.
pub fn utc_text(unix_ms: u64) -> String {
    let (year, month, day) = civil(unix_ms / DAY_MS);
    let of_day = unix_ms % DAY_MS;
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{:06}",
        of_day % 1000 * 1000
    )
}

/// The instant of a text in a zone, milliseconds since 1970-01-01 UTC, or `None` if either is malformed.
/// Digits beyond the millisecond are dropped, and so may be the whole fraction.
pub fn parse_utc(text: &str, zone: &str) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour <= 23 && minute <= 59 && second <= 59);
    if !valid {
        return None;
    }
    let days = days(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    let local = days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + milliseconds(fraction)?;
    local.checked_add_signed(-zone_ms(zone)?)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let out = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(out)
}

fn digits(text: &str) -> Option<u64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<3}")[..3].parse().ok()
}

/// `UTC`, `UTC+3`, `UTC-5:30` as milliseconds east of Greenwich.
fn zone_ms(zone: &str) -> Option<i64> {
    let rest = zone.strip_prefix("UTC")?;
    if rest.is_empty() {
        return Some(0);
    }
    let (sign, rest) = match rest.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, rest.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let sound = hours <= 14 && minutes <= 59;
    sound.then(|| sign * (hours * 3_600_000 + minutes * 60_000) as i64)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years are counted from 1 March, so that the leap day
/// is a year's last; every 400 years have 146,097 days, and 719,468 days lie between 0000-03-01 and 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The date of a day since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_era_year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + of_era_year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(utc_text(0), "1970-01-01 00:00:00.000000");
        assert_eq!(utc_text(1_748_016_000_000), "2025-05-23 16:00:00.000000");
        assert_eq!(utc_text(951_782_399_999), "2000-02-28 23:59:59.999000");
        assert_eq!(utc_text(951_782_400_000), "2000-02-29 00:00:00.000000");
    }

    #[test]
    fn zones_are_subtracted() {
        assert_eq!(
            parse_utc("2025-05-23 19:00:00.000000", "UTC+3"),
            Some(1_748_016_000_000)
        );
        assert_eq!(
            parse_utc("2025-05-23 10:30:00", "UTC-5:30"),
            Some(1_748_016_000_000)
        );
        assert_eq!(parse_utc("2025-05-23 16:00:00.5", "UTC"), Some(1_748_016_000_500));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "2025-02-30 00:00:00",
            "2025-13-01 00:00:00",
            "2025-01-01T00:00:00",
            "2025-01-01 24:00:00",
        ] {
            assert_eq!(parse_utc(text, "UTC"), None, "{text}");
        }
        for zone in ["", "GMT", "UTC+", "UTC+15", "UTC+1:60", "UTC+-1"] {
            assert_eq!(parse_utc("2025-01-01 00:00:00", zone), None, "{zone}");
        }
        assert_eq!(parse_utc("1970-01-01 00:00:00", "UTC+1"), None, "before 1970");
    }

    proptest! {
        #[test]
        fn a_text_leads_back_to_its_instant(unix_ms in 0u64..253_402_300_800_000) {
            prop_assert_eq!(parse_utc(&utc_text(unix_ms), "UTC+0"), Some(unix_ms));
        }

        #[test]
        fn any_text_is_survived(text in ".{0,40}", zone in ".{0,10}") {
            let _ = parse_utc(&text, &zone);
        }
    }
}
