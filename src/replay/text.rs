//! Strings and moments of a log line.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A string of a log line, borrowed if it has no escape. A field that is missing, `null` or, as Envoy writes it, `-` is
/// empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text<'l>(Cow<'l, str>);

impl<'l> Text<'l> {
    /// Returns the string; `None` if it is empty.
    pub fn told(&self) -> Option<&str> {
        Some(self.0.as_ref()).filter(|text| !text.is_empty() && *text != "-")
    }

    /// Makes a string.
    pub fn of(text: impl Into<Cow<'l, str>>) -> Text<'l> {
        Text(text.into())
    }
}

impl<'l, 'de: 'l> Deserialize<'de> for Text<'l> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text<'l>, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        from.deserialize_any(Reads)
    }
}

/// A moment: seconds and nanoseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    seconds: i64,
    nanos: u32,
}

impl Moment {
    /// Reads `2024-04-27T21:36:04.373Z` (RFC 3339); `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Moment> {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| {
            let part = bytes.get(from..to)?;
            part.iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
        };
        let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let month = time::Month::try_from(u8::try_from(digits(5, 7)?).ok()?).ok()?;
        let day = u8::try_from(digits(8, 10)?).ok()?;
        let date = time::Date::from_calendar_date(i32::try_from(digits(0, 4)?).ok()?, month, day).ok()?;
        let days = i64::from(date.to_julian_day()) - UNIX_EPOCH;
        let clock = digits(11, 13)? * 3600 + digits(14, 16)? * 60 + digits(17, 19)?;
        let mut at = 19;
        let mut nanos = 0;
        if is(at, b".") {
            let fraction = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let shown = digits(20, 20 + fraction.min(9))?;
            nanos = u32::try_from(shown * 10i64.pow(9 - fraction.min(9) as u32)).ok()?;
            at += 1 + fraction;
        }
        let offset = match bytes.get(at)? {
            b'Z' | b'z' => 0,
            sign @ (b'+' | b'-') => {
                let ahead = digits(at + 1, at + 3)? * 3600 + digits(at + 4, at + 6)? * 60;
                if *sign == b'+' { ahead } else { -ahead }
            }
            _ => return None,
        };
        Some(Moment { seconds: days * 86_400 + clock - offset, nanos })
    }
}

/// The Julian day of 1970-01-01.
const UNIX_EPOCH: i64 = 2_440_588;

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let day = i32::try_from(days + UNIX_EPOCH).unwrap_or(i32::MAX);
        let date = time::Date::from_julian_day(day).unwrap_or(time::Date::MAX);
        let (year, month, day) = date.to_calendar_date();
        let (hours, minutes, seconds) = (clock / 3600, clock / 60 % 60, clock % 60);
        write!(f, "{year:04}-{:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_ordered_whatever_their_precision_and_zone() {
        let moment = |text: &str| Moment::parse(text).unwrap();
        assert_eq!(moment("2024-04-27T21:36:04.373296596Z").to_string(), "2024-04-27T21:36:04Z");
        assert_eq!(moment("1970-01-01T00:00:00Z"), Moment { seconds: 0, nanos: 0 });
        assert_eq!(moment("2024-04-27T23:36:04+02:00"), moment("2024-04-27T21:36:04Z"));
        assert!(moment("2024-04-27T21:36:04Z") < moment("2024-04-27T21:36:04.001Z"));
        assert!(moment("2024-04-27T21:36:04.02Z") < moment("2024-04-27T21:36:04.1Z"));
        for wrong in ["", "-", "yesterday", "2024-13-27T21:36:04Z", "2024-04-27T21:36:04", "2024-04-27T21:36:04.5"] {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }
}
