//! A stream cut into other chunks gives the same frames.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::protocol::{BadStream, Frame, Frames};

const MOST_BYTES: usize = 256;

fuzz_target!(|input: &[u8]| {
    let Some((&width, stream)) = input.split_first() else {
        return;
    };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(whole, frames(stream, 1));
    assert_eq!(whole, frames(stream, usize::from(width % 64) + 1));

    let (frames, _) = whole;
    let size = |frame: &Frame| frame.data.as_ref().map_or(0, |data| data.len());
    assert!(frames.iter().all(|frame| size(frame) <= MOST_BYTES));
});

/// The frames of a stream that comes in chunks, up to the first that is bad.
fn frames(stream: &[u8], width: usize) -> (Vec<Frame>, Option<BadStream>) {
    let mut reader = Frames::new(MOST_BYTES);
    let mut found = Vec::new();
    for chunk in stream.chunks(width) {
        reader.push(chunk);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(bad) => return (found, Some(bad)),
            }
        }
    }
    (found, None)
}
