//! How values become bytes: bincode through serde, integers of fixed width.
//!
//! Fixed width is faster than variable width and makes a message's size depend on its shape alone.
//! The Go labs' gob sends the description of the type with every message; this does not, so byte
//! counts are lower than theirs.

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

const CONFIG: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_fixed_int_encoding();

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Counts the bytes and forgets them.
struct Count(usize);

impl Writer for Count {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// A value that cannot be encoded or decoded, in the words of the codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// Appends the encoded value to `buffer`.
///
/// # Errors
/// When the type's own `Serialize` fails, or asks for what the format does not have.
pub fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), CodecError> {
    bincode::serde::encode_into_writer(value, Append(buffer), CONFIG)
        .map_err(|error| CodecError(error.to_string()))
}

/// The encoded value.
///
/// # Errors
/// As [`encode_into`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    // Most values are small and many: one exact allocation instead of one that grows.
    let mut size = Count(0);
    bincode::serde::encode_into_writer(value, &mut size, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    let mut buffer = Vec::with_capacity(size.0);
    encode_into(value, &mut buffer)?;
    Ok(buffer)
}

/// The value that these bytes are, all of them.
///
/// # Errors
/// When the bytes are not an encoded `T`, or more than that.
pub fn decode<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, CodecError> {
    let value = decode_first(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(CodecError(format!("{} bytes are left over", bytes.len())));
    }
    Ok(value)
}

/// The value that these bytes begin with; what follows it is left in `bytes`.
///
/// # Errors
/// When the bytes do not begin with an encoded `T`.
pub fn decode_first<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    *bytes = &bytes[used..];
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Inner {
        name: String,
        flag: Option<bool>,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Outer {
        Number(i64),
        Table(BTreeMap<u32, Vec<Inner>>),
    }

    /// Go's labgob tests: numbers, structs, slices of them, a map, an interface value.
    #[test]
    fn what_is_encoded_comes_back() {
        let inner = |name: &str| Inner { name: name.into(), flag: Some(true) };
        let table = BTreeMap::from([(7, vec![inner("a"), inner("")]), (9, vec![])]);
        for value in [Outer::Number(-3), Outer::Table(table)] {
            assert_eq!(decode::<Outer>(&encode(&value).unwrap()), Ok(value));
        }
    }

    #[test]
    fn torn_or_overlong_bytes_are_an_error() {
        let bytes = encode(&(1u64, "abc")).unwrap();
        assert!(decode::<(u64, String)>(&bytes[..bytes.len() - 1]).is_err());
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode::<(u64, String)>(&longer).unwrap_err().to_string().contains("left over"));
    }
}
