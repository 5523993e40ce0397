//! Where an exchange stands in its trace (W3C Trace Context level 1).

use super::Export;
use std::sync::Arc;

/// The span that a caller names as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    /// Its id.
    pub(crate) span: u64,
    /// Whether the caller records it.
    pub(crate) is_sampled: bool,
}

/// From which side an exchange came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A client over HTTP.
    Http,
    /// A client on our stdin.
    Pipe,
    /// A client over HTTP, to all servers.
    All,
    /// An exchange with all servers, of which it is one server's part.
    Part,
}

impl Side {
    /// `network.transport`.
    pub(super) const fn transport(self) -> Option<&'static str> {
        match self {
            Self::Http | Self::All => Some("tcp"),
            Self::Pipe => Some("pipe"),
            Self::Part => None,
        }
    }
}

/// An exchange's place in its trace.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) export: Arc<Export>,
    pub(super) side: Side,
    pub(super) parent: Option<u64>,
    /// The span of the exchange, and of its wait for the upstream.
    pub(super) own: u64,
    pub(super) wait: u64,
    pub(super) is_sampled: bool,
    /// The transport to the upstream, once it was asked.
    pub(super) over: Option<&'static str>,
}

impl Place {
    pub(crate) const fn export(&self) -> &Arc<Export> {
        &self.export
    }

    /// It goes up over this transport; none if to ourselves.
    pub(crate) const fn goes_up(&mut self, over: Option<&'static str>) {
        self.over = over;
    }

    /// What the upstream is told.
    pub(crate) fn traceparent(&self, trace: &str) -> String {
        traceparent(trace, self.wait, self.is_sampled)
    }
}

/// The header of a span that is asked of somebody.
pub(super) fn traceparent(trace: &str, span: u64, is_sampled: bool) -> String {
    format!("00-{trace}-{span:016x}-{:02x}", u8::from(is_sampled))
}

/// The trace that an id of ours names.
pub(super) fn trace_of(trace: &str) -> u128 {
    u128::from_str_radix(trace, 16).unwrap_or_default()
}

/// The span that a header of ours names.
pub(super) fn span_of(traceparent: &str) -> u64 {
    let span = traceparent.split('-').nth(2);
    span.and_then(|span| u64::from_str_radix(span, 16).ok())
        .unwrap_or_default()
}

/// Whether a header of ours says that its span is recorded.
pub(super) fn is_sampled(traceparent: &str) -> bool {
    let flags = traceparent.split('-').nth(3);
    let flags = flags.and_then(|flags| u8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

/// Says in a header of ours whether its span is recorded.
pub(super) fn set_sampled(traceparent: &mut String, is_sampled: bool) {
    traceparent.truncate(traceparent.len().saturating_sub(2));
    traceparent.push_str(if is_sampled { "01" } else { "00" });
}

#[cfg(test)]
mod tests {
    use super::{is_sampled, set_sampled, span_of, trace_of, traceparent};

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let mut header = traceparent(trace, 0x00f0_67aa_0ba9_02b7, true);
        assert_eq!(header, format!("00-{trace}-00f067aa0ba902b7-01"));
        assert_eq!(span_of(&header), 0x00f0_67aa_0ba9_02b7);
        assert!(is_sampled(&header));
        set_sampled(&mut header, false);
        assert!(!is_sampled(&header));
        assert_eq!(format!("{:032x}", trace_of(trace)), trace);
        assert_eq!((span_of(""), trace_of(""), is_sampled("")), (0, 0, false));
    }
}
