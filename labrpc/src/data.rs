//! What an event tells programs, as JSON.

use std::hash::{Hash, Hasher};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Data beside an event's text, for programs; empty if there is none.
///
/// It stays the text that it was written as until somebody reads it. A run can have 100,000 of them, which go from
/// process to process and into pages, and hardly any is looked at on the way. Two are the same if their texts are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(Option<Box<RawValue>>);

impl Data {
    /// The data that a value is written as.
    ///
    /// # Panics
    /// If it cannot be written as JSON, for example because a map in it has keys that are no texts.
    pub fn of<T: Serialize>(value: &T) -> Data {
        Data(Some(serde_json::value::to_raw_value(value).expect("data can be written as JSON")))
    }

    /// Reads it as a value; `None` if it is empty, or the data of something else.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.0.as_ref()?.get()).ok()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text that it is written as; empty if there is none.
    pub fn text(&self) -> &str {
        self.0.as_ref().map_or("", |raw| raw.get())
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Data) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Data {}

impl Hash for Data {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_as_it_was_written_and_travels_as_json() {
        let data = Data::of(&[Some(1), None]);
        assert_eq!(data.text(), "[1,null]");
        assert_eq!(data.read::<Vec<Option<u8>>>(), Some(vec![Some(1), None]));
        assert_eq!(data.read::<String>(), None, "the data of something else");
        let line = serde_json::to_string(&(&data, Data::default())).unwrap();
        assert_eq!(line, "[[1,null],null]");
        assert_eq!(serde_json::from_str::<(Data, Data)>(&line).unwrap(), (data, Data::default()));
    }
}
