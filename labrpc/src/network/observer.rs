//! What an observer of the network sees of messages, and of what they say.

use std::any::Any;
use std::fmt::{self, Debug};

use super::method::Method;
use crate::node::Node;

/// Follows messages from where they leave to where the code under test reads them.
///
/// It must neither use the network nor change anything that the simulated code can see.
pub trait Observer {
    /// A message leaves. Returns a mark for it, by which [`read`](Observer::read) names it.
    fn sent(&self, message: Sent<'_>) -> u64;

    /// The code under test begins to read a message: the handler of a request runs for the first time, or
    /// the caller takes the reply.
    fn read(&self, message: Read);

    /// A caller learns that no reply to its request will come.
    fn failed(&self, request: Failed);
}

/// A request to which no reply will come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The node that sent it.
    pub from: Node,
    /// The node that it was sent to.
    pub to: Node,
    /// Its mark.
    pub mark: u64,
}

/// A message that leaves.
#[derive(Copy, Clone, Debug)]
pub struct Sent<'a> {
    /// The node that sends it.
    pub from: Node,
    /// The node that it is sent to.
    pub to: Node,
    /// The mark of the request that it answers; `None` for a request.
    pub answers: Option<u64>,
    /// What it says.
    pub content: Content<'a>,
}

/// A message that is being read. A request that the network has copied is read twice.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The node that sent it.
    pub from: Node,
    /// The node that reads it.
    pub to: Node,
    /// The mark of the request that it answers; `None` for a request.
    pub answers: Option<u64>,
    /// Its own mark.
    pub mark: u64,
}

/// The arguments of a request or the value of a reply, with their own type.
///
/// ```
/// # use labrpc::{Content, Method};
/// const ECHO: Method<String, usize> = Method::new("Echo.Echo");
///
/// fn describe(content: Content<'_>) -> Option<String> {
///     if let Some(text) = content.request(ECHO) {
///         return Some(format!("asks for {text}"));
///     }
///     content.reply(ECHO).map(|length| format!("answers {length}"))
/// }
/// ```
#[derive(Copy, Clone)]
pub struct Content<'a> {
    method: &'static str,
    is_reply: bool,
    value: &'a dyn Any,
}

impl<'a> Content<'a> {
    pub(super) fn of_request(method: &'static str, args: &'a dyn Any) -> Content<'a> {
        Content { method, is_reply: false, value: args }
    }

    pub(super) fn of_reply(method: &'static str, reply: &'a dyn Any) -> Content<'a> {
        Content { method, is_reply: true, value: reply }
    }

    /// The arguments, if this is a request of this method.
    pub fn request<Args: 'static, Reply>(self, method: Method<Args, Reply>) -> Option<&'a Args> {
        let is_meant = !self.is_reply && self.method == method.name();
        if is_meant { self.value.downcast_ref() } else { None }
    }

    /// The arguments or the reply, if they have this type, whatever the method.
    pub fn get<T: 'static>(self) -> Option<&'a T> {
        self.value.downcast_ref()
    }

    /// The reply, if this is one to a request of this method.
    pub fn reply<Args, Reply: 'static>(self, method: Method<Args, Reply>) -> Option<&'a Reply> {
        let is_meant = self.is_reply && self.method == method.name();
        if is_meant { self.value.downcast_ref() } else { None }
    }
}

impl Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_reply { "reply" } else { "request" };
        write!(f, "Content({what} of {})", self.method)
    }
}

/// The value of a reply, which can be shown, and inspected by its own type.
pub(crate) trait ReplyValue: Debug + Any {}

impl<T: Debug + Any> ReplyValue for T {}
