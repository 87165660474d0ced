//! Durations as whole nanoseconds, for `#[serde(with = "...")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Serializes a duration as a `u64`. A duration of more than 584 years becomes `u64::MAX`.
///
/// # Errors
/// Fails if the serializer does.
pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).serialize(serializer)
}

/// Deserializes a duration from a `u64`.
///
/// # Errors
/// Fails if the input is not a whole number that fits a `u64`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}
