//! [`Budget`]: how much each method of a comparison may try.

use std::fmt;
use std::str::FromStr;

use super::values;

/// How much each method may try: settings, or time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// So many settings.
    Trials(usize),
    /// So many seconds of training.
    Seconds(f64),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected how many settings, such as `12`, or a time, such as `30min` or `2h`".to_owned();
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let seconds = match unit.trim() {
            "" => return values::count(number).map(Self::Trials).map_err(|_| expected()),
            "s" | "sec" | "seconds" => 1.0,
            "m" | "min" | "minutes" => 60.0,
            "h" | "hours" => 3600.0,
            _ => return Err(expected()),
        };
        let number = values::positive(number).map_err(|_| expected())?;
        Ok(Self::Seconds(number * seconds))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Trials(1) => f.write_str("1 trial"),
            Self::Trials(count) => write!(f, "{count} trials"),
            Self::Seconds(seconds) if seconds < 60.0 => write!(f, "{seconds} s"),
            Self::Seconds(seconds) if seconds < 3600.0 => write!(f, "{} min", seconds / 60.0),
            Self::Seconds(seconds) => write!(f, "{} h", seconds / 3600.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_or_time() {
        for (text, budget, shown) in [
            ("12", Budget::Trials(12), "12 trials"),
            ("90s", Budget::Seconds(90.0), "1.5 min"),
            ("30min", Budget::Seconds(1800.0), "30 min"),
            ("2 h", Budget::Seconds(7200.0), "2 h"),
            ("1.5h", Budget::Seconds(5400.0), "1.5 h"),
        ] {
            let parsed: Budget = text.parse().expect(text);
            assert_eq!((parsed, parsed.to_string().as_str()), (budget, shown));
        }
        for bad in ["", "0", "0min", "-3", "3 days", "min", "1.5"] {
            assert!(bad.parse::<Budget>().is_err(), "`{bad}` was accepted");
        }
    }
}
