//! Numbers that are typed, set or filed, and are refused out of all reason: whoever means a thousand
//! threads does not mean 2^60, which the system could only answer with a panic.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Within<const LEAST: u32, const MOST: u32>(u32);

/// Files at once, and parse threads.
pub type Threads = Within<1, 1_000>;

/// Deliveries in flight.
pub type Window = Within<1, 1_000_000>;

/// A year of seconds at most.
pub type Seconds = Within<1, 31_536_000>;

/// A number that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWithin {
    least: u32,
    most: u32,
}

impl<const LEAST: u32, const MOST: u32> Within<LEAST, MOST> {
    const WRONG: NotWithin = NotWithin { least: LEAST, most: MOST };

    /// The number, as something is counted.
    pub const fn count(self) -> usize {
        self.0 as usize
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.into()
    }
}

impl fmt::Display for NotWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a whole number from {} to {}", self.least, self.most)
    }
}

impl std::error::Error for NotWithin {}

impl<const LEAST: u32, const MOST: u32> TryFrom<u32> for Within<LEAST, MOST> {
    type Error = NotWithin;

    fn try_from(number: u32) -> Result<Self, NotWithin> {
        if (LEAST..=MOST).contains(&number) { Ok(Within(number)) } else { Err(Self::WRONG) }
    }
}

impl<const LEAST: u32, const MOST: u32> FromStr for Within<LEAST, MOST> {
    type Err = NotWithin;

    fn from_str(text: &str) -> Result<Self, NotWithin> {
        text.parse::<u32>().map_err(|_| Self::WRONG)?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_all_reason_is_refused_with_the_range() {
        assert_eq!("1".parse::<Threads>().unwrap().count(), 1);
        assert_eq!("1000".parse::<Threads>().unwrap().count(), 1_000);
        for wrong in ["0", "1001", "18446744073709551615", "-1", "", "many"] {
            let error = wrong.parse::<Threads>().unwrap_err();
            assert_eq!(error.to_string(), "not a whole number from 1 to 1000", "{wrong}");
        }
        assert!(toml::from_str::<std::collections::HashMap<String, Window>>("a = 0").is_err());
    }
}
