//! Durations as whole nanoseconds, for `#[serde(with = "...")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a duration of less than 584 years.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).serialize(serializer)
}

/// Reads one.
///
/// # Errors
/// When there is no whole number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}
