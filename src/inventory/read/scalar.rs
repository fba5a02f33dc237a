//! Plain scalars, as Kubernetes reads them: the YAML 1.1 rules of sigs.k8s.io/yaml, by which `on`, `y` and `1_000` are
//! no strings. JSON's words and numbers mean the same under them.

use smol_str::SmolStr;

/// A scalar's kind and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Nothing, `~` or `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number; its value where it is a whole one of 64 bits.
    Number(Option<i64>),
    /// Everything else.
    Text(SmolStr),
}

/// Reads a scalar that is written without quotes.
pub(super) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        _ => number(text).map_or_else(|| Scalar::Text(text.into()), Scalar::Number),
    }
}

/// Returns a number's value, if that is a whole one of 64 bits; the outer `None` for a text that is no number.
fn number(text: &str) -> Option<Option<i64>> {
    let (first, others) = text.as_bytes().split_first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    // Ports, and networks with their `/`.
    if matches!(first, b'1'..=b'9') && others.iter().all(u8::is_ascii_digit) {
        return Some(text.parse().ok());
    }
    if text.as_bytes().contains(&b'/') {
        return None;
    }
    let digits = text.replace('_', "");
    let (negative, unsigned) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits.as_str()),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    if let Some((radix, rest)) = integer(unsigned) {
        let value = i64::from_str_radix(rest, radix).ok();
        return Some(if negative { value.map(|value| -value) } else { value });
    }
    is_float(unsigned).then_some(None)
}

/// Splits a whole number into its radix and its digits.
fn integer(text: &str) -> Option<(u32, &str)> {
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2), ("0", 8)];
    let all = |rest: &str, radix| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    prefixes
        .into_iter()
        .find_map(|(prefix, radix)| text.strip_prefix(prefix).filter(|rest| all(rest, radix)).map(|rest| (radix, rest)))
        .or_else(|| all(text, 10).then_some((10, text)).filter(|_| text == "0" || !text.starts_with('0')))
}

fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let all_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|text| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && all_digits(digits)
    });
    exponent && !(whole.is_empty() && fraction.is_empty()) && all_digits(whole) && all_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_kubernetes_takes_them_for() {
        for text in ["on", "y", "Yes", "TRUE"] {
            assert_eq!(plain(text), Scalar::Bool(true), "{text}");
        }
        for (text, value) in [
            ("5", Some(5)),
            ("-7", Some(-7)),
            ("1_000", Some(1000)),
            ("010", Some(8)),
            ("0x1F", Some(31)),
            ("0", Some(0)),
            ("08", None),
            ("1.10", None),
            ("1e3", None),
            ("12e4567", None),
            (".5", None),
            ("-.inf", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(plain(text), Scalar::Number(value), "{text}");
        }
        for text in ["web", "1.2.3", "2026-01-31", "12:30", "10.0.0.1", ".", "-", "+", "_1", "1e", "0xg", "e3", "nope"]
        {
            assert_eq!(plain(text), Scalar::Text(text.into()), "{text}");
        }
        assert_eq!(plain("~"), Scalar::Null);
    }
}
