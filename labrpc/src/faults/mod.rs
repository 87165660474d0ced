pub(crate) mod chaos;
pub(crate) mod message;
