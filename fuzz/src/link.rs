//! The control link: any bytes as frames of either side.

use control_wire::{FrameDecoder, FromEdge, ToEdge, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What is understood is told in frames that are understood the same.
pub fn exercise(bytes: &[u8]) {
    from::<FromEdge>(bytes);
    from::<ToEdge>(bytes);
}

fn from<Message: Serialize + DeserializeOwned + Debug + PartialEq>(bytes: &[u8]) {
    let mut decoder = FrameDecoder::default();
    let (front, back) = bytes.split_at(bytes.len() / 2);
    for part in [front, back] {
        decoder.push(part);
        while let Ok(Some(message)) = decoder.poll::<Message>() {
            let mut again = Vec::new();
            // Told by us it may be longer than it came.
            if encode(&message, &mut again).is_err() {
                continue;
            }
            let mut decoder = FrameDecoder::default();
            decoder.push(&again);
            let read = decoder.poll::<Message>().expect("what we tell is understood");
            assert_eq!(read, Some(message));
        }
    }
}
