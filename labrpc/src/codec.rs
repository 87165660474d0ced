//! Encoding of values as bytes: bincode, with integers of fixed width.
//!
//! Fixed width is faster than variable width, and makes the size of a message independent of the
//! values of its numbers. Byte counts are lower than in the Go labs, where gob sends a description
//! of the type with every message.

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

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

/// A writer that only counts the bytes.
struct Count(usize);

impl Writer for Count {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// The reason why a value cannot be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// Encodes a value and appends the bytes to `buffer`.
///
/// # Errors
/// Fails if the type's `Serialize` does, or if it uses something that bincode does not support.
pub fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), CodecError> {
    bincode::serde::encode_into_writer(value, Append(buffer), CONFIG)
        .map_err(|error| CodecError(error.to_string()))
}

/// Encodes a value.
///
/// # Errors
/// Fails in the same cases as [`encode_into`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    // There are many small values: measuring first saves allocations of a growing buffer.
    let mut size = Count(0);
    bincode::serde::encode_into_writer(value, &mut size, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    let mut buffer = Vec::with_capacity(size.0);
    encode_into(value, &mut buffer)?;
    Ok(buffer)
}

/// Decodes a value, which must use all of the bytes. It may borrow from them.
///
/// # Errors
/// Fails if the bytes are not an encoded `T`, or if some are left over.
pub fn decode<'a, T: Deserialize<'a>>(mut bytes: &'a [u8]) -> Result<T, CodecError> {
    let value = decode_first(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(CodecError(format!("{} bytes are left over", bytes.len())));
    }
    Ok(value)
}

/// Decodes the value at the beginning of `bytes`, and leaves the rest in `bytes`.
///
/// # Errors
/// Fails if the bytes do not begin with an encoded `T`.
pub fn decode_first<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    *bytes = &bytes[used..];
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    /// The shapes of the Go labs' labgob tests: numbers, structs, lists of structs, maps and
    /// variants.
    #[test]
    fn an_encoded_value_decodes_to_the_same_value() {
        let inner = |name: &str| Inner { name: name.into(), flag: Some(true) };
        let table = BTreeMap::from([(7, vec![inner("a"), inner("")]), (9, vec![])]);
        for value in [Outer::Number(-3), Outer::Table(table)] {
            assert_eq!(decode::<Outer>(&encode(&value).unwrap()), Ok(value));
        }
    }

    #[test]
    fn truncated_bytes_and_extra_bytes_are_errors() {
        let bytes = encode(&(1u64, "abc")).unwrap();
        assert!(decode::<(u64, String)>(&bytes[..bytes.len() - 1]).is_err());
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode::<(u64, String)>(&longer).unwrap_err().to_string().contains("left over"));
    }
}
